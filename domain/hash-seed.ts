/** Differs from process to process, so that a forged list cannot make all its names fall on one place of a table and keep a worker busy for ever. */
// eslint-disable-next-line no-restricted-properties -- no outcome depends on it: numbers are given in the order of the names.
export const HASH_SEED = Math.floor(Math.random() * 0x1_0000_0000) | 0;
