import { createHash } from 'node:crypto';

/** Lower-case hexadecimal, of the text in UTF-8. */
export function sha256Of(content: string): string {
  return createHash('sha256').update(content).digest('hex');
}
