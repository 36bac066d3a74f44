/** Where the command writes: results on standard output, everything said on the way on standard error. */
import picocolors from 'picocolors';

export type Colors = ReturnType<typeof picocolors.createColors>;

export interface Console {
  /** A person sits there: bars and questions make sense. */
  readonly interactive: boolean;
  /** For text on standard error. */
  readonly colors: Colors;
  /** One line of the result. */
  out(line: string): void;
  /** One line beside the result. */
  say(line: string): void;
  /** The one object that `--json` promises. */
  json(value: unknown): void;
}

/** With `json`, standard output carries the object only. NO_COLOR is honoured. */
export function createConsole(options: { json: boolean }): Console {
  const { stdin, stdout, stderr } = process;
  return {
    interactive: !options.json && stderr.isTTY && stdin.isTTY,
    colors: picocolors.createColors(stderr.isTTY && stdout.isTTY && !process.env.NO_COLOR && process.env.TERM !== 'dumb'),
    out: (line) => (options.json ? stderr : stdout).write(`${line}\n`),
    say: (line) => stderr.write(`${line}\n`),
    json: (value) => stdout.write(`${JSON.stringify(value, null, 2)}\n`),
  };
}
