/** `tombstones/<id>.<time>.json`: a backup or a segment is given up, and goes when the hold is over. */
import { z } from 'zod';

export const tombstoneSchema = z.strictObject({
  format: z.literal(1),
  id: z.string(),
  kind: z.enum(['backup', 'segment']),
  /** By the vault's clock. */
  at: z.iso.datetime({ offset: false }),
  /** The operation that marked it. */
  by: z.string(),
  /** One sentence. */
  why: z.string(),
  /** A person asked for it by `drydock forget`; no policy can keep it then. `approved`: through the gate for the last verified backup. */
  forgotten: z.strictObject({ by: z.string(), approved: z.boolean() }).optional(),
});
export type Tombstone = z.infer<typeof tombstoneSchema>;
