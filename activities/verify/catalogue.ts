/** All that a verification knows of one backup's content: lists, indexes, references. */
import type { IndexSource } from '../../adapters/vault/indexes-ahead';
import { readIndex, type SegmentIndex } from '../../adapters/vault/segment-index';
import { Column, NONE } from '../../domain/column';
import { ContentNumbers } from '../../domain/content-numbers';
import { CopyList } from '../../domain/copy-list';
import { DrydockError } from '../../domain/errors';
import { parseBlobPath } from '../../domain/layout';
import type { BlobLine, Manifest, TagLine } from '../../domain/manifest';
import { Follower } from '../../domain/proof';
import { References } from '../../domain/references';
import type { ManifestRefs } from '../../domain/vault-format';
import type { Damage, StoredContent } from '../../domain/verify';
import type { Cluster } from '../cluster';
import { readBlobList, readTags } from '../restore/backup';

export class Catalogue implements StoredContent {
  readonly tags: TagLine[] = [];
  readonly numbers = new ContentNumbers();
  /** What the backup holds, by its own list. */
  readonly copies = new CopyList(this.numbers);
  /** Of each digest, one of its copies. */
  private readonly copyOf = new Column();
  /** By digest, 0 where a tag needs it. */
  private readonly isNeeded = new Column();
  private readonly indexed = new Set<string>();
  readonly references = new References(this.numbers);
  /** Follows tags by what manifests themselves say, as the indexes have it. */
  readonly follower = new Follower(this.references, this.copies);

  /** Reads the encrypted lists. Throws AuthRejected when no key at hand opens them, IntegrityMismatch. */
  async readLists(cluster: Cluster, manifest: Manifest): Promise<void> {
    const repositories = new Map<string, string>();
    for await (const tag of readTags(cluster, manifest)) {
      // One text for all tags of a repository.
      const repository = repositories.get(tag.repository) ?? tag.repository;
      repositories.set(repository, repository);
      this.tags.push({ ...tag, repository });
    }
    for await (const blob of readBlobList(cluster, manifest)) {
      const copy = this.copies.add(blob, blob.segment);
      this.copyOf.set(this.numbers.digests.add(blob.sha256), copy);
      const parsed = parseBlobPath(blob.path);
      if (parsed?.layout === 'id') this.references.add({ table: 'blobs', id: parsed.id, sha256: blob.sha256 });
      for (const other of blob.aliases ?? []) this.references.addAlias(other, blob.sha256);
    }
  }

  /** Takes in one index: references of manifests, and whether all that the backup needs of the segment is listed. */
  takeIndex(index: SegmentIndex): Damage[] {
    const { segment } = index.header;
    this.indexed.add(segment);
    const listed = new Set<string>();
    for (const { path, size, sha256, refs, void: isVoid } of index.blobs) {
      if (isVoid) continue;
      listed.add(`${sha256} ${size} ${path}`);
      if (refs) this.copies.refs.set(this.numbers.digests.add(sha256), refs);
    }
    return this.neededOf(segment).filter(({ path, size, sha256 }) => !listed.has(`${sha256} ${size} ${path}`)).map(({ sha256 }) => ({ digest: sha256, segment, what: 'the index of its segment does not list it' }));
  }

  /** What the backup needs of a segment. */
  neededOf(segment: string): BlobLine[] {
    return this.copies.inSegment(segment);
  }

  get segments(): string[] {
    return this.copies.segmentNames;
  }

  get blobCount(): number {
    return this.copies.length;
  }

  markNeeded(digest: string): void {
    this.isNeeded.set(this.numbers.digests.add(digest), 0);
  }

  /** Blobs, by digest, that no tag needs, and how many of them are referrers. */
  orphans(): { count: number; referrers: number } {
    const found = { count: 0, referrers: 0 };
    for (let digest = 0; digest < this.numbers.digests.count; digest += 1) {
      if (this.copyOf.get(digest) === NONE || this.isNeeded.get(digest) !== NONE) continue;
      found.count += 1;
      const refs = this.copies.refs.numbered(digest);
      if (refs && refs.subject !== NONE) found.referrers += 1;
    }
    return found;
  }

  sizeOf(digest: string): number | undefined {
    return this.copyWith(digest)?.size;
  }

  segmentOf(digest: string): string | undefined {
    return this.copyWith(digest)?.segment;
  }

  isIndexed(digest: string): boolean {
    const segment = this.segmentOf(digest);
    return segment !== undefined && this.indexed.has(segment);
  }

  refsOf(digest: string): ManifestRefs | undefined {
    const number = this.numbers.digests.find(digest);
    return number === undefined ? undefined : this.copies.refs.get(number);
  }

  private copyWith(digest: string): BlobLine | undefined {
    const number = this.numbers.digests.find(digest);
    const sha256 = number === undefined ? NONE : this.references.sha256Of(number, this.copies);
    const copy = sha256 === NONE ? NONE : this.copyOf.get(sha256);
    return copy === NONE ? undefined : this.copies.line(copy);
  }
}

/** An index that can be used; null when it is damaged or gone, which the check of the files has named. */
export async function soundIndex(source: IndexSource, cluster: string, segment: string): Promise<SegmentIndex | null> {
  try {
    return await readIndex(source, cluster, segment);
  } catch (error) {
    if (error instanceof DrydockError && (error.kind === 'IntegrityMismatch' || error.kind === 'NotFound' || error.kind === 'Refused')) return null;
    throw error;
  }
}
