/** The exit codes as the help shows them. */
import { EXIT_CODES } from '../domain/exit-codes';
import { beside } from './help';

export const EXIT_CODES_HELP = `\nExit codes:\n${Object.values(EXIT_CODES)
  .map(({ code, meaning }) => beside(`  ${String(code).padStart(3)}  `, meaning))
  .join('')}`;
