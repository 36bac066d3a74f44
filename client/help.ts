/** The form of help texts: nothing in them is wider than 80 columns, the least that a terminal has. */
import type { Argument, Command } from 'commander';

export const COLUMNS = 80;
/** Where a command line may be folded: before an option, a pipe, or the next command. */
const FOLDS = / (?=--?[a-z]|\||&&)/;

/** A block of command lines that can be copied as they stand. */
export function example(...lines: string[]): string {
  return `\n${lines.length > 1 ? 'Examples' : 'Example'}:\n${lines.map((line) => `${foldedCommand(line)}\n`).join('')}`;
}

/** A shell reads it as one line. */
function foldedCommand(line: string): string {
  const [first = '', ...others] = line.split(FOLDS);
  const rows = [`  ${first}`];
  for (const part of others) {
    const longer = `${rows.at(-1)!} ${part}`;
    // Two columns for the sign that it goes on.
    if (longer.length <= COLUMNS - 2) rows[rows.length - 1] = longer;
    else rows.push(`      ${part}`);
  }
  return rows.join(' \\\n');
}

/** In a list of commands: that each has options need not be said, and the room is wanted for what it does. */
export function subcommandTerm(command: Command): string {
  return [command.name(), ...command.registeredArguments.map(argumentTerm)].join(' ');
}

function argumentTerm(argument: Argument): string {
  return argument.required ? `<${argument.name()}>` : `[${argument.name()}]`;
}
