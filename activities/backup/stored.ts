/** What the vault's indexes say is stored: the base of every decision on what has to be read again. */
import { Access } from '../../adapters/vault/access';
import { markedSegments } from '../../adapters/vault/picture';
import { readIndexes, type SegmentIndex } from '../../adapters/vault/segment-index';
import type { Vault } from '../../adapters/vault/vault';
import { DrydockError } from '../../domain/errors';
import type { Copies, StoredCopy } from '../../domain/proof';
import { vaultPaths, type SegmentHeader, type StoredBlob } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import type { SegmentTrust } from './segment-trust';

/** What a backup needs to be stored: by its digest, where that is known, else by its size. */
export interface WantedCopy {
  path: string;
  size?: number;
  sha256?: string;
}

export class StoredBlobs implements Copies {
  /** Good copies by path; of several with the same digest the newest counts. */
  private readonly copies = new Map<string, StoredCopy[]>();
  /** Paths whose stored copies include void ones: these files were torn, or are broken for good. */
  private readonly voidAt = new Set<string>();
  /** One sentence for each index that could not be used; its blobs count as not stored. */
  readonly damaged: string[] = [];
  private readonly written = new Map<string, { blobs: number; bytes: number }>();

  /** Segments that are not trusted as they lie; they count for nothing before `admit`. */
  private doubtful: SegmentIndex[] = [];

  private constructor(
    private readonly vault: Vault,
    private readonly cluster: string,
    private readonly access: Access | undefined,
    private readonly trust: SegmentTrust | undefined,
  ) {}

  /**
   * `access`: segments that not every current recipient can open count only when their session keys can be wrapped for those. `trust`: only what it calls good counts;
   * without it all does.
   */
  static async load(vault: Vault, cluster: string, signal?: AbortSignal, access?: Access, trust?: SegmentTrust): Promise<StoredBlobs> {
    const stored = new StoredBlobs(vault, cluster, access, trust);
    await stored.read(undefined, signal);
    return stored;
  }

  /** Takes in segments that were written meanwhile. */
  async add(segments: readonly string[]): Promise<void> {
    await this.trust?.accept(segments);
    await this.read(new Set(segments));
  }

  /** Has those doubtful segments checked that hold what is wanted and not stored elsewhere, and takes in what is sound. */
  async admit(wanted: Iterable<WantedCopy>): Promise<void> {
    if (this.trust === undefined || this.doubtful.length === 0) return;
    const open = new Map<string, WantedCopy[]>();
    for (const copy of wanted) if (!this.has(copy)) open.set(copy.path, [...(open.get(copy.path) ?? []), copy]);
    const holds = ({ path, size, sha256, void: isVoid }: StoredBlob): boolean => !isVoid && (open.get(path)?.some((copy) => fits(copy, { size, sha256 })) ?? false);
    const needed = this.doubtful.filter(({ blobs }) => blobs.some(holds));
    await this.trust.check(needed.map(({ header }) => header));
    for (const index of needed) if (this.trust.isGood(index.header.segment)) this.take(index);
    this.doubtful = this.doubtful.filter(({ header }) => !this.trust?.isGood(header.segment));
  }

  good(path: string, sha256: string): StoredCopy | undefined {
    return this.copies.get(path)?.find((copy) => copy.sha256 === sha256);
  }

  /** Any copy of this size: as much as can be asked where the digest is not known yet. */
  likely(path: string, size: number): boolean {
    return this.copies.get(path)?.some((copy) => copy.size === size) ?? false;
  }

  private has({ path, size, sha256 }: WantedCopy): boolean {
    if (sha256 !== undefined) return this.good(path, sha256) !== undefined;
    return size === undefined || this.likely(path, size);
  }

  /** True when what was read from this path before was not what it should be: worth a look before it is moved again. */
  isSuspect(path: string): boolean {
    return this.voidAt.has(path) || this.copies.has(path);
  }

  wasVoid(path: string): boolean {
    return this.voidAt.has(path);
  }

  /** What the operation (`writtenBy` of its segments) has stored so far. */
  writtenBy(operation: string): { blobs: number; bytes: number } {
    return this.written.get(operation) ?? { blobs: 0, bytes: 0 };
  }

  private async read(only: ReadonlySet<string> | undefined, signal?: AbortSignal): Promise<void> {
    if (only?.size === 0) return;
    const onDamaged = (name: string, error: Error): void => void this.damaged.push(`${name} cannot be used (${error.message}); its blobs are stored anew.`);
    // What is marked for removal may be gone before this backup is restored: its blobs count as not stored.
    const marked = await markedSegments(this.vault, this.cluster);
    for await (const index of readIndexes(this.vault, this.cluster, { only, onDamaged })) {
      signal?.throwIfAborted();
      const { header } = index;
      if (marked.has(header.segment)) continue;
      if (!(await this.isOpenToAll(header, onDamaged))) continue;
      if (this.trust?.isGood(header.segment) !== false) this.take(index);
      else {
        this.doubtful.push(index);
        // That a file was torn decides only when it is read again.
        for (const blob of index.blobs) if (blob.void) this.voidAt.add(blob.path);
      }
    }
  }

  private take({ header, blobs }: SegmentIndex): void {
    const sum = { ...this.writtenBy(header.writtenBy) };
    for (const { path, size, sha256, refs, void: isVoid } of blobs) {
      if (isVoid) {
        this.voidAt.add(path);
        continue;
      }
      sum.blobs += 1;
      sum.bytes += size;
      const others = (this.copies.get(path) ?? []).filter((copy) => copy.sha256 !== sha256);
      this.copies.set(path, [...others, { path, size, sha256, segment: header.segment, ...(refs ? { refs } : {}) }]);
    }
    this.written.set(header.writtenBy, sum);
  }

  private async isOpenToAll({ segment, recipients }: SegmentHeader, onDamaged: (name: string, error: Error) => void): Promise<boolean> {
    const name = vaultPaths.segment(this.cluster, segment);
    try {
      return (await this.access?.cover(name, recipients)) ?? true;
    } catch (error) {
      if (!(error instanceof DrydockError) || error.kind !== 'IntegrityMismatch') throw error;
      onDamaged(name, error);
      return false;
    }
  }
}

function fits(wanted: WantedCopy, stored: { size: number; sha256: string }): boolean {
  return wanted.sha256 === undefined ? wanted.size === stored.size : wanted.sha256 === stored.sha256;
}

/** Access of the current recipients to the segments of a cluster. */
export async function segmentAccess(cluster: Cluster): Promise<Access> {
  return Access.load(cluster.vault, vaultPaths.segments(cluster.name), await cluster.encryptionKeys(), await cluster.decryptionKeys());
}
