/** One line of `notes.jsonl`: what is said of a backup in words and names, which therefore stands encrypted. */
import { z } from 'zod';
import { plainText } from './plain-text';

export const noteSchema = z.discriminatedUnion('kind', [
  /** A warning of the run that made the backup. */
  z.strictObject({ kind: z.literal('warning'), text: z.string() }),
  /** An account that owns repositories. */
  z.strictObject({ kind: z.literal('owner'), id: z.string(), name: z.string() }),
  /** A gap that people accepted: it does not make the backup incomplete. `until`: ISO 8601; absent for good. */
  z.strictObject({ kind: z.literal('acceptedGap'), image: z.string(), digests: z.array(z.string()), by: z.string(), why: z.string(), until: z.string().optional() }),
]);
export type Note = z.infer<typeof noteSchema>;
export type NoteOf<K extends Note['kind']> = Extract<Note, { kind: K }>;

const lineSchema = z.looseObject({ kind: plainText });

/** Null for a kind that a later version adds; undefined for what is no note at all. */
export function parseNote(line: unknown): Note | null | undefined {
  const parsed = noteSchema.safeParse(line);
  if (parsed.success) return parsed.data;
  const other = lineSchema.safeParse(line);
  return other.success && !noteSchema.options.some((option) => option.shape.kind.value === other.data.kind) ? null : undefined;
}

export function warningsIn(notes: readonly Note[]): number {
  return notes.filter(({ kind }) => kind === 'warning').length;
}
