/** What set-up says: one line per event on standard error, so that standard output belongs to the command that follows. */

const colour = process.stderr.isTTY && !process.env.NO_COLOR;
const paint = (code, text) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);

/** A failure that set-up can explain: what is missing, and how to get it. */
export class SetupError extends Error {
  constructor(message, remedy) {
    super(message);
    this.name = 'SetupError';
    this.remedy = remedy;
  }
}

/** One line: `set-up: <topic>: <text>`. */
export function say(topic, text) {
  process.stderr.write(`${paint(2, 'set-up:')} ${topic}: ${text}\n`);
}

/** Prints an error with its remedy; a stack trace only for what nobody foresaw. */
export function sayError(error) {
  if (error instanceof SetupError) {
    process.stderr.write(`${paint(31, 'set-up cannot go on:')} ${error.message}\n`);
    if (error.remedy) process.stderr.write(`  ${error.remedy.split('\n').join('\n  ')}\n`);
    return;
  }
  process.stderr.write(`${paint(31, 'set-up failed:')} ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
}

/** Elapsed time in whole seconds, for people. */
export function elapsed(since) {
  const seconds = Math.round((Date.now() - since) / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

const TICK_MS = 10_000;

/**
 * Runs one step of set-up: says what and why, shows every 10 s that it lives (with the last line the step reported),
 * and how long it took. `work` gets a function for live lines.
 */
export async function step(topic, why, work) {
  const started = Date.now();
  let last = '';
  say(topic, why);
  const ticker = setInterval(() => say(topic, `still at it, ${elapsed(started)}${last ? ` (${last})` : ''}`), TICK_MS);
  try {
    const result = await work((line) => {
      last = line.trim().slice(0, 100) || last;
    });
    say(topic, `${paint(32, 'ready')} after ${elapsed(started)}`);
    return result;
  } finally {
    clearInterval(ticker);
  }
}
