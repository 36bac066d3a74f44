/** The exit codes as the help shows them. */
import { EXIT_CODES } from '../domain/exit-codes';
import { fold } from '../domain/fold';
import { COLUMNS } from './help';

export const EXIT_CODES_HELP = `\nExit codes:\n${Object.values(EXIT_CODES)
  .map(({ code, meaning }) => `${fold(`  ${String(code).padStart(3)}  ${meaning}`, COLUMNS)}\n`)
  .join('')}`;
