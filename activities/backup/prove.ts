import { parseBlobPath } from '../../domain/layout';
import type { BlobLine, TagLine } from '../../domain/manifest';
import { changedSince, Follower, isInFlight, proveTags, type ProvenTag, type References, type TagLink } from '../../domain/proof';
import type { MetadataRow } from '../../domain/rows';
import type { Cluster } from '../cluster';
import type { BackupFacts, BackupStep, MetadataTaken, Proof } from '../contract';
import { report } from '../pulse';
import { readReferences } from './copy-images';
import { LiveTags } from './live-tags';
import { SegmentTrust } from './segment-trust';
import { segmentAccess, StoredBlobs } from './stored';
import { WORK, WorkFiles } from './work-files';

const SHOWN_GAPS = 100;

export type ProveStep = BackupStep & { facts: BackupFacts; metadata: MetadataTaken };

/** One piece of content that a tag needs and the vault has not. */
export interface Gap {
  image: string;
  digest: string;
  what: string;
}

/** Step 9: follows every tag to its blobs, and leaves the lists of tags, blobs and gaps for the seal. */
export async function prove(cluster: Cluster, step: ProveStep, signal: AbortSignal): Promise<Proof> {
  const work = await WorkFiles.open(cluster, step);
  const { facts, metadata } = step;
  const references = await readReferences(work);
  const warnings = [...references.unreadable].map(([table, count]) => `${count} rows of the table ${table} are not of a form that Drydock knows; the images that they name are not proven.`);
  if (!metadata.online && metadata.documents === 0) warnings.push('The metadata archive was made offline: its rows cannot be read, so no image is proven.');
  if (!facts.volume) return external(work, references, warnings);
  report({ phase: 'reading the vault\'s indexes', bytesDone: 0 });
  // What the second pass could use of doubtful segments, it has had checked; the rest counts for nothing.
  const trust = await SegmentTrust.open(cluster, work, signal);
  const stored = await StoredBlobs.load(cluster.vault, cluster.name, signal, await segmentAccess(cluster), trust);
  const follower = new Follower(references, stored);
  const tags = proveTags(references, follower, await tagLinks(work, facts.version));
  const states = await judge(cluster, work, references, tags, metadata.dumpStartedAt);
  const manifests = new Set(references.tags.flatMap(({ digest }) => follower.follow(digest).manifests));
  const gaps = tags.filter((_tag, at) => states[at] === 'gap').flatMap(({ repository, name, missing }): Gap[] => missing.map((each) => ({ image: `${repository}:${name}`, digest: `sha256:${each.digest}`, what: each.what })));
  const blobs = await goodBlobs(work, references, stored);
  await work.write(WORK.tags, tags.map((tag, at) => tagLine(tag, states[at]!, references)));
  await work.write(WORK.blobs, blobs);
  await work.write(WORK.gaps, gaps);
  return {
    counts: { repositories: references.repositories.size, tags: tags.length, manifests: manifests.size, blobs: blobs.length, inFlight: states.filter((state) => state === 'inFlight').length, gaps: gaps.length },
    imageBytes: blobs.reduce((sum, { size }) => sum + size, 0),
    gaps: gaps.slice(0, SHOWN_GAPS),
    layouts: layoutsOf(blobs, facts.version),
    owners: [...references.owners].map(([id, name]) => ({ id, name })),
    warnings: [...warnings, ...stored.damaged, ...trust.warnings],
  };
}

/** Images that lie elsewhere: the tags are listed as the metadata has them, and nothing is said about their content. */
async function external(work: WorkFiles, references: References, warnings: string[]): Promise<Proof> {
  await work.write(WORK.tags, references.tags.map((tag) => tagLine(tag, 'whole', references)));
  await work.write(WORK.blobs, []);
  await work.write(WORK.gaps, []);
  return {
    counts: { repositories: references.repositories.size, tags: references.tags.length, manifests: new Set(references.tags.map(({ digest }) => digest)).size, blobs: 0, inFlight: 0, gaps: 0 },
    imageBytes: 0, gaps: [], layouts: [], owners: [...references.owners].map(([id, name]) => ({ id, name })), warnings,
  };
}

/** From 2.6 on tags stand in the metadata only, and links of an older life may lie about. */
async function tagLinks(work: WorkFiles, version: string): Promise<TagLink[] | null> {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > 2 || minor >= 6) return null;
  const links: TagLink[] = [];
  for await (const link of work.read<TagLink>(WORK.links)) links.push(link);
  return links;
}

/** Whole, a gap, or in flight: being changed while the dump ran. */
async function judge(cluster: Cluster, work: WorkFiles, references: References, tags: ProvenTag[], since: string): Promise<TagLine['state'][]> {
  const changed = tags.filter((tag) => tag.missing.length === 0 && changedSince(tag.changedAt, since));
  const halfDumped = await withoutLinks(work, changed);
  // The table of manifests may have been dumped before the push, that of tags after it.
  for (const tag of changed) if (!references.hasManifests(tag.repository, tag.manifests)) halfDumped.add(tag);
  const live = new LiveTags(await cluster.dtr());
  const states: TagLine['state'][] = [];
  for (const tag of tags) {
    const isWhole = tag.missing.length === 0;
    if (isWhole && tag.linkOnly === undefined) states.push(halfDumped.has(tag) ? 'inFlight' : 'whole');
    else if (changedSince(tag.changedAt, since) || isInFlight(tag, await live.find(tag.repository, tag.name), since)) states.push('inFlight');
    else states.push(isWhole ? 'whole' : 'gap');
  }
  return states;
}

/**
 * Of tags that changed since the dump began: those whose layers have no row in `blob_links` (2.6 and later), so that the restored registry would
 * not hand them out. Tables are dumped one after another, and this one may have come before the push.
 */
async function withoutLinks(work: WorkFiles, changed: ProvenTag[]): Promise<Set<ProvenTag>> {
  const open = new Map<string, ProvenTag[]>();
  for (const tag of changed) for (const digest of tag.parts) open.set(`${tag.repository}@${digest}`, [...(open.get(`${tag.repository}@${digest}`) ?? []), tag]);
  if (open.size === 0) return new Set();
  let rows = 0;
  for await (const row of work.read<MetadataRow>(WORK.rows)) {
    if (row.table !== 'blob_links') continue;
    rows += 1;
    open.delete(`${row.repository}@${row.digest}`);
  }
  // A version without this table has nothing to miss.
  return rows === 0 ? new Set() : new Set([...open.values()].flat());
}

function tagLine({ repository, name, digest }: Pick<ProvenTag, 'repository' | 'name' | 'digest'>, state: TagLine['state'], references: References): TagLine {
  const visibility = references.repositories.get(repository)?.visibility;
  return { repository, name, digest: `sha256:${digest}`, state, ...(visibility === undefined ? {} : { visibility }) };
}

/** All stored copies with the right digest of what is in the volume or named by the metadata, ordered by segment as they are read back. */
async function goodBlobs(work: WorkFiles, references: References, stored: StoredBlobs): Promise<BlobLine[]> {
  const lines = new Map<string, BlobLine>();
  const add = (path: string, digest: string): void => {
    const copy = stored.good(path, digest);
    if (copy) lines.set(path, { path, size: copy.size, sha256: copy.sha256, segment: copy.segment });
  };
  for await (const { path } of work.read<{ path: string }>(WORK.listing)) {
    const digest = references.digestAt(path);
    if (digest !== undefined) add(path, digest);
  }
  for (const digest of references.named()) for (const path of references.pathsOf(digest)) add(path, digest);
  return [...lines.values()].sort((a, b) => (a.segment === b.segment ? compare(a.path, b.path) : compare(a.segment, b.segment)));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function layoutsOf(blobs: BlobLine[], version: string): ('sha256' | 'id')[] {
  const found = new Set(blobs.flatMap(({ path }) => parseBlobPath(path)?.layout ?? []));
  // An empty registry has the layout that its version would write.
  if (found.size === 0) found.add(Number(version.split('.')[1] ?? 0) >= 6 ? 'id' : 'sha256');
  return [...found].sort();
}

