/** Whether this run has hours: `npm run test:long` then plays what `test:all` leaves out because it repeats, on another version or form, what is tried there. */
export const IS_LONG = process.env.DRYDOCK_TESTS === 'long';
