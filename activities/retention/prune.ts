import { DrydockError } from '../../domain/errors';
import { after, toDuration } from '../../domain/duration';
import { planMarks, planRemoval, type MarkPlan, type RemovalPlan } from '../../domain/prune';
import type { PruneResult } from '../../domain/prune-result';
import { decideRetention, type Decision } from '../../domain/retention';
import type { Tombstone } from '../../domain/tombstone';
import { compactTime, vaultPaths } from '../../domain/vault-format';
import { readBadSegments } from '../../adapters/vault/bad-segments';
import { readPicture, type ClusterPicture } from '../../adapters/vault/picture';
import type { Vault } from '../../adapters/vault/vault';
import { refuseNewer } from '../../adapters/vault/vault-file';
import type { Cluster } from '../cluster';
import type { RetentionActivities } from '../contract';
import { report } from '../pulse';
import { refuseWrongClock } from './clock';
import { NOTHING, repack, type Repacked } from './repack';

type PruneStep = Parameters<RetentionActivities['prune']>[0];

const SHOWN_DECISIONS = 200;
const SHOWN_NOTES = 50;
const REMOVED_A_ROUND = 10_000;

/**
 * Step 12. Removes what was marked longer ago than the hold, then marks what is given up now. Every step may be the last: what a killed run left
 * half removed has its tombstone still, so the next run ends it. Throws Refused when the vault's clock and this one disagree.
 */
export async function prune(cluster: Cluster, step: PruneStep, signal: AbortSignal): Promise<PruneResult> {
  const hold = toDuration(cluster.config.retention.hold);
  const look = async (): Promise<{ picture: ClusterPicture; decisions: Decision[] }> => {
    report({ phase: 'looking at the vault', bytesDone: 0 });
    const picture = await readPicture(cluster.vault, cluster.name, signal);
    return { picture, decisions: decideRetention(picture.facts, cluster.config.keep, picture.now) };
  };
  await refuseNewer(cluster.vault);
  await refuseWrongClock(cluster);
  const first = await look();
  const notes = [...first.picture.faults];
  const isRestoring = (await cluster.vault.stat(vaultPaths.unfinishedRestore(cluster.name))) !== null;
  if (isRestoring) notes.push('Nothing is removed while a restore of this cluster is unfinished.');
  const removal = isRestoring ? { ...planRemoval(first.picture, first.decisions, hold), backups: [], segments: [] } : planRemoval(first.picture, first.decisions, hold);
  notes.push(...removal.notes);
  if (!step.dryRun) await remove(cluster, removal, await neededWords(cluster, removal, first.picture), signal);
  if (!step.dryRun && !isRestoring) await removeExpired(cluster, notes, signal);
  // Marks are planned on what stands now: a removed backup has left segments that nothing names.
  const second = step.dryRun ? first : await look();
  const marks = planMarks(second.picture, second.decisions, hold);
  if (!step.dryRun) await mark(cluster, step, second.picture.now, marks, signal);
  const repacked = await repackOrSay(cluster, step, second.picture, signal, notes);
  const { decisions } = first;
  return {
    cluster: cluster.name,
    vault: cluster.vaultName,
    dryRun: step.dryRun,
    decisions: [...decisions.filter(({ keep }) => !keep), ...decisions.filter(({ keep }) => keep)].slice(0, SHOWN_DECISIONS),
    counts: { kept: decisions.filter(({ keep }) => keep).length, givenUp: decisions.filter(({ keep }) => !keep).length },
    removed: { backups: removal.backups, segments: removal.segments.length, bytes: sum(removal.segments) },
    marked: { backups: marks.backups.map(({ id }) => id), segments: marks.segments.length, bytes: sum(marks.segments) },
    repacked,
    lifted: removal.lift.length,
    removableFrom: after(second.picture.now, hold).toISOString(),
    notes: [...new Set(notes)].slice(0, SHOWN_NOTES),
  };
}

/** Backups whose verdicts must stay: they alone say that nothing may be built on a segment which still stands. */
async function neededWords({ vault, name }: Cluster, plan: RemovalPlan, { segments }: ClusterPicture): Promise<Set<string>> {
  if (plan.backups.length + plan.leftovers.length === 0) return new Set();
  const going = new Set(plan.segments.map(({ id }) => id));
  const standing = new Set(segments.map(({ id }) => id).filter((id) => !going.has(id)));
  return new Set([...(await readBadSegments(vault, name))].flatMap(([segment, backup]) => (standing.has(segment) ? [backup] : [])));
}

/** `needed`: backups whose verdicts stay, and with them their tombstones, by which a later run finds them again. */
async function remove({ vault, name }: Cluster, plan: RemovalPlan, needed: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
  for (const tombstone of plan.lift) await vault.remove(tombstone);
  let done = 0;
  const itemsTotal = plan.backups.length + plan.segments.length + plan.leftovers.length;
  const progress = (): void => {
    signal.throwIfAborted();
    report({ phase: 'removing what was given up', bytesDone: 0, itemsDone: (done += 1), itemsTotal });
  };
  for (const id of plan.backups) {
    progress();
    // First the manifest: from then on the backup does not exist, and what is left of it is nobody's.
    await vault.remove(vaultPaths.manifest(name, id));
    await removeAll({ vault }, `${vaultPaths.backup(name, id)}/`);
    await vault.removeFolder(vaultPaths.backup(name, id));
    if (needed.has(id)) continue;
    await removeVerdicts(vault, name, id);
    await removeAll({ vault }, `${vaultPaths.tombstones(name)}${id}.`);
  }
  for (const { id } of plan.segments) {
    progress();
    // First the index: a segment without one counts for nothing.
    await vault.remove(vaultPaths.segmentIndex(name, id));
    await removeAll({ vault }, `${vaultPaths.segments(name)}${id}.`);
    await removeAll({ vault }, `${vaultPaths.tombstones(name)}${id}.`);
  }
  for (const { name: tombstone, id } of plan.leftovers) {
    progress();
    if (needed.has(id)) continue;
    await removeVerdicts(vault, name, id);
    await vault.remove(tombstone);
  }
}

async function removeVerdicts(vault: Vault, cluster: string, id: string): Promise<void> {
  const folder = vaultPaths.verdictsOf(cluster, id);
  await removeAll({ vault }, folder);
  await vault.removeFolder(folder.slice(0, -1));
}

/** What repacking cannot do now, a later run does: what was removed and marked stands all the same. */
async function repackOrSay(cluster: Cluster, step: PruneStep, picture: ClusterPicture, signal: AbortSignal, notes: string[]): Promise<Repacked> {
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

/** In rounds, so that a million names are never held at once. */
async function removeAll({ vault }: Pick<Cluster, 'vault'>, prefix: string): Promise<void> {
  for (let isMore = true; isMore; ) {
    const names: string[] = [];
    for await (const entry of vault.list(prefix)) {
      names.push(entry.name);
      if (names.length === REMOVED_A_ROUND) break;
    }
    for (const name of names) await vault.remove(name);
    isMore = names.length === REMOVED_A_ROUND;
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

function sum(segments: { bytes: number }[]): number {
  return segments.reduce((total, { bytes }) => total + bytes, 0);
}
