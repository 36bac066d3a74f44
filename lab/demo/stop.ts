/** Signals of a person who has seen enough: the story stops and clean-up begins, once. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Clean-up takes seconds; who signals after this long finds it stuck and wants out. */
const STUCK_MS = 45_000;
/** One Ctrl-C may arrive twice, from the terminal and from npm. */
const ECHO_MS = 2000;

/** Aborts at the first signal; later ones are answered with a line, and end the process where clean-up is stuck. */
export function stopOnSignals(say: (line: string) => void): AbortSignal {
  const controller = new AbortController();
  let firstAt = 0;
  const handle = (): void => {
    if (!controller.signal.aborted) {
      firstAt = Date.now();
      say('');
      say('Interrupted: removing what was started.');
      controller.abort(new Error('interrupted'));
    } else if (Date.now() - firstAt > STUCK_MS) {
      process.exit(130);
    } else if (Date.now() - firstAt > ECHO_MS) {
      say('Still removing what was started; this takes some seconds.');
    }
  };
  for (const name of SIGNALS) process.on(name, handle);
  return controller.signal;
}
