/** What people type into a door and what then stands in tables, records and manifests: one line of text, whatever they sent. */
import { z } from 'zod';

const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

/** Line ends and tabs become blanks; other control characters are refused. */
function oneLine(longest: number) {
  return z
    .string()
    .max(longest)
    .transform((text) => text.replace(/[\s\u2028\u2029]+/g, ' ').trim())
    .refine((text) => !CONTROL.test(text), 'holds control characters');
}

/** Who started or decided. */
export const personSaid = oneLine(200);
/** Why. */
export const reasonSaid = oneLine(2_000);
