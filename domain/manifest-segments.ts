/** One line of `segments.jsonl`: a segment that the backup needs. */
import { z } from 'zod';
import { plainText } from './plain-text';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);

/** Recipients that were added to an encrypted file after it was written. */
export const wrappedKeysSchema = z.strictObject({
  /** Where the encrypted data begins, counted from 1 as `tail -c +N` does. */
  encryptedFrom: z.int().min(1),
  /** One `.keys` file for each. */
  keys: z.array(z.strictObject({ recipient: plainText, bytes: count, sha256 })),
});
export type WrappedKeys = z.infer<typeof wrappedKeysSchema>;

/** Part of names in the vault, so nothing that could lead elsewhere. */
export const segmentId = z.string().regex(/^[0-9A-Za-z][0-9A-Za-z-]*$/, 'expected the id of a segment');

/** A segment that the backup needs, and how much of it. `recipients`: all who can open it, those who were added included. */
export const segmentRefSchema = z.strictObject({
  segment: segmentId,
  bytes: count,
  sha256,
  recipients: z.array(plainText),
  index: z.strictObject({ bytes: count, sha256 }),
  usedBlobs: count,
  usedBytes: count,
  wrapped: wrappedKeysSchema.optional(),
});
export type SegmentRef = z.infer<typeof segmentRefSchema>;

/** The bytes of `segments.jsonl`. */
export function formatSegments(refs: readonly SegmentRef[]): string {
  return refs.map((ref) => `${JSON.stringify(ref)}\n`).join('');
}
