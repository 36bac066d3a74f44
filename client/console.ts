/** Where the command writes: results on standard output, everything said on the way on standard error. */
import picocolors from 'picocolors';
import { fold } from '../domain/fold';
import { visible } from './format';

export type Colors = ReturnType<typeof picocolors.createColors>;

export interface Console {
  /** A person sits there: bars and questions make sense. */
  readonly interactive: boolean;
  /** For text on standard error. */
  readonly colors: Colors;
  /** One line of the result. What would act on a terminal is made visible, but for the colours above. */
  out(line: string): void;
  /** One line beside the result, likewise. */
  say(line: string): void;
  /** The one object that `--json` promises. */
  json(value: unknown): void;
}

/** A terminal that gives less than this as its width does not know it. */
const LEAST_COLUMNS = 20;

/** A line as it fits a terminal. A pipe gets it as it is: who reads there wants one for each thing. */
export function fitted(line: string, stream: NodeJS.WriteStream): string {
  return stream.isTTY && stream.columns >= LEAST_COLUMNS ? fold(line, stream.columns) : line;
}

function write(stream: NodeJS.WriteStream, line: string): void {
  stream.write(`${fitted(line, stream)}\n`);
}

/** The colours that `colors` is used for here, and their ends. */
const COLOUR = /(\u001b\[(?:1|22|31|32|33|39)m)/;

/** With `json`, standard output carries the object only. NO_COLOR is honoured. */
export function createConsole(options: { json: boolean }): Console {
  const { stdin, stdout, stderr } = process;
  // A plain boolean: given `undefined`, picocolors asks the environment itself, and paints in a pipe where CI or FORCE_COLOR is set.
  const isColoured = Boolean(stderr.isTTY && stdout.isTTY && !process.env.NO_COLOR && process.env.TERM !== 'dumb');
  // What stands between two colours is at an even place.
  const shown = (line: string): string => (isColoured ? line.split(COLOUR).map((part, at) => (at % 2 === 0 ? visible(part) : part)).join('') : visible(line));
  return {
    interactive: !options.json && stderr.isTTY && stdin.isTTY,
    colors: picocolors.createColors(isColoured),
    out: (line) => write(options.json ? stderr : stdout, shown(line)),
    say: (line) => write(stderr, shown(line)),
    json: (value) => stdout.write(`${JSON.stringify(value, null, 2)}\n`),
  };
}
