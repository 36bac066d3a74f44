/** One look at all that stands in a cluster's part of a vault: the base of every decision on what may go. */
import { z } from 'zod';
import { backupIdSchema } from '../../domain/contract';
import { DrydockError } from '../../domain/errors';
import type { SegmentFiles, VaultPicture } from '../../domain/prune';
import type { BackupFact } from '../../domain/retention';
import { vaultPaths } from '../../domain/vault-format';
import { standingOf, type Verdict } from '../../domain/verdict';
import { readManifestJson } from './manifest-file';
import { mapAtOnce } from '../stream/at-once';
import { readMarks } from './marks';
import { type SegmentLists, type ListRef } from './segment-lists';
import { tellFault } from './small-file';
import type { Vault } from './vault';
import { eachVerdict, type VerdictNames } from './verdicts';

/** The part of a manifest that retention needs. */
const manifestHead = z.looseObject({
  format: z.literal(1),
  backupId: backupIdSchema,
  status: z.enum(['complete', 'incomplete']),
  startedAt: z.iso.datetime(),
  artifacts: z.looseObject({ segments: z.looseObject({ name: z.string(), bytes: z.int().min(0), sha256: z.string() }) }),
});

/** What names, manifests, verdicts and tombstones say. Which segments a backup needs stands in its list. */
export interface ClusterPicture extends Omit<VaultPicture, 'sealed'> {
  sealed: { id: string; list: ListRef }[];
  facts: BackupFact[];
  /** One sentence for each file that cannot be read or is not what its name says. */
  faults: string[];
}

/** Besides, which segments each backup needs: the base of every decision on segments. */
export interface FullPicture extends VaultPicture {
  facts: BackupFact[];
  faults: string[];
}

const READS_AT_ONCE = 16;
/** Lists are long, so few at once. */
const LISTS_AT_ONCE = 4;

/**
 * Reads names, manifests, verdicts and tombstones; no segment, no index and no list. Damage is named, never fatal.
 * Segments are listed before manifests are looked for, so that a backup sealed meanwhile can only make more of them count as needed.
 */
export async function readPicture(vault: Vault, cluster: string, signal?: AbortSignal): Promise<ClusterPicture> {
  const faults: string[] = [];
  // Before all that it judges: a hold that ends while we look is not over.
  const now = await vault.clock();
  const segments = await readSegments(vault, cluster, signal);
  const folders = await readFolders(vault, cluster, signal);
  const { marks, forgotten } = await readMarks(vault, cluster, new Set([...folders.keys()]), new Set(segments.map(({ id }) => id)), faults, signal);
  const verdicts = await readVerdicts(vault, cluster, faults, signal);
  const picture: ClusterPicture = {
    now, sealed: [], unreadable: [], unsealed: [], facts: [], segments, marks, faults,
  };
  const heads = await mapAtOnce([...folders], READS_AT_ONCE, async ([id, { isSealed }]) => {
    signal?.throwIfAborted();
    return isSealed ? readHead(vault, cluster, id, faults) : null;
  });
  for (const [at, [id, { isSealed, newest }]] of [...folders].entries()) {
    const head = heads[at] ?? null;
    if (!isSealed) {
      picture.unsealed.push({ id, newest });
      continue;
    }
    // Removed by another hand since it was listed: it needs nothing any more.
    if (head === 'gone') continue;
    if (head === null) {
      picture.unreadable.push(id);
      continue;
    }
    const standing = standingOf(verdicts.get(id) ?? []);
    const asked = forgotten.get(id);
    picture.sealed.push({ id, list: head.artifacts.segments });
    picture.facts.push({
      id, startedAt: head.startedAt, status: head.status, verified: standing.verified, bad: standing.bad !== undefined, drilled: standing.drill !== undefined, ...(asked ? { forgotten: asked } : {}),
    });
  }
  return picture;
}

/** A picture with the segments that each backup needs. A backup whose list is damaged or gone is `unreadable`: nobody knows what it needs. */
export async function readFullPicture(vault: Vault, cluster: string, lists: SegmentLists, signal?: AbortSignal): Promise<FullPicture> {
  const { sealed, ...picture } = await readPicture(vault, cluster, signal);
  const full: FullPicture = { ...picture, sealed: [] };
  const needs = await mapAtOnce(sealed, LISTS_AT_ONCE, async ({ id, list }) => {
    signal?.throwIfAborted();
    return lists.of(vault, list, signal).catch(async (error: unknown) => {
      if (!(error instanceof DrydockError) || error.retryable) throw error;
      // Removed by another hand since it was listed: it needs nothing any more.
      return (await vault.stat(vaultPaths.manifest(cluster, id))) === null ? null : error;
    });
  });
  const lost = new Set<string>();
  for (const [at, segments] of needs.entries()) {
    const { id } = sealed[at]!;
    if (segments !== null && !(segments instanceof DrydockError)) full.sealed.push({ id, segments });
    else {
      lost.add(id);
      if (segments) full.unreadable.push(id);
      if (segments) tellFault(full.faults, `${segments.message}.`);
    }
  }
  return { ...full, facts: full.facts.filter(({ id }) => !lost.has(id)) };
}

/** The segments that each sealed backup names, the newest backup first. A manifest or a list that cannot be read, or is gone by now, names none. */
export async function* sealedSegments(vault: Vault, cluster: string, lists: SegmentLists): AsyncGenerator<readonly string[]> {
  const folders = await readFolders(vault, cluster);
  const sealed = [...folders].flatMap(([id, { isSealed }]) => (isSealed ? [id] : [])).sort().reverse();
  for (const id of sealed) {
    const head = await readHead(vault, cluster, id, []);
    if (head === null || head === 'gone') continue;
    const segments = await lists.of(vault, head.artifacts.segments).catch((error: unknown) => {
      if (!(error instanceof DrydockError) || error.retryable) throw error;
      return null;
    });
    if (segments !== null) yield segments;
  }
}

async function readSegments(vault: Vault, cluster: string, signal?: AbortSignal): Promise<SegmentFiles[]> {
  const found = new Map<string, SegmentFiles & { parts: Set<string> }>();
  const prefix = vaultPaths.segments(cluster);
  for await (const entry of vault.list(prefix)) {
    signal?.throwIfAborted();
    // `<id>.tar.gpg`, `<id>.index`, `<id>.<key id>.keys`
    const match = /^([0-9A-Za-z][0-9A-Za-z-]*)\.([0-9A-Za-z.]+)$/.exec(entry.name.slice(prefix.length));
    if (!match) continue;
    const [, id, part] = match as unknown as [string, string, string];
    const known = found.get(id) ?? { id, bytes: 0, newest: entry.modified, isWhole: false, parts: new Set() };
    known.parts.add(part);
    known.bytes += entry.size;
    if (entry.modified > known.newest) known.newest = entry.modified;
    found.set(id, known);
  }
  return [...found.values()].map(({ parts, ...files }) => ({ ...files, isWhole: parts.has('index') && parts.has('tar.gpg') }));
}

async function readFolders(vault: Vault, cluster: string, signal?: AbortSignal): Promise<Map<string, { isSealed: boolean; newest: Date }>> {
  const folders = new Map<string, { isSealed: boolean; newest: Date }>();
  const prefix = vaultPaths.backups(cluster);
  for await (const entry of vault.list(prefix)) {
    signal?.throwIfAborted();
    const id = entry.name.slice(prefix.length).split('/', 1)[0]!;
    if (!backupIdSchema.safeParse(id).success) continue;
    const known = folders.get(id) ?? { isSealed: false, newest: entry.modified };
    if (entry.modified > known.newest) known.newest = entry.modified;
    if (entry.name === vaultPaths.manifest(cluster, id)) known.isSealed = true;
    folders.set(id, known);
  }
  return folders;
}

async function readHead(vault: Vault, cluster: string, id: string, faults: string[]): Promise<z.infer<typeof manifestHead> | null | 'gone'> {
  const name = vaultPaths.manifest(cluster, id);
  try {
    const head = manifestHead.parse((await readManifestJson(vault, cluster, id)).json);
    if (head.backupId !== id) faults.push(`${name} is the manifest of backup ${head.backupId}.`);
    else if (!head.artifacts.segments.name.startsWith(`${vaultPaths.backup(cluster, id)}/`)) faults.push(`${name} names files that are not its own.`);
    else return head;
  } catch (error) {
    if (error instanceof DrydockError && error.kind === 'NotFound') return 'gone';
    // A vault that cannot be reached must never look like one that holds damage.
    if (error instanceof DrydockError && error.retryable) throw error;
    faults.push(error instanceof DrydockError ? `${error.message}.` : `${name} is not a manifest that this version knows.`);
  }
  return null;
}

async function readVerdicts(vault: Vault, cluster: string, faults: string[], signal?: AbortSignal): Promise<Map<string, Verdict[]>> {
  const byBackup = new Map<string, Verdict[]>();
  const crowded = ({ id, names, passedBy }: VerdictNames): void => {
    if (passedBy > 0) faults.unshift(`${vaultPaths.verdictsOf(cluster, id)} has ${names.length + passedBy} verdicts, more than can be right; its newest ${names.length} count. Find out who writes into the vault.`);
  };
  for await (const { id, name, verdict } of eachVerdict(vault, cluster, { faults, onGroup: crowded })) {
    signal?.throwIfAborted();
    if (verdict.backupId === id) byBackup.set(id, [...(byBackup.get(id) ?? []), verdict]);
    else tellFault(faults, `${name} is a verdict on backup ${verdict.backupId}.`);
  }
  return byBackup;
}
