const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const EXIT_CODES: Record<(typeof SIGNALS)[number], number> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };
/** Under npm one Ctrl-C arrives twice: from the terminal and from npm. The echo is no second request. */
const ECHO_MS = 1000;

/**
 * A signal to the process becomes an abort: the first asks for a clean stop, the second ends the process at once.
 * Call `release` to give the signals back.
 */
export function stopSignal(onStop: (name: string) => void): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  let firstAt = 0;
  const handle = (name: (typeof SIGNALS)[number]): void => {
    if (controller.signal.aborted) {
      if (Date.now() - firstAt > ECHO_MS) process.exit(EXIT_CODES[name]);
      return;
    }
    firstAt = Date.now();
    // The terminal has written ^C by itself, and stays behind it.
    if (name === 'SIGINT' && process.stderr.isTTY) process.stderr.write('\n');
    onStop(name);
    controller.abort(name);
  };
  for (const name of SIGNALS) process.on(name, handle);
  return {
    signal: controller.signal,
    release: () => {
      for (const name of SIGNALS) process.off(name, handle);
    },
  };
}
