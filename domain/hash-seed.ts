/** Differs from process to process, so that a forged list cannot make all its names fall on one place of a table and keep a worker busy for ever. */
export const HASH_SEED = Math.floor(Math.random() * 0x1_0000_0000) | 0;
