/** `verdicts/<backup id>/<time>.json`: what one verification of a backup found. In clear: digests and counts only, no repository name. */
import { z } from 'zod';
import { backupIdSchema } from './contract';

const count = z.int().min(0);
const time = z.iso.datetime({ offset: false });

/** From cheap to thorough; each contains the ones before it. */
export const verifyLevel = z.enum(['L0', 'L1', 'L2', 'L3', 'L4']);
export type VerifyLevel = z.infer<typeof verifyLevel>;

export const verdictSchema = z.strictObject({
  format: z.literal(1),
  backupId: backupIdSchema,
  level: verifyLevel,
  /** Part `n` of `t`, from 1: all is read once in `t` runs. Absent: all at once. */
  part: z.strictObject({ n: z.int().min(1), t: z.int().min(1) }).refine(({ n, t }) => n <= t, 'n is at most t').optional(),
  startedAt: time,
  /** When it ended; the verdict's age counts from here. */
  at: time,
  /** Who asked. */
  by: z.string(),
  tool: z.strictObject({ name: z.literal('drydock'), version: z.string() }),
  /** Whether content was decrypted, or ciphertext alone compared with its recorded digests. */
  withKeys: z.boolean(),
  result: z.enum(['good', 'bad']),
  checked: z.strictObject({ segments: count, blobs: count, bytes: count, tags: count }),
  /** How many; their names stand in the encrypted `<time>.findings.jsonl.gz.gpg`, only where there are any. */
  findings: count,
  /** True when it was a drill: the backup was restored into a scratch cluster. */
  drill: z.boolean().optional(),
});
export type Verdict = z.infer<typeof verdictSchema>;
