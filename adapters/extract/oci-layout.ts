/** Images of a backup as an OCI image layout: `oci-layout`, `index.json`, `blobs/sha256/<hex>`. */
import { layoutIndex, OCI_LAYOUT } from '../../domain/oci';
import { readBlobs } from '../vault/segment-reader';
import type { SealedBackup } from '../vault/sealed-backup';
import type { ImageSet } from './images';
import type { Target } from './target';

export interface ExtractOptions {
  signal?: AbortSignal;
  /** Called with the bytes and blobs written so far. */
  onProgress?: (bytes: number, blobs: number) => void;
}

/** Every blob is proven by its digest while it is written. Throws IntegrityMismatch, NotFound, NoSpace; the target must then be aborted. */
export async function writeOciLayout(target: Target, backup: SealedBackup, { images, blobs }: ImageSet, options: ExtractOptions = {}): Promise<void> {
  const { signal, onProgress } = options;
  let bytes = 0;
  let count = 0;
  await target.makeFolder('blobs/sha256');
  const reading = readBlobs(backup.vault, backup.cluster, blobs.values(), backup.keys, { recorded: await backup.recorded(), ...(signal === undefined ? {} : { signal }) });
  for await (const blob of reading) {
    await target.write(`blobs/sha256/${blob.sha256}`, watched(blob.data, signal, (more) => onProgress?.((bytes += more), count)));
    onProgress?.(bytes, (count += 1));
  }
  await target.write('index.json', `${JSON.stringify(layoutIndex(images), null, 2)}\n`);
  await target.write('oci-layout', `${JSON.stringify(OCI_LAYOUT)}\n`);
}

/** Passes bytes through; ends with an error as soon as the signal says so. */
export async function* watched(data: AsyncIterable<Buffer>, signal: AbortSignal | undefined, onBytes: (more: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of data) {
    signal?.throwIfAborted();
    onBytes(chunk.length);
    yield chunk;
  }
}
