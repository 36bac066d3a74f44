import { parseBlobPath } from '../../domain/layout';
import type { Host } from '../host/host';
import type { RateLimit } from '../stream/rate-limit';
import { SegmentWriter, type SegmentWriterOptions, type WrittenSegment } from '../vault/segment-writer';
import { shareOut } from './shares';
import { streamBlobs } from './stream';
import type { StreamOptions } from './volume';

export interface CopyBlob {
  path: string;
  size: number;
  /** Hex, for `blobs/id` where the row is known; for `blobs/sha256` the name says it. */
  sha256?: string;
}

/** A list of blobs: an array, or one that makes its blobs when they are asked for. */
export interface CopyBlobs {
  readonly length: number;
  at(at: number): CopyBlob | undefined;
}

export interface CopyProgress {
  bytes: number;
  blobs: number;
}

export interface CopyBlobsOptions extends StreamOptions {
  host: Host;
  root: string;
  wanted: CopyBlobs;
  /** Where and how segments are written; each stream has its own writer. */
  writer: Omit<SegmentWriterOptions, 'onBlob'>;
  /** How many streams read, pack and encrypt side by side. Default 1. */
  streams?: number;
  /** Shared by all streams. */
  limit?: RateLimit;
  /** Called often; cheap callers only. */
  onProgress?: (done: CopyProgress) => void;
}

export interface CopyResult {
  stored: CopyProgress;
  segments: WrittenSegment[];
  /** Copies that are not what they should be: torn or changed under the reader. To be read again. */
  void: string[];
  /** Asked for, but not there any more. */
  vanished: string[];
}

/**
 * Copies blobs from a registry volume into segments, each hashed as it passes. Each stream is one remote command for a share of the blobs,
 * in the order that was asked for, into segments of its own. After an error, what `onSegment` reported is stored; unfinished segments are
 * thrown away.
 */
export async function copyBlobs(options: CopyBlobsOptions): Promise<CopyResult> {
  const copy = new Copy(options);
  const shares = shareOut(sizesOf(options.wanted), options.streams ?? 1);
  const lanes = Array.from({ length: Math.max(1, Math.min(options.streams ?? 1, shares.length)) }, () => copy.runLane(shares));
  const ends = await Promise.allSettled(lanes);
  const failed = ends.find((end) => end.status === 'rejected');
  // The first failure ended the other streams; it is the one to tell.
  if (failed) throw copy.failure ?? failed.reason;
  return copy.result();
}

interface Place {
  /** In the list of blobs. */
  at: number;
  size: number;
}

function* sizesOf(wanted: CopyBlobs): Generator<Place> {
  for (let at = 0; at < wanted.length; at += 1) yield { at, size: wanted.at(at)!.size };
}

/** What the streams of one copy share. */
class Copy {
  failure: unknown;
  private readonly torn = new Set<string>();
  private readonly vanished = new Set<string>();
  private readonly done: CopyProgress = { bytes: 0, blobs: 0 };
  private readonly segments: WrittenSegment[] = [];
  private readonly stop = new AbortController();
  private readonly signal: AbortSignal;

  constructor(private readonly options: CopyBlobsOptions) {
    this.signal = options.signal ? AbortSignal.any([options.signal, this.stop.signal]) : this.stop.signal;
  }

  /** Takes shares until none is left. */
  async runLane(shares: Place[][]): Promise<void> {
    const writer = new SegmentWriter({ ...this.options.writer, onBlob: (blob) => (blob.void ? this.torn.add(blob.path) : (this.done.blobs += 1)) });
    try {
      for (let share = shares.shift(); share; share = shares.shift()) await this.copyShare(share, writer);
      this.segments.push(...(await writer.finish()));
    } catch (error) {
      this.failure ??= error;
      this.stop.abort(error);
      throw error;
    } finally {
      await writer.abort();
    }
  }

  result(): CopyResult {
    return { stored: { ...this.done }, segments: this.segments, void: [...this.torn], vanished: [...this.vanished] };
  }

  private async copyShare(share: Place[], writer: SegmentWriter): Promise<void> {
    const { host, root, stallMs, priority, wanted } = this.options;
    const open = new Map(share.map(({ at }) => wanted.at(at)!).map((blob) => [blob.path, blob.sha256]));
    // A copy whose digest is known is proven by it, whatever tar says about the file.
    const unproven = new Set<string>();
    const onTorn = (path: string): void => void (unproven.has(path) && this.torn.add(path));
    for await (const blob of streamBlobs(host, root, [...open.keys()], { stallMs, priority, signal: this.signal, onTorn })) {
      const sha256 = open.get(blob.path) ?? digestInName(blob.path);
      open.delete(blob.path);
      if (sha256 === undefined) unproven.add(blob.path);
      await writer.push({ path: blob.path, size: blob.size, ...(sha256 === undefined ? {} : { sha256 }) }, this.counted(blob.data));
    }
    for (const path of open.keys()) this.vanished.add(path);
  }

  private async *counted(data: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const { limit, onProgress } = this.options;
    for await (const chunk of data) {
      await limit?.take(chunk.length, this.signal);
      this.done.bytes += chunk.length;
      onProgress?.({ ...this.done });
      yield chunk;
    }
  }
}

function digestInName(path: string): string | undefined {
  const parsed = parseBlobPath(path);
  return parsed?.layout === 'sha256' ? parsed.sha256 : undefined;
}
