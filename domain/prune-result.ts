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

/** What one phase did, or would do. */
export interface Touched {
  /** At most 200. */
  backups: string[];
  /** Of all of them; absent in results of earlier versions, which name all. */
  backupCount?: number;
  segments: number;
  bytes: number;
}

export interface PruneResult {
  cluster: string;
  /** As `drydock.yaml` names it. */
  vault?: string;
  dryRun: boolean;
  /** One for each backup, newest first, those given up before those kept; of more than 200 the newest of both kinds. */
  decisions: Decision[];
  counts: { kept: number; givenUp: number };
  /** Removed now: marked longer ago than the hold. In a dry run: what would be. */
  removed: Touched;
  /** Marked now, removed by a later run. */
  marked: Touched;
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

/**
 * What a result may hold of a vault with any number of backups: Temporal takes no more than 2 MiB in a payload, the copies' results are in it as well, and people read it.
 */
const SHOWN = 200;
const SHOWN_NOTES = 50;

/** Of many decisions those that fit, so that neither kind is shown at the other's cost. */
export function shownDecisions(decisions: readonly Decision[]): Decision[] {
  const [givenUp, kept] = [decisions.filter(({ keep }) => !keep), decisions.filter(({ keep }) => keep)];
  const shown = givenUp.slice(0, Math.max(SHOWN / 2, SHOWN - kept.length));
  return [...shown, ...kept.slice(0, SHOWN - shown.length)];
}

export function touched(backups: readonly string[], segments: readonly { bytes: number }[]): Touched {
  return { backups: backups.slice(0, SHOWN), backupCount: backups.length, segments: segments.length, bytes: segments.reduce((total, { bytes }) => total + bytes, 0) };
}

export function shownNotes(notes: readonly string[]): string[] {
  return [...new Set(notes)].slice(0, SHOWN_NOTES);
}

export function backupCountOf({ backups, backupCount }: Touched): number {
  return backupCount ?? backups.length;
}
