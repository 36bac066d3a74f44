/** All that a verification knows of one backup's content: lists, indexes, references. */
import { readIndex, type SegmentIndex } from '../../adapters/vault/segment-index';
import { DrydockError } from '../../domain/errors';
import { parseBlobPath } from '../../domain/layout';
import type { BlobLine, Manifest, TagLine } from '../../domain/manifest';
import { Follower, References, type Copies, type StoredCopy } from '../../domain/proof';
import type { ManifestRefs } from '../../domain/vault-format';
import type { Damage, StoredContent } from '../../domain/verify';
import type { Cluster } from '../cluster';
import { readBlobList, readTags } from '../restore/backup';

export class Catalogue implements Copies, StoredContent {
  readonly tags: TagLine[] = [];
  /** Of each segment, what the backup needs of it. */
  readonly bySegment = new Map<string, BlobLine[]>();
  private readonly byPath = new Map<string, BlobLine>();
  private readonly byDigest = new Map<string, BlobLine>();
  private readonly refs = new Map<string, ManifestRefs>();
  private readonly references = new References();
  /** Follows tags by what manifests themselves say, as the indexes have it. */
  readonly follower = new Follower(this.references, this);

  /** Reads the encrypted lists. Throws AuthRejected when no key at hand opens them, IntegrityMismatch. */
  async readLists(cluster: Cluster, manifest: Manifest): Promise<void> {
    for await (const tag of readTags(cluster, manifest)) this.tags.push(tag);
    for await (const blob of readBlobList(cluster, manifest)) {
      this.byPath.set(blob.path, blob);
      this.byDigest.set(blob.sha256, blob);
      const inSegment = this.bySegment.get(blob.segment);
      if (inSegment) inSegment.push(blob);
      else this.bySegment.set(blob.segment, [blob]);
      const parsed = parseBlobPath(blob.path);
      if (parsed?.layout === 'id') this.references.add({ table: 'blobs', id: parsed.id, sha256: blob.sha256 });
    }
  }

  /** Takes in one index: references of manifests, and whether all that the backup needs of the segment is listed. */
  takeIndex(index: SegmentIndex): Damage[] {
    const { segment } = index.header;
    const listed = new Set<string>();
    for (const { path, size, sha256, refs, void: isVoid } of index.blobs) {
      if (isVoid) continue;
      listed.add(`${sha256} ${size} ${path}`);
      if (refs) this.refs.set(sha256, refs);
    }
    const needed = this.bySegment.get(segment) ?? [];
    return needed.filter(({ path, size, sha256 }) => !listed.has(`${sha256} ${size} ${path}`)).map(({ sha256 }) => ({ digest: sha256, segment, what: 'the index of its segment does not list it' }));
  }

  get blobCount(): number {
    return this.byPath.size;
  }

  get digests(): Iterable<string> {
    return this.byDigest.keys();
  }

  good(path: string, sha256: string): StoredCopy | undefined {
    const blob = this.byPath.get(path);
    if (blob?.sha256 !== sha256) return undefined;
    const refs = this.refs.get(sha256);
    return { ...blob, ...(refs ? { refs } : {}) };
  }

  sizeOf(digest: string): number | undefined {
    return this.byDigest.get(digest)?.size;
  }

  segmentOf(digest: string): string | undefined {
    return this.byDigest.get(digest)?.segment;
  }

  refsOf(digest: string): ManifestRefs | undefined {
    return this.refs.get(digest);
  }
}

/** An index that can be used; null when it is damaged or gone, which the check of the files has named. */
export async function soundIndex(cluster: Cluster, segment: string): Promise<SegmentIndex | null> {
  try {
    return await readIndex(cluster.vault, cluster.name, segment);
  } catch (error) {
    if (error instanceof DrydockError && (error.kind === 'IntegrityMismatch' || error.kind === 'NotFound')) return null;
    throw error;
  }
}
