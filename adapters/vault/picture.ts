/** One look at all that stands in a cluster's part of a vault: the base of every decision on what may go. */
import { z } from 'zod';
import { backupIdSchema } from '../../domain/contract';
import { DrydockError } from '../../domain/errors';
import type { Mark, SegmentFiles, VaultPicture } from '../../domain/prune';
import type { BackupFact } from '../../domain/retention';
import { tombstoneSchema } from '../../domain/tombstone';
import { vaultPaths } from '../../domain/vault-format';
import { standingOf, verdictSchema, type Verdict } from '../../domain/verdict';
import { parseBounded } from './bounded-json';
import { readManifestJson } from './manifest-file';
import type { Vault, VaultEntry } from './vault';

/** Verdicts, tombstones: a few hundred bytes each. */
const SMALL_MAX_BYTES = 64 * 1024;

/** The part of a manifest that retention needs. */
const manifestHead = z.looseObject({
  format: z.literal(1),
  backupId: backupIdSchema,
  status: z.enum(['complete', 'incomplete']),
  startedAt: z.iso.datetime(),
  segments: z.array(z.looseObject({ segment: z.string() })),
});

export interface ClusterPicture extends VaultPicture {
  facts: BackupFact[];
  /** One sentence for each file that cannot be read or is not what its name says. */
  faults: string[];
}

/**
 * Reads names, manifests, verdicts and tombstones; no segment and no index. Damage is named, never fatal.
 * Segments are listed before manifests are looked for, so that a backup sealed meanwhile can only make more of them count as needed.
 */
export async function readPicture(vault: Vault, cluster: string, signal?: AbortSignal): Promise<ClusterPicture> {
  const faults: string[] = [];
  const segments = await readSegments(vault, cluster, signal);
  const folders = await readFolders(vault, cluster, signal);
  const { marks, forgotten } = await readMarks(vault, cluster, new Set([...folders.keys()]), new Set(segments.map(({ id }) => id)), faults, signal);
  const verdicts = await readVerdicts(vault, cluster, faults, signal);
  const picture: ClusterPicture = {
    now: await vault.clock(), sealed: [], unreadable: [], unsealed: [], facts: [], segments, marks, faults,
  };
  for (const [id, { isSealed, newest }] of folders) {
    signal?.throwIfAborted();
    if (!isSealed) {
      picture.unsealed.push({ id, newest });
      continue;
    }
    const head = await readHead(vault, cluster, id, faults);
    // Removed by another hand since it was listed: it needs nothing any more.
    if (head === 'gone') continue;
    if (head === null) {
      picture.unreadable.push(id);
      continue;
    }
    const standing = standingOf(verdicts.get(id) ?? []);
    const asked = forgotten.get(id);
    picture.sealed.push({ id, segments: head.segments.map(({ segment }) => segment) });
    picture.facts.push({
      id, startedAt: head.startedAt, status: head.status, verified: standing.verified, bad: standing.bad !== undefined, drilled: standing.drill !== undefined, ...(asked ? { forgotten: asked } : {}),
    });
  }
  return picture;
}

/** Ids of segments that have a tombstone: nothing new may be built on them. */
export async function markedSegments(vault: Vault, cluster: string): Promise<Set<string>> {
  const ids = new Set<string>();
  for await (const { name } of vault.list(vaultPaths.tombstones(cluster))) {
    const id = markedId(cluster, name);
    if (id !== null && !backupIdSchema.safeParse(id).success) ids.add(id);
  }
  return ids;
}

/** The segments that each sealed backup names, the newest backup first. A manifest that cannot be read, or is gone by now, names none. */
export async function* sealedSegments(vault: Vault, cluster: string): AsyncGenerator<string[]> {
  const folders = await readFolders(vault, cluster);
  const sealed = [...folders].flatMap(([id, { isSealed }]) => (isSealed ? [id] : [])).sort().reverse();
  for (const id of sealed) {
    const head = await readHead(vault, cluster, id, []);
    if (head !== null && head !== 'gone') yield head.segments.map(({ segment }) => segment);
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
    if (head.backupId === id) return head;
    faults.push(`${name} is the manifest of backup ${head.backupId}.`);
  } catch (error) {
    if (error instanceof DrydockError && error.kind === 'NotFound') return 'gone';
    // A vault that cannot be reached must never look like one that holds damage.
    if (error instanceof DrydockError && error.retryable) throw error;
    faults.push(error instanceof DrydockError ? `${error.message}.` : `${name} is not a manifest that this version knows.`);
  }
  return null;
}

/** Tombstones of what is there are read; of a million others only the names are looked at, and some are kept to be cleared away. */
async function readMarks(vault: Vault, cluster: string, backups: ReadonlySet<string>, segments: ReadonlySet<string>, faults: string[], signal?: AbortSignal): Promise<{ marks: Mark[]; forgotten: Map<string, { by: string; approved: boolean }> }> {
  const marks: Mark[] = [];
  const forgotten = new Map<string, { by: string; approved: boolean }>();
  let leftovers = 0;
  for await (const entry of vault.list(vaultPaths.tombstones(cluster))) {
    signal?.throwIfAborted();
    const id = markedId(cluster, entry.name);
    if (id === null) {
      if (faults.length < MAX_FAULTS) faults.push(`${entry.name} has no name of a tombstone.`);
      continue;
    }
    if (!backups.has(id) && !segments.has(id)) {
      if ((leftovers += 1) > MAX_LEFTOVERS) continue;
      marks.push({ name: entry.name, id, since: entry.modified, isForgotten: false });
      continue;
    }
    const tombstone = await readSmall(vault, entry.name, tombstoneSchema, SMALL_MAX_BYTES, faults);
    // One that cannot be read still keeps new backups off; but it removes nothing.
    const since = tombstone?.id === id ? later(entry, tombstone.at) : NEVER;
    marks.push({ name: entry.name, id, since, isForgotten: tombstone?.forgotten !== undefined });
    if (tombstone?.forgotten && tombstone.id === id) forgotten.set(id, { by: tombstone.forgotten.by, approved: tombstone.forgotten.approved || (forgotten.get(id)?.approved ?? false) });
  }
  return { marks, forgotten };
}

const MAX_FAULTS = 1000;
/** Cleared away by one run; what is left comes next time. */
const MAX_LEFTOVERS = 10_000;
const NEVER = new Date(8.64e15);

/** What a tombstone says of its own time cannot bring the removal forward: the vault knows when it was written. */
function later(entry: VaultEntry, said: string): Date {
  const time = new Date(said);
  return time > entry.modified ? time : entry.modified;
}

/** Null when the name is not that of a tombstone. */
function markedId(cluster: string, name: string): string | null {
  return /^([0-9A-Za-z][0-9A-Za-z-]*)\.[0-9TZ]+\.json$/.exec(name.slice(vaultPaths.tombstones(cluster).length))?.[1] ?? null;
}

async function readVerdicts(vault: Vault, cluster: string, faults: string[], signal?: AbortSignal): Promise<Map<string, Verdict[]>> {
  const byBackup = new Map<string, Verdict[]>();
  for await (const { name } of vault.list(vaultPaths.verdicts(cluster))) {
    signal?.throwIfAborted();
    const id = name.slice(vaultPaths.verdicts(cluster).length).split('/', 1)[0]!;
    if (!name.endsWith('.json')) continue;
    const verdict = await readSmall(vault, name, verdictSchema, SMALL_MAX_BYTES, faults);
    if (!verdict) continue;
    if (verdict.backupId === id) byBackup.set(id, [...(byBackup.get(id) ?? []), verdict]);
    else faults.push(`${name} is a verdict on backup ${verdict.backupId}.`);
  }
  return byBackup;
}

/** Null, with a sentence in `faults`, for one that cannot be used; null alone for one that has just gone. */
async function readSmall<S extends z.ZodType>(vault: Vault, name: string, schema: S, maxBytes: number, faults: string[]): Promise<z.infer<S> | null> {
  try {
    return schema.parse(parseBounded(await vault.readAll(name, maxBytes), name));
  } catch (error) {
    if (error instanceof DrydockError && error.kind === 'NotFound') return null;
    if (error instanceof DrydockError && error.retryable) throw error;
    if (faults.length < MAX_FAULTS) faults.push(error instanceof DrydockError ? `${error.message}.` : `${name} is not of a form that this version knows.`);
    return null;
  }
}
