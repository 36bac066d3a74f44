import { DrydockError } from '../../domain/errors';

/** One POSIX shell word for each argument; nothing in an argument is ever interpreted. Throws InvalidInput for an empty command or a NUL byte. */
export function quoteCommand(command: string[]): string {
  if (command.length === 0 || command[0] === '') throw new DrydockError('InvalidInput', 'an empty command cannot be run');
  return command.map(quoteArgument).join(' ');
}

function quoteArgument(argument: string): string {
  if (argument.includes('\0')) throw new DrydockError('InvalidInput', 'an argument of a command holds a NUL byte');
  if (/^[A-Za-z0-9_/:.,@%+-]+$/.test(argument)) return argument;
  return `'${argument.replaceAll("'", "'\\''")}'`;
}
