import { parseBlobPath } from '../../domain/layout';
import type { Host } from '../host/host';
import type { SegmentWriter } from '../vault/segment-writer';
import { streamBlobs } from './stream';
import type { StreamOptions } from './volume';

export interface CopyBlob {
  path: string;
  size: number;
  /** Hex, for `blobs/id` where the row is known; for `blobs/sha256` the name says it. */
  sha256?: string;
}

export interface CopyProgress {
  bytes: number;
  blobs: number;
}

export interface CopyBlobsOptions extends StreamOptions {
  host: Host;
  root: string;
  wanted: Iterable<CopyBlob>;
  writer: SegmentWriter;
  /** Called often; cheap callers only. */
  onProgress?: (done: CopyProgress) => void;
}

export interface CopyResult {
  stored: CopyProgress;
  /** Copies that are not what they should be: torn or changed under the reader. To be read again. */
  void: string[];
  /** Asked for, but not there any more. */
  vanished: string[];
}

/**
 * Copies blobs from a registry volume into segments, each hashed as it passes. The caller ends the writer: `finish` after success, `abort`
 * after an error; what `onSegment` reported is stored either way.
 */
export async function copyBlobs(options: CopyBlobsOptions): Promise<CopyResult> {
  const { host, root, wanted, writer, onProgress, ...streamOptions } = options;
  const open = new Map<string, string | undefined>();
  for (const blob of wanted) open.set(blob.path, blob.sha256);
  const torn = new Set<string>();
  // A copy whose digest is known is proven by it, whatever tar says about the file.
  const unproven = new Set<string>();
  const done: CopyProgress = { bytes: 0, blobs: 0 };
  for await (const blob of streamBlobs(host, root, [...open.keys()], { ...streamOptions, onTorn: (path) => unproven.has(path) && torn.add(path) })) {
    const sha256 = open.get(blob.path) ?? digestInName(blob.path);
    open.delete(blob.path);
    if (sha256 === undefined) unproven.add(blob.path);
    const base = done.bytes;
    const counted = count(blob.data, (bytes) => onProgress?.({ bytes: base + bytes, blobs: done.blobs }));
    const stored = await writer.add({ path: blob.path, size: blob.size, ...(sha256 === undefined ? {} : { sha256 }) }, counted);
    if (stored.void) torn.add(blob.path);
    else done.blobs += 1;
    done.bytes = base + blob.size;
    onProgress?.({ ...done });
  }
  return { stored: done, void: [...torn], vanished: [...open.keys()] };
}

function digestInName(path: string): string | undefined {
  const parsed = parseBlobPath(path);
  return parsed?.layout === 'sha256' ? parsed.sha256 : undefined;
}

async function* count(data: AsyncIterable<Buffer>, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of data) {
    bytes += chunk.length;
    onBytes(bytes);
    yield chunk;
  }
}
