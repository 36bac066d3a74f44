/** What the vault's indexes say is stored: the base of every decision on what has to be read again. */
import { Access } from '../../adapters/vault/access';
import { markedSegments } from '../../adapters/vault/marks';
import type { KeptIndexes } from '../../adapters/vault/indexes-ahead';
import { NumberedIndex } from '../../adapters/vault/numbered-index';
import { readManifest } from '../../adapters/vault/manifest-file';
import { sealedIds } from '../../adapters/vault/read-manifests';
import { segmentsOf } from '../../adapters/vault/segment-list';
import { eachIndex } from '../../adapters/vault/segment-index';
import type { Vault } from '../../adapters/vault/vault';
import { DrydockError } from '../../domain/errors';
import type { ContentNumbers } from '../../domain/content-numbers';
import { CopyList, type StoredCopy } from '../../domain/copy-list';
import { REPACKED } from '../../domain/repack';
import { vaultPaths, type SegmentHeader } from '../../domain/vault-format';
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
  /** Copies of indexes on this machine. */
  kept?: KeptIndexes;
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
  private doubtful: NumberedIndex[] = [];

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
    await options.kept?.cache.sweep();
    return stored;
  }

  /** Takes in segments that were written meanwhile. */
  async add(segments: readonly string[]): Promise<void> {
    await this.options.trust?.accept(segments);
    await this.read(new Set(segments));
  }

  /**
   * Has those doubtful segments checked that hold what is wanted (blob and digest, by numbers) or were repacked, and takes in what is sound. Returns whether anything
   * came in.
   */
  async admit(isWanted: (blob: number, digest: number) => boolean): Promise<boolean> {
    const { trust } = this.options;
    if (trust === undefined || this.doubtful.length === 0) return false;
    // Blobs of a repacked one are never missing: they stand in the old segments as well, which are freed only when backups name this one instead.
    const needed = this.doubtful.filter((index) => index.header.writtenBy.startsWith(REPACKED) || index.some(isWanted));
    await trust.check(needed.map(({ header }) => header));
    const sound = needed.filter(({ header }) => trust.isGood(header.segment));
    this.doubtful = this.doubtful.filter((index) => !sound.includes(index));
    // Hashing takes its time: what was marked meanwhile does not count any more.
    const marked = sound.length === 0 ? new Set() : await markedSegments(this.vault, this.cluster);
    for (const index of sound) if (!marked.has(index.header.segment)) this.store(index);
    return sound.length > 0;
  }

  good(path: string, sha256: string): StoredCopy | undefined {
    return this.copies.good(path, sha256);
  }

  /** Any copy of this blob with this size: as much as can be asked where the digest is not known yet. */
  likely(blob: number, size: number): boolean {
    return this.copies.hasSize(blob, size);
  }

  /** True when what was read from this path before was not what it should be: worth a look before it is moved again. */
  isSuspect(path: string): boolean {
    return this.voidAt.has(path) || this.copies.hasBlob(this.copies.numbers.blobs.add(path));
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
    for await (const index of eachIndex(this.vault, this.cluster, { only, onDamaged, kept: this.options.kept }, (segment, source) => NumberedIndex.read(source, this.cluster, segment, this.copies))) {
      this.options.signal?.throwIfAborted();
      const { header } = index;
      if (marked.has(header.segment) || !(await this.isOpenToAll(header, onDamaged))) {
        index.discard();
        continue;
      }
      // That a file was torn decides only when it is read again.
      for (const path of index.voidPaths) this.voidAt.add(path);
      if (this.options.trust?.isGood(header.segment) === false) this.doubtful.push(index);
      else this.store(index);
    }
  }

  private store(index: NumberedIndex): void {
    const { blobs, bytes } = this.writtenBy(index.header.writtenBy);
    this.written.set(index.header.writtenBy, { blobs: blobs + index.count, bytes: bytes + index.bytes });
    index.store();
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

/** A backup that cannot be read is passed by; after so many of them all indexes are read from the vault. */
const NEWEST = 3;

/** Copies of those indexes that the newest backup has sealed. */
export async function keptIndexes({ vault, name, cache }: Cluster, signal?: AbortSignal): Promise<KeptIndexes> {
  for (const id of (await sealedIds(vault, name)).reverse().slice(0, NEWEST)) {
    try {
      const { manifest } = await readManifest(vault, name, id);
      return { cache, sealed: new Map((await segmentsOf(vault, manifest, signal)).map(({ segment, index }) => [segment, index])) };
    } catch (error) {
      if (!(error instanceof DrydockError) || error.retryable) throw error;
    }
  }
  return { cache, sealed: new Map() };
}

/** Access of the current recipients to the segments of a cluster. */
export async function segmentAccess(cluster: Cluster): Promise<Access> {
  return Access.load(cluster.vault, vaultPaths.segments(cluster.name), await cluster.encryptionKeys(), await cluster.decryptionKeys());
}
