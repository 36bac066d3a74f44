import { z } from 'zod';
import { safeName } from './config';
import { backupIdSchema } from './contract';
import { verifyLevel } from './verify-level';
import { personSaid, reasonSaid } from './said';

/** Input of the workflow `verify`. */
export const verifyInput = z.strictObject({
  cluster: safeName,
  /** Another vault than the cluster's own, such as a copy; the verdict is kept there. */
  vault: safeName.optional(),
  backup: z.union([z.literal('latest'), backupIdSchema]).default('latest'),
  level: verifyLevel.default('L2'),
  /** Reads the n-th of t parts in L3 and L4: `t` runs read all. */
  part: z.strictObject({ n: z.int().min(1), t: z.int().min(1).max(10_000) }).refine(({ n, t }) => n <= t, 'n is at most t').optional(),
  /** Ciphertext only, although a key may be at hand. */
  withoutKeys: z.boolean().optional(),
  startedBy: personSaid.optional(),
  reason: reasonSaid.optional(),
});
/** As a door sends it. */
export type VerifyInput = z.input<typeof verifyInput>;
