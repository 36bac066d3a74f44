import { AcceptedGaps, type UsedGap } from '../../domain/accepted-gaps';
import { ContentNumbers } from '../../domain/content-numbers';
import { DigestNumbers } from '../../domain/digest-numbers';
import { parseBlobPath } from '../../domain/layout';
import type { CopyList } from '../../domain/copy-list';
import { showDigest } from '../../domain/digest';
import type { BlobLine, TagLine } from '../../domain/manifest';
import type { NoteOf } from '../../domain/notes';
import { Oddities } from '../../domain/oddities';
import { changedSince, Follower, isInFlight, proveTags, type ProvenTag, type TagLink } from '../../domain/proof';
import type { References } from '../../domain/references';
import type { BlobLinkRow } from '../../domain/rows';
import { firstOf } from '../../domain/shown';
import { TagList } from '../../domain/tag-list';
import type { Cluster } from '../cluster';
import type { BackupFacts, BackupStep, MetadataTaken, Proof } from '../contract';
import { report } from '../pulse';
import { readReferences } from './copy-images';
import { LiveTags } from './live-tags';
import { SegmentTrust } from './segment-trust';
import { keptIndexes, segmentAccess, StoredBlobs } from './stored';
import { WORK, WorkFiles } from './work-files';

/** Which images there are, and what they consist of. */
const NEEDED_TABLES: ReadonlySet<string> = new Set(['tags', 'manifests', 'blobs']);
const SHOWN_GAPS = 100;
const SHOWN_WARNINGS = 50;
const SHOWN_ODDITIES = 20;

export type ProveStep = BackupStep & { facts: BackupFacts; metadata: MetadataTaken };

/** One piece of content that a tag needs and the vault has not. */
export interface Gap {
  image: string;
  digest: string;
  what: string;
}

/** Step 9: follows every tag to its blobs, and leaves the lists of tags, blobs, gaps and notes for the seal. */
export async function prove(cluster: Cluster, step: ProveStep, signal: AbortSignal): Promise<Proof> {
  const work = await WorkFiles.open(cluster, step);
  const { facts, metadata } = step;
  const numbers = new ContentNumbers();
  const references = await readReferences(work, numbers);
  const unproven = await findUnproven(cluster, references, metadata);
  const warnings = [...unreadRows(references, ({ isNeeded }) => !isNeeded), ...unproven];
  if (!facts.volume) return external(work, references, { unproven, warnings });
  report({ phase: 'reading the vault\'s indexes', bytesDone: 0 });
  // What the second pass could use of doubtful segments, it has had checked; the rest counts for nothing.
  const trust = await SegmentTrust.open(cluster, work, signal);
  const stored = await StoredBlobs.load(cluster.vault, cluster.name, { signal, access: await segmentAccess(cluster), trust, kept: await keptIndexes(cluster, signal), numbers });
  for await (const { other, sha256 } of work.read<{ other: string; sha256: string }>(WORK.aliases)) references.addAlias(other, sha256);
  const follower = new Follower(references, stored.copies);
  const oddities = new Oddities(references, stored.copies, follower);
  const accepted = new AcceptedGaps(cluster.config.acceptGaps, metadata.dumpStartedAt);
  const tags = await writeTags(cluster, work, references, { follower, oddities, accepted }, step);
  await work.write(WORK.notes, notesOf(references, accepted.used()));
  const blobs = await writeBlobs(work, references, stored.copies);
  return {
    counts: { repositories: references.repositories.size, tags: tags.tags, manifests: tags.manifests, blobs: blobs.count, inFlight: tags.inFlight, gaps: tags.gaps, acceptedGaps: tags.acceptedGaps },
    imageBytes: blobs.bytes,
    gaps: tags.shownGaps,
    acceptedGaps: accepted.used().slice(0, SHOWN_GAPS),
    layouts: layoutsOf(blobs.layouts, facts.version),
    unproven,
    // One for each segment, in the worst case: more than a result may carry.
    warnings: [...warnings, ...firstOf([...stored.damaged, ...trust.warnings], SHOWN_WARNINGS), ...shownOddities(tags.oddities), ...firstOf(accepted.warnings(), SHOWN_WARNINGS)],
  };
}

/** They are the registry's own, and come back as they are: the first of them, and how many there are. */
function shownOddities(found: readonly string[]): string[] {
  if (found.length === 0) return [];
  return [`The registry itself holds ${found.length === 1 ? 'an image that is odd' : `${found.length} things that are odd`}; they are kept, and come back, as they are:`, ...firstOf(found, SHOWN_ODDITIES)];
}

/** Who must exist for a restore, by the thousand, and what people have accepted to be missing. */
function* notesOf({ owners }: References, accepted: readonly UsedGap[]): Generator<NoteOf<'owner' | 'acceptedGap'>> {
  for (const [id, name] of owners) yield { kind: 'owner', id, name };
  for (const gap of accepted) yield { kind: 'acceptedGap', ...gap };
}

/** What keeps the rows from saying which images there are: then the backup is not complete, whatever the rows that could be read say. */
async function findUnproven(cluster: Cluster, references: References, { online, documents, dumpStartedAt }: MetadataTaken): Promise<string[]> {
  const found = unreadRows(references, ({ isNeeded }) => isNeeded);
  if (!online && documents === 0) found.push('The metadata archive was made offline: its rows cannot be read, so no image is proven.');
  if (references.tags.length > 0 || found.length > 0) return found;
  const image = await new LiveTags(await cluster.dtr()).anyBefore(dumpStartedAt);
  return image === null ? [] : [`The metadata has no tag that Drydock can read, and the registry has tags (${image}): no image is proven.`];
}

/** One sentence for each table. */
function unreadRows(references: References, wanted: (table: { isNeeded: boolean }) => boolean): string[] {
  return [...references.unreadable]
    .filter(([table]) => wanted({ isNeeded: NEEDED_TABLES.has(table) }))
    .map(([table, count]) => `${count} rows of the table ${table} are not of a form that Drydock knows; the images that they name are not proven.`);
}

interface TagsWritten {
  tags: number;
  /** Manifests that tags of the metadata need. */
  manifests: number;
  inFlight: number;
  gaps: number;
  acceptedGaps: number;
  shownGaps: Gap[];
  oddities: string[];
}

/** Follows and judges the tags one by one, and writes the lists of tags and of gaps. */
async function writeTags(cluster: Cluster, work: WorkFiles, references: References, { follower, oddities, accepted }: { follower: Follower; oddities: Oddities; accepted: AcceptedGaps }, { facts, metadata }: ProveStep): Promise<TagsWritten> {
  const since = metadata.dumpStartedAt;
  const halfDumped = await findHalfDumped(work, references, follower, since);
  const live = new LiveTags(await cluster.dtr());
  const manifests = new DigestNumbers();
  const written: TagsWritten = { tags: 0, manifests: 0, inFlight: 0, gaps: 0, acceptedGaps: 0, shownGaps: [], oddities: [] };
  const [lines, gaps] = [work.create(WORK.tags), work.create(WORK.gaps)];
  try {
    for (const tag of proveTags(references, follower, await tagLinks(work, facts.version, references))) {
      if (await isLeftBehind(tag, references, live)) continue;
      const isSure = tag.missing.length === 0 && tag.linkOnly === undefined;
      const state = isSure ? (halfDumped.has(imageOf(tag)) ? 'inFlight' : 'whole') : await judge(tag, live, since);
      if (tag.linkOnly === undefined) for (const digest of tag.manifests) manifests.add(digest);
      for (const odd of oddities.of(tag)) written.oddities.push(odd);
      written.tags += 1;
      if (state === 'inFlight') written.inFlight += 1;
      const unaccepted = tag.missing.filter(({ digest }) => !accepted.accepts(imageOf(tag), digest));
      if (state === 'gap') written.acceptedGaps += tag.missing.length - unaccepted.length;
      const filling = lines.add(tagLine(tag, state === 'gap' && unaccepted.length === 0 ? 'acceptedGap' : state, references));
      if (filling) await filling;
      for (const { digest, what } of state === 'gap' ? unaccepted : []) {
        const gap: Gap = { image: imageOf(tag), digest: showDigest(digest), what };
        written.gaps += 1;
        if (written.shownGaps.length < SHOWN_GAPS) written.shownGaps.push(gap);
        await gaps.add(gap);
      }
    }
    await lines.end();
    await gaps.end();
  } finally {
    await lines.abort();
    await gaps.abort();
  }
  return { ...written, manifests: manifests.count };
}

/** Images that lie elsewhere: the tags are listed as the metadata has them, and nothing is said about their content. */
async function external(work: WorkFiles, references: References, said: Pick<Proof, 'unproven' | 'warnings'>): Promise<Proof> {
  const manifests = new DigestNumbers();
  for (const { digest } of references.tags) manifests.add(digest);
  await work.write(WORK.tags, wholeTags(references));
  await work.write(WORK.blobs, []);
  await work.write(WORK.gaps, []);
  await work.write(WORK.notes, notesOf(references, []));
  return {
    counts: { repositories: references.repositories.size, tags: references.tags.length, manifests: manifests.count, blobs: 0, inFlight: 0, gaps: 0, acceptedGaps: 0 },
    imageBytes: 0, gaps: [], acceptedGaps: [], layouts: [], ...said,
  };
}

function* wholeTags(references: References): Generator<TagLine> {
  for (const tag of references.tags) yield tagLine(tag, 'whole', references);
}

/** From 2.6 on tags stand in the metadata only, and links of an older life may lie about. */
async function tagLinks(work: WorkFiles, version: string, { numbers }: References): Promise<Iterable<TagLink> | null> {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > 2 || minor >= 6) return null;
  const links = new TagList(numbers.digests);
  for await (const lines of work.lines(WORK.links)) for (const line of lines) links.push({ table: 'tags', ...(JSON.parse(line) as TagLink) });
  return links;
}

/** Whether a link is all that is left of a repository that was deleted: in the older layout its files stay. */
async function isLeftBehind(tag: ProvenTag, { repositories }: References, live: LiveTags): Promise<boolean> {
  return tag.linkOnly === true && !repositories.has(tag.repository) && (await live.find(tag.repository, tag.name)) === null;
}

/** Of a tag that is not whole, or not in the metadata: whether it was being changed while the dump ran. */
async function judge(tag: ProvenTag, live: LiveTags, since: string): Promise<TagLine['state']> {
  if (changedSince(tag.changedAt, since) || isInFlight(tag, await live.find(tag.repository, tag.name), since)) return 'inFlight';
  return tag.missing.length === 0 ? 'whole' : 'gap';
}

/**
 * Of whole tags that changed since the dump began, by `repository:tag`: those whose manifests or, from 2.6 on, links to layers have no row, so that the
 * restored registry would not hand them out. Tables are dumped one after another, and these may have come before the push.
 */
async function findHalfDumped(work: WorkFiles, references: References, follower: Follower, since: string): Promise<Set<string>> {
  const found = new Set<string>();
  const open = new Map<string, string[]>();
  for (const { repository, name, digest, changedAt } of references.tags) {
    if (!changedSince(changedAt, since)) continue;
    const { missing, manifests, parts } = follower.follow(digest);
    if (missing.length > 0) continue;
    const image = imageOf({ repository, name });
    if (!references.hasManifests(repository, manifests)) found.add(image);
    for (const part of parts) open.set(`${repository}@${part}`, [...(open.get(`${repository}@${part}`) ?? []), image]);
  }
  if (open.size === 0) return found;
  let rows = 0;
  for await (const row of work.read<BlobLinkRow>(WORK.blobLinks)) {
    rows += 1;
    open.delete(`${row.repository}@${row.digest}`);
  }
  // A version without this table has nothing to miss.
  if (rows > 0) for (const images of open.values()) for (const image of images) found.add(image);
  return found;
}

function imageOf({ repository, name }: Pick<ProvenTag, 'repository' | 'name'>): string {
  return `${repository}:${name}`;
}

function tagLine({ repository, name, digest }: Pick<ProvenTag, 'repository' | 'name' | 'digest'>, state: TagLine['state'], references: References): TagLine {
  const visibility = references.repositories.get(repository)?.visibility;
  return { repository, name, digest: `sha256:${digest}`, state, ...(visibility === undefined ? {} : { visibility }) };
}

interface BlobsWritten {
  count: number;
  bytes: number;
  layouts: Set<'sha256' | 'id'>;
}

/** All stored copies with the right digest of what is in the volume or named by the metadata, by segment as they are read back. */
async function writeBlobs(work: WorkFiles, references: References, copies: CopyList): Promise<BlobsWritten> {
  for await (const lines of work.lines(WORK.listing)) {
    for (const line of lines) {
      const path = JSON.parse(line) as string;
      const blob = references.numbers.blobs.find(path);
      if (blob === undefined) continue;
      // Under a name of another algorithm any copy is right: it was held to its name when it was stored.
      const digest = parseBlobPath(path)?.layout === 'other' ? copies.digestAt(blob) : references.digestOf(blob);
      if (digest !== undefined) copies.choose(blob, digest);
    }
  }
  for (const digest of references.named()) for (const blob of references.blobsOf(digest)) copies.choose(blob, digest);
  const written: BlobsWritten = { count: 0, bytes: 0, layouts: new Set() };
  const aliases = new Map<string, string[]>();
  for (const { other, sha256 } of references.allAliases()) aliases.set(sha256, [...(aliases.get(sha256) ?? []), other]);
  await work.write(WORK.blobs, seen(copies.chosen(), aliases, written));
  return written;
}

function* seen(blobs: Iterable<BlobLine>, aliases: ReadonlyMap<string, string[]>, written: BlobsWritten): Generator<BlobLine> {
  for (const blob of blobs) {
    written.count += 1;
    written.bytes += blob.size;
    const layout = parseBlobPath(blob.path)?.layout;
    if (layout && layout !== 'other') written.layouts.add(layout);
    const known = aliases.get(blob.sha256);
    yield known === undefined ? blob : { ...blob, aliases: known };
  }
}

function layoutsOf(found: Set<'sha256' | 'id'>, version: string): ('sha256' | 'id')[] {
  // An empty registry has the layout that its version would write.
  if (found.size === 0) found.add(Number(version.split('.')[1] ?? 0) >= 6 ? 'id' : 'sha256');
  return [...found].sort();
}
