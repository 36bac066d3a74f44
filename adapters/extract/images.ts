/** Which content the images of one repository consist of, found in the backup's lists and in the manifests themselves. */
import { DrydockError, noSuch } from '../../domain/errors';
import { isDigest, readDigest, showDigest } from '../../domain/digest';
import { MOST_MANIFEST_BYTES, readImageManifest, type ImageManifest } from '../../domain/image-manifest';
import type { BlobLine, TagLine } from '../../domain/manifest';
import { parseBlobPath } from '../../domain/layout';
import { nearest } from '../../domain/nearest';
import { platformText, type TaggedManifest } from '../../domain/oci';
import { readBlobs } from '../vault/segment-reader';
import type { SealedBackup } from '../vault/sealed-backup';

export interface FoundImage extends TaggedManifest {
  /** All content of it with the manifests, in bytes, each blob once. */
  bytes: number;
  platforms: string[];
  /** Layers that may lawfully be absent, and are. */
  foreignAbsent: number;
}

export interface ImageSet {
  images: FoundImage[];
  /** Every blob of them once: digest in our form (digest.ts), as manifests name it -> where it is stored. */
  blobs: Map<string, BlobLine>;
  /** Tags that are not whole in this backup. */
  leftOut: { tag: string; digest: string; why: string }[];
}

interface ManifestNode {
  size: number;
  manifest: ImageManifest;
  platforms: string[];
}

/** A repository's tags, or just one. Throws NotFound with the nearest name that there is. */
export async function findTags(backup: SealedBackup, repository: string, tag?: string): Promise<TagLine[]> {
  const found: TagLine[] = [];
  const repositories = new Set<string>();
  const names: string[] = [];
  for await (const line of backup.tags()) {
    repositories.add(line.repository);
    if (line.repository !== repository) continue;
    names.push(line.name);
    if (tag === undefined || line.name === tag) found.push(line);
  }
  if (found.length > 0) return found;
  const known = repositories.has(repository) ? names : [...repositories];
  const guess = nearest(repositories.has(repository) ? tag! : repository, known);
  const what = repositories.has(repository) ? `tag "${tag}" in ${repository}` : `repository "${repository}" with tags`;
  throw noSuch(`backup ${backup.manifest.backupId} has no ${what}${guess === undefined ? '' : `; did you mean "${guess}"?`}`, { remedy: `see \`drydock ls ${backup.manifest.backupId}\`` });
}

/**
 * Follows tags to manifests, configurations and layers. Manifests are read, each proven by its digest; the rest is only looked up. One pass over
 * the list of blobs for each level of indexes, so that memory depends on these images and not on the size of the backup.
 */
export async function followImages(backup: SealedBackup, tags: readonly TagLine[], signal?: AbortSignal): Promise<ImageSet> {
  const blobs = new Map<string, BlobLine>();
  const nodes = new Map<string, ManifestNode>();
  const configs = new Set<string>();
  let manifests = new Set(tags.map(({ digest }) => ownForm(digest)));
  let parts = new Set<string>();
  while (manifests.size + parts.size > 0) {
    await lookUp(backup, new Set([...manifests, ...parts]), blobs);
    const next = { manifests: new Set<string>(), parts: new Set<string>() };
    for await (const [digest, content] of readSmall(backup, manifests, blobs, signal)) {
      const manifest = readImageManifest(content);
      // A child of an index may be no manifest: then it is a part.
      if (manifest === null) continue;
      nodes.set(digest, { size: content.length, manifest, platforms: platformsIn(manifest) });
      if (manifest.config && manifest.config.digest !== null) configs.add(manifest.config.digest);
      for (const child of digestsOf(manifest.manifests)) if (!nodes.has(child)) next.manifests.add(child);
      for (const part of partsOf(manifest)) if (!blobs.has(part)) next.parts.add(part);
    }
    manifests = next.manifests;
    parts = next.parts;
  }
  const platforms = await platformsOfConfigs(backup, configs, blobs, signal);
  const set: ImageSet = { images: [], blobs: new Map(), leftOut: [] };
  for (const tag of tags) addImage(set, tag, { blobs, nodes, platforms });
  return set;
}

interface Found {
  blobs: Map<string, BlobLine>;
  nodes: Map<string, ManifestNode>;
  platforms: Map<string, string>;
}

function addImage(set: ImageSet, { name, digest: full }: TagLine, found: Found): void {
  const digest = ownForm(full);
  const content = new Set<string>();
  const absent: string[] = [];
  const platforms: string[] = [];
  let foreignAbsent = 0;
  const node = found.nodes.get(digest);
  const open = node ? [{ digest, inheritsPlatform: false }] : [];
  for (let next = open.pop(); next; next = open.pop()) {
    if (content.has(next.digest)) continue;
    if (!found.blobs.has(next.digest)) {
      absent.push(next.digest);
      continue;
    }
    content.add(next.digest);
    const inner = found.nodes.get(next.digest);
    if (!inner) continue;
    const { manifest } = inner;
    // Platforms of an index stand in the index; its children are not counted again.
    const config = manifest.config?.digest ?? null;
    if (!next.inheritsPlatform) platforms.push(...(inner.platforms.length > 0 ? inner.platforms : config === null ? [] : [found.platforms.get(config) ?? 'unknown']));
    const foreign = new Set(digestsOf(manifest.layers.filter(({ isForeign }) => isForeign)));
    for (const part of partsOf(manifest)) {
      if (found.blobs.has(part)) content.add(part);
      else if (foreign.has(part)) foreignAbsent += 1;
      else absent.push(part);
    }
    for (const child of digestsOf(manifest.manifests).reverse()) open.push({ digest: child, inheritsPlatform: next.inheritsPlatform || inner.platforms.length > 0 });
  }
  const [first] = absent;
  if (!node || first !== undefined) {
    set.leftOut.push({ tag: name, digest: full, why: first === undefined ? whyNot(digest, found) : `${showDigest(first)} is not in this backup${absent.length > 1 ? `, nor are ${absent.length - 1} more of its parts` : ''}` });
    return;
  }
  let bytes = 0;
  for (const each of content) {
    const line = found.blobs.get(each)!;
    bytes += line.size;
    set.blobs.set(each, line);
  }
  set.images.push({ tag: name, digest, size: node.size, mediaType: node.manifest.mediaType, bytes, platforms: [...new Set(platforms)], foreignAbsent });
}

function whyNot(digest: string, { blobs }: Found): string {
  return blobs.has(digest) ? `its manifest ${showDigest(digest)} cannot be read as one; \`extract --blobs\` has it as it is` : `${showDigest(digest)} is not in this backup`;
}

function partsOf({ config, layers }: ImageManifest): string[] {
  return digestsOf([...(config ? [config] : []), ...layers]);
}

function digestsOf(descriptors: readonly { digest: string | null }[]): string[] {
  return descriptors.flatMap(({ digest }) => digest ?? []);
}

/** One pass over the list; a digest may lie at several paths, of which one will do. */
async function lookUp(backup: SealedBackup, wanted: ReadonlySet<string>, blobs: Map<string, BlobLine>): Promise<void> {
  for await (const line of backup.blobs()) for (const digest of digestsOfLine(line)) if (wanted.has(digest) && !blobs.has(digest)) blobs.set(digest, line);
}

/** The content of small blobs that are there, one at a time; a larger one is no manifest. */
async function* readSmall(backup: SealedBackup, digests: ReadonlySet<string>, blobs: ReadonlyMap<string, BlobLine>, signal?: AbortSignal): AsyncGenerator<[string, Buffer]> {
  const asked = new Map<BlobLine, string[]>();
  for (const digest of digests) {
    const line = blobs.get(digest);
    if (line && line.size <= MOST_MANIFEST_BYTES) asked.set(line, [...(asked.get(line) ?? []), digest]);
  }
  const names = new Map([...asked].map(([line, all]) => [line.sha256, all]));
  for await (const blob of readBlobs(backup.vault, backup.cluster, asked.keys(), backup.keys, { recorded: await backup.recorded(), ...(signal === undefined ? {} : { signal }) })) {
    const parts: Buffer[] = [];
    for await (const part of blob.data) parts.push(part);
    const content = Buffer.concat(parts);
    for (const digest of names.get(blob.sha256) ?? []) yield [digest, content];
  }
}

/** All by which manifests may name it. */
function digestsOfLine({ path, sha256, aliases = [] }: BlobLine): string[] {
  const parsed = parseBlobPath(path);
  return [sha256, ...aliases, ...(parsed?.layout === 'other' && parsed.digest !== null ? [parsed.digest] : [])];
}

/** An index says itself for which platforms its children are. */
function platformsIn({ manifests }: ImageManifest): string[] {
  return manifests.map(({ platform }) => platformText(platform)).filter((text) => text !== 'unknown');
}

async function platformsOfConfigs(backup: SealedBackup, configs: ReadonlySet<string>, blobs: ReadonlyMap<string, BlobLine>, signal?: AbortSignal): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const [digest, content] of readSmall(backup, configs, blobs, signal)) {
    try {
      found.set(digest, platformText(JSON.parse(content.toString('utf8'))));
    } catch {
      // Artifacts other than images keep anything there.
      found.set(digest, 'unknown');
    }
  }
  return found;
}

/** Throws IntegrityMismatch for a tag whose digest is none. */
function ownForm(digest: string): string {
  const own = isDigest(digest) ? digest : readDigest(digest);
  if (own === null) throw new DrydockError('IntegrityMismatch', `the backup's list of tags has ${JSON.stringify(digest.slice(0, 200))} where a digest should be`, { remedy: 'use another backup' });
  return own;
}
