/** Input and result of the workflow `prune`: also what `drydock prune --json` prints. */
import { z } from 'zod';
import { safeName } from './config';
import type { Decision } from './retention';
import { personSaid, reasonSaid } from './said';

export const pruneInput = z.strictObject({
  cluster: safeName,
  /** Explains and changes nothing. */
  dryRun: z.boolean().optional(),
  startedBy: personSaid.optional(),
  reason: reasonSaid.optional(),
});
export type PruneInput = z.infer<typeof pruneInput>;

export interface PruneResult {
  cluster: string;
  /** As `drydock.yaml` names it. */
  vault?: string;
  dryRun: boolean;
  /** One for each backup, newest first; at most 200, those given up before those kept. */
  decisions: Decision[];
  counts: { kept: number; givenUp: number };
  /** Removed now: marked longer ago than the hold. In a dry run: what would be. */
  removed: { backups: string[]; segments: number; bytes: number };
  /** Marked now, removed by a later run. */
  marked: { backups: string[]; segments: number; bytes: number };
  /** Live blobs of mostly dead segments, written anew for the backups to come; `frees`: bytes that go with the last backup that names the old ones. */
  repacked?: { segments: number; bytes: number; frees: number };
  /** Tombstones taken away because what they marked is kept or needed again. */
  lifted: number;
  /** When what is marked now may go, ISO 8601. */
  removableFrom: string;
  /** Sentences: what was left, and why; damage that was met. */
  notes: string[];
  /** The same for each copy. */
  copies?: PruneResult[];
}
