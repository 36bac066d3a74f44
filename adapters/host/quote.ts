import { DrydockError } from '../../domain/errors';

/** One POSIX shell word for each argument; nothing in an argument is ever interpreted. Throws InvalidInput for an empty command or a NUL byte. */
export function quoteCommand(command: string[]): string {
  checkCommand(command);
  return command.map(quoteArgument).join(' ');
}

/** Throws InvalidInput for what cannot be run anywhere: an empty command, or a NUL byte. */
export function checkCommand(command: string[]): void {
  if (command.length === 0 || command[0] === '') throw new DrydockError('InvalidInput', 'an empty command cannot be run');
  if (command.some((argument) => argument.includes('\0'))) throw new DrydockError('InvalidInput', 'an argument of a command holds a NUL byte');
}

function quoteArgument(argument: string): string {
  if (/^[A-Za-z0-9_/:.,@%+-]+$/.test(argument)) return argument;
  return `'${argument.replaceAll("'", "'\\''")}'`;
}
