/** Packing blobs into segments: plain tar in OpenPGP, of bounded size, each with its index. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FORMAT_VERSION, vaultPaths, type StoredBlob } from '../../domain/vault-format';
import { END_OF_ARCHIVE, makeHeader, paddingOf } from '../archive/tar-header';
import { encryptStream } from '../openpgp/encrypt';
import type { EncryptionKeys } from '../openpgp/keys';
import { DigestStream } from './artifacts';
import { parseManifestRefs } from './manifest-refs';
import { formatIndex, indexDigest } from './segment-index';
import type { Vault, VaultUpload } from './vault';

/** Blobs up to this size are read whole before they are written, so a torn manifest never enters a segment. */
export const BUFFERED_BYTES = 4 * 1024 * 1024;
/** Pieces below this size are put together: each write has a price of its own. */
const SMALL_WRITE_BYTES = 64 * 1024;

export interface SegmentWriterOptions {
  vault: Vault;
  cluster: string;
  keys: EncryptionKeys;
  /** The operation's id; stands in the index. */
  writtenBy: string;
  /** Largest plain size of a segment; a blob that is larger gets a segment of its own. */
  segmentBytes: number;
  /** Called when a segment and its index are durable: from here on its blobs are stored. */
  onSegment?: (segment: WrittenSegment) => void;
}

/** A blob that is offered. `size` is the number of bytes that come. */
export interface NewBlob {
  path: string;
  size: number;
  /** Hex; absent when it is not known yet (`blobs/id` before the metadata is read). */
  sha256?: string;
}

/** A finished segment, with what a manifest says about it. */
export interface WrittenSegment {
  segment: string;
  bytes: number;
  sha256: string;
  plainBytes: number;
  recipients: string[];
  blobs: number;
  index: { bytes: number; sha256: string };
}

/** Writes blobs one after the other. Not for use by two callers at once; parallel writers each have their own. */
export class SegmentWriter {
  readonly segments: WrittenSegment[] = [];
  private current: OpenSegment | null = null;

  constructor(private readonly options: SegmentWriterOptions) {}

  /**
   * Stores one blob. The result is `void` when what came is not what was expected: a small one is then not in the segment at all, a large
   * one is in the tar and marked in the index. Errors of `data` come through; the writer must then be aborted.
   */
  async add(blob: NewBlob, data: AsyncIterable<Buffer>): Promise<StoredBlob> {
    return blob.size <= BUFFERED_BYTES ? this.addBuffered(blob, data) : this.addStreamed(blob, data);
  }

  /** Closes the last segment and returns all that were written. */
  async finish(): Promise<WrittenSegment[]> {
    await this.closeCurrent();
    return this.segments;
  }

  /** Throws the unfinished segment away; finished ones stay. Safe to call twice and after `finish`. */
  async abort(): Promise<void> {
    const open = this.current;
    this.current = null;
    await open?.abort();
  }

  private async addBuffered(blob: NewBlob, data: AsyncIterable<Buffer>): Promise<StoredBlob> {
    const parts: Buffer[] = [];
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of data) {
      hash.update(chunk);
      bytes += chunk.length;
      if (bytes <= blob.size) parts.push(chunk);
    }
    const sha256 = hash.digest('hex');
    if (bytes !== blob.size || (blob.sha256 !== undefined && blob.sha256 !== sha256)) {
      return { path: blob.path, size: blob.size, sha256, offset: 0, void: true };
    }
    const segment = await this.roomFor(blob.size);
    const refs = parts.length > 0 && parts[0]![0] === 0x7b ? parseManifestRefs(Buffer.concat(parts)) : null;
    const header = makeHeader({ name: blob.path, type: 'file', size: blob.size });
    const stored: StoredBlob = { path: blob.path, size: blob.size, sha256, offset: segment.plainBytes + header.length, ...(refs ? { refs } : {}) };
    await segment.write([header, ...parts, Buffer.alloc(paddingOf(blob.size))]);
    segment.blobs.push(stored);
    return stored;
  }

  private async addStreamed(blob: NewBlob, data: AsyncIterable<Buffer>): Promise<StoredBlob> {
    const segment = await this.roomFor(blob.size);
    const header = makeHeader({ name: blob.path, type: 'file', size: blob.size });
    const offset = segment.plainBytes + header.length;
    await segment.write([header]);
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of data) {
      hash.update(chunk);
      const fitting = chunk.subarray(0, Math.max(0, blob.size - bytes));
      bytes += chunk.length;
      if (fitting.length > 0) await segment.write([fitting]);
    }
    const sha256 = hash.digest('hex');
    // The tar must stay well-formed: what did not come is filled up, and the copy is void.
    await segment.fill(Math.max(0, blob.size - bytes) + paddingOf(blob.size));
    const torn = bytes !== blob.size || (blob.sha256 !== undefined && blob.sha256 !== sha256);
    const stored: StoredBlob = { path: blob.path, size: blob.size, sha256, offset, ...(torn ? { void: true as const } : {}) };
    segment.blobs.push(stored);
    return stored;
  }

  /** The segment that the next blob goes into. */
  private async roomFor(size: number): Promise<OpenSegment> {
    const needed = 512 + size + paddingOf(size) + END_OF_ARCHIVE.length;
    if (this.current && this.current.blobs.length > 0 && this.current.plainBytes + needed > this.options.segmentBytes) await this.closeCurrent();
    this.current ??= await OpenSegment.start(this.options);
    return this.current;
  }

  private async closeCurrent(): Promise<void> {
    const open = this.current;
    if (!open) return;
    if (open.blobs.length === 0) return this.abort();
    const written = await open.close();
    this.current = null;
    this.segments.push(written);
    this.options.onSegment?.(written);
  }
}

/** One segment on its way into the vault. */
class OpenSegment {
  readonly blobs: StoredBlob[] = [];
  plainBytes = 0;
  private readonly digest = new DigestStream();
  private readonly stored: Promise<void>;

  private constructor(
    private readonly options: SegmentWriterOptions,
    private readonly id: string,
    private readonly encryptor: Transform,
    private readonly upload: VaultUpload,
  ) {
    this.stored = pipeline(encryptor, this.digest, upload.stream);
    // Seen by the next write or by close; without this a failure in between would end the process.
    this.stored.catch(() => undefined);
  }

  static async start(options: SegmentWriterOptions): Promise<OpenSegment> {
    const id = newSegmentId();
    const encryptor = await encryptStream(options.keys);
    return new OpenSegment(options, id, encryptor, await options.vault.upload(vaultPaths.segment(options.cluster, id)));
  }

  async write(pieces: Buffer[]): Promise<void> {
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const ready = bytes <= SMALL_WRITE_BYTES ? [Buffer.concat(pieces, bytes)] : pieces;
    this.plainBytes += bytes;
    for (const piece of ready) {
      if (this.encryptor.destroyed) await this.stored;
      if (!this.encryptor.write(piece)) await Promise.race([once(this.encryptor, 'drain'), this.stored]);
    }
  }

  /** Writes zeros. */
  async fill(bytes: number): Promise<void> {
    for (let left = bytes; left > 0; ) {
      const piece = Buffer.alloc(Math.min(left, 1 << 20));
      left -= piece.length;
      await this.write([piece]);
    }
  }

  async close(): Promise<WrittenSegment> {
    const { vault, cluster, keys, writtenBy } = this.options;
    try {
      await this.write([END_OF_ARCHIVE]);
      this.encryptor.end();
      await this.stored;
      await this.upload.commit();
    } catch (error) {
      await this.abort();
      throw error;
    }
    const about = { segment: this.id, bytes: this.digest.bytes, sha256: this.digest.digest(), recipients: keys.recipients, blobs: this.blobs.length, plainBytes: this.plainBytes };
    const index = formatIndex({ header: { format: FORMAT_VERSION, writtenBy, ...about }, blobs: this.blobs });
    await vault.put(vaultPaths.segmentIndex(cluster, this.id), index);
    return { ...about, index: indexDigest(index) };
  }

  async abort(): Promise<void> {
    this.encryptor.destroy();
    await this.upload.abort();
  }
}

/** Sorts by time of making, and never repeats. */
function newSegmentId(): string {
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  return `${time}-${randomBytes(6).toString('hex')}`;
}
