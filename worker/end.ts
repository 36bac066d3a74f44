const LINGER_MS = 1000;

/**
 * Ends the process, which has failed and has nothing left to do, although a library still holds it: a worker that the server has refused stays
 * behind within Temporal's SDK for ever, and a service manager would wait for the end before it starts the next one.
 */
export function endThough(): void {
  setTimeout(() => process.exit(), LINGER_MS).unref();
}
