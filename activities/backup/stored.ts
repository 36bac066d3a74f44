/** What the vault's indexes say is stored: the base of every decision on what has to be read again. */
import { Access } from '../../adapters/vault/access';
import { markedSegments } from '../../adapters/vault/marks';
import { scanIndex, scanIndexes } from '../../adapters/vault/segment-index';
import type { Vault } from '../../adapters/vault/vault';
import { DrydockError } from '../../domain/errors';
import { Column, SizeColumn } from '../../domain/column';
import type { ContentNumbers } from '../../domain/content-numbers';
import { CopyList, type StoredCopy } from '../../domain/copy-list';
import { REPACKED } from '../../domain/repack';
import { vaultPaths, type ManifestRefs, type SegmentHeader, type StoredBlob } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import type { SegmentTrust } from './segment-trust';

export interface LoadOptions {
  signal?: AbortSignal;
  /** Segments that not every current recipient can open count only when their session keys can be wrapped for those. */
  access?: Access;
  /** Only what it calls good counts; without it all does. */
  trust?: SegmentTrust;
  /** Those of another list about the same registry. */
  numbers?: ContentNumbers;
}

export class StoredBlobs {
  /** Of several with the same path and digest the newest counts. */
  readonly copies: CopyList;
  /** Paths whose stored copies include void ones: these files were torn, or are broken for good. */
  private readonly voidAt = new Set<string>();
  /** One sentence for each index or file of session keys that could not be used; blobs count as not stored for that. */
  readonly damaged: string[] = [];
  private readonly written = new Map<string, { blobs: number; bytes: number }>();
  /** Segments that are not trusted as they lie; they count for nothing before `admit`. */
  private doubtful: SegmentHeader[] = [];

  private constructor(
    private readonly vault: Vault,
    private readonly cluster: string,
    private readonly options: LoadOptions,
  ) {
    this.copies = new CopyList(options.numbers);
  }

  static async load(vault: Vault, cluster: string, options: LoadOptions = {}): Promise<StoredBlobs> {
    const stored = new StoredBlobs(vault, cluster, options);
    await stored.read(undefined);
    // Those that could be written anew by now are no longer among them.
    stored.damaged.push(...(options.access?.warnings ?? []));
    return stored;
  }

  /** Takes in segments that were written meanwhile. */
  async add(segments: readonly string[]): Promise<void> {
    await this.options.trust?.accept(segments);
    await this.read(new Set(segments));
  }

  /** Has those doubtful segments checked that hold what is wanted or were repacked, and takes in what is sound. Returns whether anything came in. */
  async admit(isWanted: (blob: StoredBlob) => boolean): Promise<boolean> {
    const { trust } = this.options;
    if (trust === undefined || this.doubtful.length === 0) return false;
    const needed: SegmentHeader[] = [];
    for (const header of this.doubtful) {
      // Its blobs are never missing: they stand in the old segments as well, which are freed only when backups name this one instead.
      let holds = header.writtenBy.startsWith(REPACKED);
      if (!holds) await scanIndex(this.vault, this.cluster, header.segment, (blobs) => (holds ||= blobs.some((blob) => !blob.void && isWanted(blob))));
      if (holds) needed.push(header);
    }
    await trust.check(needed);
    const sound = needed.filter(({ segment }) => trust.isGood(segment)).map(({ segment }) => segment);
    this.doubtful = this.doubtful.filter(({ segment }) => !sound.includes(segment));
    await this.read(new Set(sound));
    return sound.length > 0;
  }

  good(path: string, sha256: string): StoredCopy | undefined {
    return this.copies.good(path, sha256);
  }

  /** Any copy of this size: as much as can be asked where the digest is not known yet. */
  likely(path: string, size: number): boolean {
    return this.copies.hasSize(path, size);
  }

  /** True when what was read from this path before was not what it should be: worth a look before it is moved again. */
  isSuspect(path: string): boolean {
    return this.voidAt.has(path) || this.copies.hasPath(path);
  }

  wasVoid(path: string): boolean {
    return this.voidAt.has(path);
  }

  /** What the operation (`writtenBy` of its segments) has stored so far. */
  writtenBy(operation: string): { blobs: number; bytes: number } {
    return this.written.get(operation) ?? { blobs: 0, bytes: 0 };
  }

  private async read(only: ReadonlySet<string> | undefined): Promise<void> {
    if (only?.size === 0) return;
    const onDamaged = (name: string, error: Error): void => void this.damaged.push(`${name} cannot be used (${error.message}); its blobs are stored anew.`);
    // What is marked for removal may be gone before this backup is restored: its blobs count as not stored.
    const marked = await markedSegments(this.vault, this.cluster);
    let found = new Found(this.copies);
    const scan = { only, onDamaged, onStart: () => (found = new Found(this.copies)), onBlobs: (blobs: StoredBlob[]) => found.take(blobs) };
    for await (const header of scanIndexes(this.vault, this.cluster, scan)) {
      this.options.signal?.throwIfAborted();
      if (marked.has(header.segment)) continue;
      if (!(await this.isOpenToAll(header, onDamaged))) continue;
      if (this.options.trust?.isGood(header.segment) === false) {
        this.doubtful.push(header);
        // That a file was torn decides only when it is read again.
        found.noteVoid(this.voidAt);
        continue;
      }
      const { blobs, bytes } = this.writtenBy(header.writtenBy);
      this.written.set(header.writtenBy, { blobs: blobs + found.count, bytes: bytes + found.bytes });
      found.store(header.segment, this.voidAt);
    }
  }

  private async isOpenToAll({ segment, recipients }: SegmentHeader, onDamaged: (name: string, error: Error) => void): Promise<boolean> {
    const name = vaultPaths.segment(this.cluster, segment);
    try {
      return (await this.options.access?.cover(name, recipients)) ?? true;
    } catch (error) {
      if (!(error instanceof DrydockError) || error.kind !== 'IntegrityMismatch') throw error;
      onDamaged(name, error);
      return false;
    }
  }
}

/** What one index says, as numbers, until it is known that the index is sound to its end and that its segment may be used. */
class Found {
  count = 0;
  bytes = 0;
  private readonly blobs = new Column();
  private readonly digests = new Column();
  private readonly sizes = new SizeColumn();
  private readonly refs: [digest: number, refs: ManifestRefs][] = [];
  private readonly voidPaths: string[] = [];

  constructor(private readonly copies: CopyList) {}

  take(found: StoredBlob[]): void {
    const { blobs, digests } = this.copies.numbers;
    for (const { path, size, sha256, refs, void: isVoid } of found) {
      if (isVoid) {
        this.voidPaths.push(path);
        continue;
      }
      const digest = digests.add(sha256);
      this.blobs.set(this.count, blobs.add(path));
      this.digests.set(this.count, digest);
      this.sizes.set(this.count, size);
      if (refs) this.refs.push([digest, refs]);
      this.count += 1;
      this.bytes += size;
    }
  }

  store(segment: string, voidAt: Set<string>): void {
    for (let at = 0; at < this.count; at += 1) this.copies.put(this.blobs.get(at), this.digests.get(at), this.sizes.get(at), segment);
    for (const [digest, refs] of this.refs) this.copies.refs.set(digest, refs);
    this.noteVoid(voidAt);
  }

  noteVoid(voidAt: Set<string>): void {
    for (const path of this.voidPaths) voidAt.add(path);
  }
}

/** Access of the current recipients to the segments of a cluster. */
export async function segmentAccess(cluster: Cluster): Promise<Access> {
  return Access.load(cluster.vault, vaultPaths.segments(cluster.name), await cluster.encryptionKeys(), await cluster.decryptionKeys());
}
