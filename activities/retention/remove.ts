/** Phase two of retention: what was marked longer ago than the hold goes, each thing by a look of its own. */
import { readBadSegments } from '../../adapters/vault/bad-segments';
import type { FullPicture } from '../../adapters/vault/picture';
import type { Vault } from '../../adapters/vault/vault';
import type { RemovalPlan, SegmentFiles } from '../../domain/prune';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import { report } from '../pulse';
import type { Look, Looks } from './looks';
import { standingMarks } from './standing-marks';

const REMOVED_A_ROUND = 10_000;

export interface Removed {
  backups: string[];
  segments: SegmentFiles[];
  /** Sentences. */
  notes: string[];
}

/**
 * Removes what the first look plans and a look right before still finds given up. Segments go before backups, so that what is left of the words on
 * damaged segments can be told. Every step may be the last.
 */
export async function removeDue(cluster: Cluster, looks: Looks, first: Look, signal: AbortSignal): Promise<Removed> {
  const { vault, name } = cluster;
  const plan = first.removal;
  const removed: Removed = { backups: [], segments: [], notes: [] };
  for (const tombstone of plan.lift) await vault.remove(tombstone);
  const itemsTotal = plan.backups.length + plan.segments.length + plan.leftovers.length;
  let itemsDone = 0;
  const progress = (): void => {
    signal.throwIfAborted();
    report({ phase: 'removing what was given up', bytesDone: 0, itemsDone: (itemsDone += 1), itemsTotal });
  };
  const isStillDue = async (what: string, id: string, isPlanned: (now: RemovalPlan) => boolean): Promise<boolean> => {
    const { removal } = await looks.fresh();
    if (isPlanned(removal) && (await isMarked(cluster, removal, id))) return true;
    removed.notes.push(...removal.notes, `${what} ${id} stays: since this run began it was kept or needed again, or nothing can be said of it now.`);
    return false;
  };
  for (const segment of plan.segments) {
    progress();
    if (!(await isStillDue('Segment', segment.id, ({ segments }) => segments.some(({ id }) => id === segment.id)))) continue;
    await removeSegment(vault, name, segment.id);
    removed.segments.push(segment);
  }
  if (plan.backups.length + plan.leftovers.length === 0) return removed;
  const gone = [...plan.backups, ...plan.leftovers.map(({ id }) => id)];
  const stays: Staying = { verdicts: await neededWords(cluster, (await looks.fresh()).picture, removed), marks: await standingMarks(cluster, gone) };
  for (const id of plan.backups) {
    progress();
    if (!(await isStillDue('Backup', id, ({ backups }) => backups.includes(id)))) continue;
    await removeBackup(vault, name, id, stays);
    removed.backups.push(id);
  }
  for (const { name: tombstone, id } of plan.leftovers) {
    progress();
    if (stays.verdicts.has(id)) continue;
    await removeVerdicts(vault, name, id);
    if (!stays.marks.has(tombstone)) await vault.remove(tombstone);
  }
  return removed;
}

/** Whether a mark whose hold is over still stands, asked in the last moment: whoever relies on the thing again lifts its marks first. */
async function isMarked({ vault, name }: Cluster, { due }: RemovalPlan, id: string): Promise<boolean> {
  const over = new Set(due.get(id));
  for await (const entry of vault.list(`${vaultPaths.tombstones(name)}${id}.`)) if (over.has(entry.name)) return true;
  return false;
}

/** What is left of backups that go. */
interface Staying {
  /** Backups whose verdicts stay, and with them their tombstones, by which a later run finds them again. */
  verdicts: ReadonlySet<string>;
  /** Names of tombstones. */
  marks: ReadonlySet<string>;
}

/** Backups whose verdicts must stay: they alone say that nothing may be built on a segment which still stands. */
async function neededWords({ vault, name }: Cluster, { segments }: FullPicture, removed: Removed): Promise<Set<string>> {
  const gone = new Set(removed.segments.map(({ id }) => id));
  const standing = new Set(segments.map(({ id }) => id).filter((id) => !gone.has(id)));
  return new Set([...(await readBadSegments(vault, name))].flatMap(([segment, backup]) => (standing.has(segment) ? [backup] : [])));
}

async function removeBackup(vault: Vault, cluster: string, id: string, stays: Staying): Promise<void> {
  // First the manifest: from then on the backup does not exist, and what is left of it is nobody's.
  await vault.remove(vaultPaths.manifest(cluster, id));
  await removeAll(vault, `${vaultPaths.backup(cluster, id)}/`);
  await vault.removeFolder(vaultPaths.backup(cluster, id));
  if (stays.verdicts.has(id)) return;
  await removeVerdicts(vault, cluster, id);
  await removeAll(vault, `${vaultPaths.tombstones(cluster)}${id}.`, stays.marks);
}

async function removeVerdicts(vault: Vault, cluster: string, id: string): Promise<void> {
  const folder = vaultPaths.verdictsOf(cluster, id);
  await removeAll(vault, folder);
  await vault.removeFolder(folder.slice(0, -1));
}

async function removeSegment(vault: Vault, cluster: string, id: string): Promise<void> {
  // First the index: a segment without one counts for nothing.
  await vault.remove(vaultPaths.segmentIndex(cluster, id));
  await removeAll(vault, `${vaultPaths.segments(cluster)}${id}.`);
  await removeAll(vault, `${vaultPaths.tombstones(cluster)}${id}.`);
}

/** In rounds, so that a million names are never held at once. */
async function removeAll(vault: Vault, prefix: string, but: ReadonlySet<string> = new Set()): Promise<void> {
  for (let isMore = true; isMore; ) {
    const names: string[] = [];
    for await (const entry of vault.list(prefix)) {
      if (but.has(entry.name)) continue;
      names.push(entry.name);
      if (names.length === REMOVED_A_ROUND) break;
    }
    for (const name of names) await vault.remove(name);
    isMore = names.length === REMOVED_A_ROUND;
  }
}
