import { DrydockError } from '../../domain/errors';
import { after, toDuration } from '../../domain/duration';
import { planMarks, type MarkPlan } from '../../domain/prune';
import { shownDecisions, shownNotes, touched, type PruneResult } from '../../domain/prune-result';
import type { Tombstone } from '../../domain/tombstone';
import { compactTime, vaultPaths } from '../../domain/vault-format';
import type { FullPicture } from '../../adapters/vault/picture';
import { refuseNewer } from '../../adapters/vault/vault-file';
import type { Cluster } from '../cluster';
import type { RetentionActivities } from '../contract';
import { report } from '../pulse';
import { refuseWrongClock } from './clock';
import { Looks } from './looks';
import { removeDue } from './remove';
import { NOTHING, repack, type Repacked } from './repack';

type PruneStep = Parameters<RetentionActivities['prune']>[0];

/**
 * Step 12. Removes what was marked longer ago than the hold, each thing judged anew right before it goes, then marks what is given up now. Every step
 * may be the last: what a killed run left half removed has its tombstone still, so the next run ends it. `quickMs`: see `Looks`. Throws Refused when the vault's clock and this one
 * disagree.
 */
export async function prune(cluster: Cluster, step: PruneStep, signal: AbortSignal, quickMs?: number): Promise<PruneResult> {
  const hold = toDuration(cluster.config.retention.hold);
  await refuseNewer(cluster.vault);
  const looks = new Looks(cluster, hold, signal, quickMs);
  await refuseWrongClock(cluster);
  report({ phase: 'looking at the vault', bytesDone: 0 });
  const first = await looks.take();
  const notes = [...first.picture.faults, ...first.removal.notes];
  const removed = step.dryRun ? { backups: first.removal.backups, segments: first.removal.segments, notes: [] } : await removeDue(cluster, looks, first, signal);
  notes.push(...removed.notes);
  if (!step.dryRun && !first.isRestoring) await removeExpired(cluster, notes, signal);
  // Marks are planned on what stands now: a removed backup has left segments that nothing names.
  report({ phase: 'looking at the vault', bytesDone: 0 });
  const second = step.dryRun ? first : await looks.take();
  const marks = planMarks(second.picture, second.decisions, hold);
  if (!step.dryRun) await mark(cluster, step, second.picture.now, marks, signal);
  const repacked = await repackOrSay(cluster, step, second.picture, signal, notes);
  const { decisions } = first;
  return {
    cluster: cluster.name,
    vault: cluster.vaultName,
    dryRun: step.dryRun,
    decisions: shownDecisions(decisions),
    counts: { kept: decisions.filter(({ keep }) => keep).length, givenUp: decisions.filter(({ keep }) => !keep).length },
    removed: touched(removed.backups, removed.segments),
    marked: touched(marks.backups.map(({ id }) => id), marks.segments),
    repacked,
    lifted: first.removal.lift.length,
    removableFrom: after(second.picture.now, hold).toISOString(),
    notes: shownNotes(notes),
  };
}

/** What repacking cannot do now, a later run does: what was removed and marked stands all the same. */
async function repackOrSay(cluster: Cluster, step: PruneStep, picture: FullPicture, signal: AbortSignal, notes: string[]): Promise<Repacked> {
  try {
    return await repack(cluster, step, picture, signal, notes);
  } catch (error) {
    if (!(error instanceof DrydockError) || error.retryable) throw error;
    notes.push(`Mostly dead segments were not repacked: ${error.message}${error.remedy === undefined ? '' : ` (${error.remedy})`}.`);
    return NOTHING;
  }
}

/** What could not go while it was locked. Whoever may not do that is told, and the rest of the retention stands all the same. */
async function removeExpired({ vault }: Cluster, notes: string[], signal: AbortSignal): Promise<void> {
  try {
    report({ phase: 'removing what is no longer locked', bytesDone: 0 });
    await vault.removeExpired(signal);
  } catch (error) {
    if (!(error instanceof DrydockError) || error.retryable) throw error;
    notes.push(`What was removed under a lock stays in the vault: ${error.message} (${error.remedy ?? ''})`);
  }
}

async function mark({ vault, name }: Cluster, step: PruneStep, now: Date, plan: MarkPlan, signal: AbortSignal): Promise<void> {
  const marks = [...plan.backups.map((each) => ({ ...each, kind: 'backup' as const })), ...plan.segments.map(({ id, why }) => ({ id, why, kind: 'segment' as const }))];
  for (const [at, { id, why, kind }] of marks.entries()) {
    signal.throwIfAborted();
    report({ phase: 'marking what is given up', bytesDone: 0, itemsDone: at, itemsTotal: marks.length });
    const tombstone: Tombstone = { format: 1, id, kind, at: now.toISOString(), by: step.operation, why };
    await vault.put(vaultPaths.tombstone(name, id, compactTime(now)), `${JSON.stringify(tombstone)}\n`).catch((error: unknown) => {
      // Marked by another run in the same second.
      if (!(error instanceof DrydockError && error.kind === 'Conflict')) throw error;
    });
  }
}
