/** Tombstones: which backups and segments are marked for removal, since when and by whom. A forged vault may hold a million of them. */
import { backupIdSchema } from '../../domain/contract';
import type { Mark } from '../../domain/prune';
import { tombstoneSchema, type Tombstone } from '../../domain/tombstone';
import { vaultPaths } from '../../domain/vault-format';
import { readAhead } from '../stream/at-once';
import { readSmall, tellFault } from './small-file';
import type { Vault, VaultEntry } from './vault';

/** Marks of what is gone that one run clears away; what is left comes next time. */
const MAX_LEFTOVERS = 10_000;
/** Of one backup or segment: `prune` makes one, `forget` another. */
const MAX_OF_ONE = 100;
const READS_AHEAD = 16;
/** From so many marks on, only those of segments that are there are kept in memory. */
const MANY = 100_000;
/** Nothing is removed by a mark of that time. */
const NEVER = new Date(8.64e15);

export interface Marks {
  marks: Mark[];
  /** Backups that a person gave up. */
  forgotten: Map<string, { by: string; approved: boolean }>;
}

/** A backup that is marked for removal. */
export interface GivenUp {
  /** Since when the hold counts, by the vault's clock. */
  since: Date;
  /** The person who forgot it, or the operation that marked it. */
  by: string;
  why: string;
}

/** Ids of segments that have a tombstone: nothing new may be built on them. */
export async function markedSegments(vault: Vault, cluster: string): Promise<Set<string>> {
  const ids = new Set<string>();
  let there: ReadonlySet<string> | undefined;
  for await (const { name } of vault.list(vaultPaths.tombstones(cluster))) {
    const id = markedId(cluster, name);
    if (id === null || there?.has(id) === false || backupIdSchema.safeParse(id).success) continue;
    if (there === undefined && ids.size >= MANY) {
      there = await segmentIds(vault, cluster);
      for (const each of ids) if (!there.has(each)) ids.delete(each);
    }
    if (there?.has(id) ?? true) ids.add(id);
  }
  return ids;
}

/** Tombstones of what is there are read; of a million others only the names are looked at, and some are kept to be cleared away. */
export async function readMarks(vault: Vault, cluster: string, backups: ReadonlySet<string>, segments: ReadonlySet<string>, faults: string[], signal?: AbortSignal): Promise<Marks> {
  const marks: Mark[] = [];
  const forgotten: Marks['forgotten'] = new Map();
  const seen = new Map<string, number>();
  let leftovers = 0;
  async function* ofWhatIsThere(): AsyncGenerator<{ entry: VaultEntry; id: string }> {
    for await (const entry of vault.list(vaultPaths.tombstones(cluster))) {
      signal?.throwIfAborted();
      const id = markedId(cluster, entry.name);
      if (id === null) {
        tellFault(faults, `${entry.name} has no name of a tombstone.`);
        continue;
      }
      if (!backups.has(id) && !segments.has(id)) {
        if ((leftovers += 1) <= MAX_LEFTOVERS) marks.push({ name: entry.name, id, since: entry.modified, isForgotten: false });
        continue;
      }
      const before = seen.get(id) ?? 0;
      seen.set(id, before + 1);
      if (before < MAX_OF_ONE) yield { entry, id };
    }
  }
  for await (const { entry, id, tombstone } of readAhead(ofWhatIsThere(), READS_AHEAD, async (each) => ({ ...each, tombstone: await readOne(vault, each.entry, each.id, faults) }))) {
    // One that cannot be read still keeps new backups off; but it removes nothing.
    marks.push({ name: entry.name, id, since: tombstone === null ? NEVER : later(entry, tombstone.at), isForgotten: tombstone?.forgotten !== undefined });
    if (tombstone?.forgotten) forgotten.set(id, { by: tombstone.forgotten.by, approved: tombstone.forgotten.approved || (forgotten.get(id)?.approved ?? false) });
  }
  tellTooMany(cluster, leftovers, seen, faults);
  return { marks, forgotten };
}

/** What the tombstones say of these backups. The hold counts from the oldest one; a person's word stands before an operation's. */
export async function readGivenUp(vault: Vault, cluster: string, backups: ReadonlySet<string>): Promise<Map<string, GivenUp>> {
  const found = new Map<string, GivenUp & { isForgotten: boolean }>();
  for await (const { id, entry, tombstone } of tombstonesOf(vault, cluster, backups)) {
    const { by, why, forgotten } = tombstone;
    const [since, known] = [later(entry, tombstone.at), found.get(id)];
    const oldest = known && known.since < since ? known.since : since;
    if (known?.isForgotten === true || (known && !forgotten)) found.set(id, { ...known, since: oldest });
    else found.set(id, { since: oldest, by: forgotten?.by ?? by, why, isForgotten: forgotten !== undefined });
  }
  return new Map([...found].map(([id, { since, by, why }]) => [id, { since, by, why }]));
}

/** Readable tombstones of these backups, of a crowd of one backup's only some. */
async function* tombstonesOf(vault: Vault, cluster: string, backups: ReadonlySet<string>): AsyncGenerator<{ id: string; entry: VaultEntry; tombstone: Tombstone }> {
  const seen = new Map<string, number>();
  for await (const entry of vault.list(vaultPaths.tombstones(cluster))) {
    const id = markedId(cluster, entry.name);
    if (id === null || !backups.has(id)) continue;
    const before = seen.get(id) ?? 0;
    seen.set(id, before + 1);
    const tombstone = before < MAX_OF_ONE ? await readOne(vault, entry, id, []) : null;
    if (tombstone !== null) yield { id, entry, tombstone };
  }
}

/** Names of the tombstones by which a person gave up these backups, by backup, whether the backups still stand in this vault or not. */
export async function readForgotten(vault: Vault, cluster: string, backups: ReadonlySet<string>): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  if (backups.size === 0) return found;
  for await (const { id, entry, tombstone } of tombstonesOf(vault, cluster, backups)) {
    if (tombstone.forgotten !== undefined) found.set(id, [...(found.get(id) ?? []), entry.name]);
  }
  return found;
}

/** Null for one that cannot be read, or that is about something else than its name says. */
async function readOne(vault: Vault, { name }: VaultEntry, id: string, faults: string[]): Promise<Tombstone | null> {
  const tombstone = await readSmall(vault, name, tombstoneSchema, faults);
  return tombstone?.id === id ? tombstone : null;
}

/** Before all other faults: it is the first thing to be looked into. */
function tellTooMany(cluster: string, leftovers: number, seen: ReadonlyMap<string, number>, faults: string[]): void {
  const crowded = [...seen].filter(([, count]) => count > MAX_OF_ONE);
  const [worst] = crowded.sort((a, b) => b[1] - a[1]);
  if (worst) faults.unshift(`${worst[0]} has ${worst[1]} tombstones, more than can be right${crowded.length > 1 ? `, as have ${crowded.length - 1} others` : ''}; its first ${MAX_OF_ONE} count. Find out who writes into the vault.`);
  if (leftovers > MAX_LEFTOVERS) faults.unshift(`${vaultPaths.tombstones(cluster)} has ${leftovers} tombstones of what is not there, more than can be right; one run clears ${MAX_LEFTOVERS} away. Find out who writes into the vault.`);
}

/** What a tombstone says of its own time cannot bring the removal forward: the vault knows when it was written. */
function later(entry: VaultEntry, said: string): Date {
  const time = new Date(said);
  return time > entry.modified ? time : entry.modified;
}

/** Null when the name is not that of a tombstone. */
function markedId(cluster: string, name: string): string | null {
  return /^([0-9A-Za-z][0-9A-Za-z-]*)\.[0-9TZ]+\.json$/.exec(name.slice(vaultPaths.tombstones(cluster).length))?.[1] ?? null;
}

async function segmentIds(vault: Vault, cluster: string): Promise<Set<string>> {
  const ids = new Set<string>();
  const prefix = vaultPaths.segments(cluster);
  for await (const { name } of vault.list(prefix)) ids.add(name.slice(prefix.length).split('.', 1)[0]!);
  return ids;
}
