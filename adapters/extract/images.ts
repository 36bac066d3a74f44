/** Which content the images of one repository consist of, found in the backup's lists and in the manifests themselves. */
import { DrydockError } from '../../domain/errors';
import type { BlobLine, TagLine } from '../../domain/manifest';
import { nearest } from '../../domain/nearest';
import { platformText, type TaggedManifest } from '../../domain/oci';
import type { ManifestRefs } from '../../domain/vault-format';
import { parseManifestRefs } from '../vault/manifest-refs';
import { readBlobs } from '../vault/segment-reader';
import type { SealedBackup } from '../vault/sealed-backup';

/** The registry itself takes none that are larger. */
const MAX_MANIFEST_BYTES = 16 << 20;

export interface FoundImage extends TaggedManifest {
  /** All content of it with the manifests, in bytes, each blob once. */
  bytes: number;
  platforms: string[];
  /** Layers that may lawfully be absent, and are. */
  foreignAbsent: number;
}

export interface ImageSet {
  images: FoundImage[];
  /** Every blob of them once: bare hex -> where it is stored. */
  blobs: Map<string, BlobLine>;
  /** Tags that are not whole in this backup. */
  leftOut: { tag: string; digest: string; why: string }[];
}

interface ManifestNode {
  size: number;
  refs: ManifestRefs;
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
  throw new DrydockError('NotFound', `backup ${backup.manifest.backupId} has no ${what}${guess === undefined ? '' : `; did you mean "${guess}"?`}`, { remedy: `see \`drydock ls ${backup.manifest.backupId}\`` });
}

/**
 * Follows tags to manifests, configurations and layers. Manifests are read, each proven by its digest; the rest is only looked up. One pass over
 * the list of blobs for each level of indexes, so that memory depends on these images and not on the size of the backup.
 */
export async function followImages(backup: SealedBackup, tags: readonly TagLine[], signal?: AbortSignal): Promise<ImageSet> {
  const blobs = new Map<string, BlobLine>();
  const nodes = new Map<string, ManifestNode>();
  const configs = new Set<string>();
  let manifests = new Set(tags.map(({ digest }) => hexOf(digest)));
  let parts = new Set<string>();
  while (manifests.size + parts.size > 0) {
    await lookUp(backup, new Set([...manifests, ...parts]), blobs);
    const next = { manifests: new Set<string>(), parts: new Set<string>() };
    for await (const [digest, content] of readSmall(backup, manifests, blobs, signal)) {
      const refs = parseManifestRefs(content);
      if (refs === null) continue;
      nodes.set(digest, { size: content.length, refs, platforms: platformsIn(content) });
      if (refs.config !== undefined) configs.add(refs.config);
      for (const child of refs.manifests ?? []) if (!nodes.has(child)) next.manifests.add(child);
      for (const part of partsOf(refs)) if (!blobs.has(part)) next.parts.add(part);
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
  const digest = hexOf(full);
  const content = new Set<string>();
  const absent: string[] = [];
  const platforms: string[] = [];
  let foreignAbsent = 0;
  const visit = (hex: string): void => {
    if (content.has(hex)) return;
    content.add(hex);
    const node = found.nodes.get(hex);
    if (!node || !found.blobs.has(hex)) {
      absent.push(hex);
      return;
    }
    const { refs } = node;
    platforms.push(...(node.platforms.length > 0 ? node.platforms : refs.config === undefined ? [] : [found.platforms.get(refs.config) ?? 'unknown']));
    const foreign = new Set(refs.foreign ?? []);
    for (const part of partsOf(refs)) {
      if (found.blobs.has(part)) content.add(part);
      else if (foreign.has(part)) foreignAbsent += 1;
      else absent.push(part);
    }
    // Platforms of an index stand in the index; its children are not counted again.
    const before = platforms.length;
    for (const child of refs.manifests ?? []) visit(child);
    if (node.platforms.length > 0) platforms.length = before;
  };
  visit(digest);
  const [first] = absent;
  if (first !== undefined) {
    set.leftOut.push({ tag: name, digest: full, why: `sha256:${first} is not in this backup${absent.length > 1 ? `, nor are ${absent.length - 1} more of its parts` : ''}` });
    return;
  }
  let bytes = 0;
  for (const hex of content) {
    const line = found.blobs.get(hex)!;
    bytes += line.size;
    set.blobs.set(hex, line);
  }
  const node = found.nodes.get(digest)!;
  set.images.push({ tag: name, digest, size: node.size, mediaType: node.refs.mediaType, bytes, platforms: [...new Set(platforms)], foreignAbsent });
}

function partsOf({ config, layers = [], foreign = [] }: ManifestRefs): string[] {
  return [...(config === undefined ? [] : [config]), ...layers, ...foreign];
}

/** One pass over the list; a digest may lie at several paths, of which one will do. */
async function lookUp(backup: SealedBackup, wanted: ReadonlySet<string>, blobs: Map<string, BlobLine>): Promise<void> {
  for await (const line of backup.blobs()) if (wanted.has(line.sha256) && !blobs.has(line.sha256)) blobs.set(line.sha256, line);
}

/** The content of small blobs that are there, one at a time; a larger one is no manifest. */
async function* readSmall(backup: SealedBackup, digests: ReadonlySet<string>, blobs: ReadonlyMap<string, BlobLine>, signal?: AbortSignal): AsyncGenerator<[string, Buffer]> {
  const lines = [...digests].flatMap((digest) => blobs.get(digest) ?? []).filter(({ size }) => size <= MAX_MANIFEST_BYTES);
  for await (const blob of readBlobs(backup.vault, backup.cluster, lines, backup.keys, { recorded: await backup.recorded(), ...(signal === undefined ? {} : { signal }) })) {
    const parts: Buffer[] = [];
    for await (const part of blob.data) parts.push(part);
    yield [blob.sha256, Buffer.concat(parts)];
  }
}

/** An index says itself for which platforms its children are. */
function platformsIn(content: Buffer): string[] {
  const { manifests } = JSON.parse(content.toString('utf8')) as { manifests?: unknown };
  if (!Array.isArray(manifests)) return [];
  return manifests.map((entry: unknown) => platformText(typeof entry === 'object' && entry !== null ? (entry as { platform?: unknown }).platform : undefined)).filter((text) => text !== 'unknown');
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

function hexOf(digest: string): string {
  return digest.slice(-64);
}
