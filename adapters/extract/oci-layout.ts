/** Images of a backup as an OCI image layout: `oci-layout`, `index.json`, `blobs/<algorithm>/<hex>`. */
import { createHash } from 'node:crypto';
import { hashOfDigest, isOtherDigest, partsOfDigest } from '../../domain/digest';
import { DrydockError } from '../../domain/errors';
import type { BlobLine } from '../../domain/manifest';
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
  const write = async (lines: Iterable<BlobLine>, nameOf: (sha256: string) => string): Promise<void> => {
    for await (const blob of readBlobs(backup.vault, backup.cluster, lines, backup.keys, { recorded: await backup.recorded(), ...(signal === undefined ? {} : { signal }) })) {
      const digest = nameOf(blob.sha256);
      const { algorithm, encoded } = partsOfDigest(digest);
      await target.write(`blobs/${algorithm}/${encoded}`, heldTo(digest, watched(blob.data, signal, (more) => onProgress?.((bytes += more), count))));
      onProgress?.(bytes, (count += 1));
    }
  };
  await write([...blobs].flatMap(([digest, line]) => (isOtherDigest(digest) ? [] : [line])), (sha256) => sha256);
  // The same content may be named by another algorithm as well: few have such names, and each is read for itself.
  for (const [digest, line] of blobs) if (isOtherDigest(digest)) await write([line], () => digest);
  await target.write('index.json', `${JSON.stringify(layoutIndex(images), null, 2)}\n`);
  await target.write('oci-layout', `${JSON.stringify(OCI_LAYOUT)}\n`);
}

/** What a vault holds is proven by its SHA-256; a name of another algorithm is held to the bytes here. */
async function* heldTo(digest: string, data: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const algorithm = isOtherDigest(digest) ? hashOfDigest(digest) : null;
  const hash = algorithm === null ? null : createHash(algorithm);
  for await (const chunk of data) {
    hash?.update(chunk);
    yield chunk;
  }
  if (hash && hash.digest('hex') !== partsOfDigest(digest).encoded) {
    throw new DrydockError('IntegrityMismatch', `the backup says that a blob has the digest ${digest}, and it has another one`, { remedy: 'use another backup' });
  }
}

/** Passes bytes through; ends with an error as soon as the signal says so. */
export async function* watched(data: AsyncIterable<Buffer>, signal: AbortSignal | undefined, onBytes: (more: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of data) {
    signal?.throwIfAborted();
    onBytes(chunk.length);
    yield chunk;
  }
}
