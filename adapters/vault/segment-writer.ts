/** Writing blobs into segments: plain tar in OpenPGP, of bounded size, each with its index. */
import { randomBytes } from 'node:crypto';
import { FORMAT_VERSION, vaultPaths, type StoredBlob } from '../../domain/vault-format';
import { newMessage } from '../openpgp/encrypt';
import type { EncryptionKeys } from '../openpgp/keys';
import { PackingThread } from './packing';
import { formatIndex, indexDigest } from './segment-index';
import { packedSize, PACKING_OVERHEAD, type NewBlob } from './segment-packer';
import type { Vault, VaultUpload } from './vault';

export { BUFFERED_BYTES, type NewBlob } from './segment-packer';

export interface SegmentWriterOptions {
  vault: Vault;
  cluster: string;
  keys: EncryptionKeys;
  /** The operation's id; stands in the index. */
  writtenBy: string;
  /** Largest plain size of a segment; a blob that is larger gets a segment of its own. */
  segmentBytes: number;
  /** Called for each blob of `push` once it is known what became of it; stored it is only with its segment. */
  onBlob?: (blob: StoredBlob) => void;
  /** Called when a segment and its index are durable: from here on its blobs are stored. */
  onSegment?: (segment: WrittenSegment) => void;
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

/** Writes blobs one after the other; packing goes on in a thread. Not for use by two callers at once; parallel writers each have their own. */
export class SegmentWriter {
  readonly segments: WrittenSegment[] = [];
  private current: OpenSegment | null = null;
  private last: StoredBlob | null = null;

  constructor(private readonly options: SegmentWriterOptions) {}

  /**
   * Takes one blob; `onBlob` tells later what became of it: `void` when what came is not what was expected. A small one is then not in the
   * segment at all, a large one is in the tar and marked in the index. Errors of `data` come through; the writer must then be aborted.
   */
  async push(blob: NewBlob, data: AsyncIterable<Buffer>): Promise<void> {
    const segment = await this.roomFor(blob.size);
    await segment.push(blob, data);
  }

  /** As `push`, and waits until the blob is packed. For single blobs: many go faster by `push`. */
  async add(blob: NewBlob, data: AsyncIterable<Buffer>): Promise<StoredBlob> {
    await this.push(blob, data);
    await this.current?.drained();
    if (this.last?.path !== blob.path) throw new Error(`nothing is known of ${blob.path}`);
    return this.last;
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

  /** The segment that the next blob goes into. */
  private async roomFor(size: number): Promise<OpenSegment> {
    if (this.current && !this.current.hasRoomFor(size)) await this.closeCurrent();
    this.current ??= await OpenSegment.start(this.options, size, (blob) => {
      this.last = blob;
      this.options.onBlob?.(blob);
    });
    return this.current;
  }

  private async closeCurrent(): Promise<void> {
    const open = this.current;
    if (!open) return;
    const written = await open.close();
    this.current = null;
    if (!written) return;
    this.segments.push(written);
    this.options.onSegment?.(written);
  }
}

/** One segment on its way into the vault. */
class OpenSegment {
  private readonly blobs: StoredBlob[] = [];
  /** Plain bytes if everything that was offered is packed: never less than the tar will have. */
  private offeredBytes = PACKING_OVERHEAD;
  private readonly thread = PackingThread.take();
  private over = false;

  private constructor(
    private readonly options: SegmentWriterOptions,
    private readonly id: string,
    private readonly upload: VaultUpload,
  ) {}

  /** `size`: of the first blob. */
  static async start(options: SegmentWriterOptions, size: number, onBlob: (blob: StoredBlob) => void): Promise<OpenSegment> {
    const id = newSegmentId();
    const message = await newMessage(options.keys);
    const expectedBytes = Math.max(options.segmentBytes, packedSize(size));
    const open = new OpenSegment(options, id, await options.vault.upload(vaultPaths.segment(options.cluster, id), { expectedBytes }));
    open.thread.open(message, {
      write: (ciphertext) => open.write(ciphertext),
      onBlob: ({ stored, inTar }) => {
        if (inTar) open.blobs.push(stored);
        onBlob(stored);
      },
    });
    return open;
  }

  /** An empty segment has room for anything: what is larger than a segment gets one of its own. */
  hasRoomFor(size: number): boolean {
    return this.offeredBytes === PACKING_OVERHEAD || this.offeredBytes + packedSize(size) <= this.options.segmentBytes;
  }

  async push(blob: NewBlob, data: AsyncIterable<Buffer>): Promise<void> {
    this.offeredBytes += packedSize(blob.size);
    await this.thread.begin(blob);
    for await (const chunk of data) await this.thread.data(chunk);
    await this.thread.end();
  }

  drained(): Promise<void> {
    return this.thread.drained();
  }

  /** Null when no blob turned out right: there is nothing to keep then. */
  async close(): Promise<WrittenSegment | null> {
    const { vault, cluster, keys, writtenBy } = this.options;
    try {
      await this.thread.drained();
      if (this.blobs.length === 0) {
        await this.abort();
        return null;
      }
      const packed = await this.thread.finish();
      this.thread.release();
      this.over = true;
      this.upload.stream.end();
      await this.upload.commit();
      const about = { segment: this.id, ...packed, recipients: keys.recipients, blobs: this.blobs.length };
      const index = formatIndex({ header: { format: FORMAT_VERSION, writtenBy, ...about }, blobs: this.blobs });
      await vault.put(vaultPaths.segmentIndex(cluster, this.id), index);
      return { ...about, index: indexDigest(index) };
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  async abort(): Promise<void> {
    if (!this.over) this.thread.stop();
    this.over = true;
    await this.upload.abort();
  }

  /** Resolves when the vault has taken the bytes: their memory is used again then. */
  private write(ciphertext: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.upload.stream.write(ciphertext, (error) => (error ? reject(error) : resolve()));
    });
  }
}

/** Sorts by time of making, and never repeats. */
function newSegmentId(): string {
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  return `${time}-${randomBytes(6).toString('hex')}`;
}
