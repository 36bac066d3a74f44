/** The parts of a backup that are no images of their own: the vendor's metadata archive, and the whole content of the registry volume. */
import { DrydockError } from '../../domain/errors';
import type { BlobLine } from '../../domain/manifest';
import { readTar } from '../archive/tar-entries';
import { readArtifact } from '../vault/artifacts';
import { readBlobs } from '../vault/segment-reader';
import type { SealedBackup } from '../vault/sealed-backup';
import { watched, type ExtractOptions } from './oci-layout';
import type { Target } from './target';

/** Where the volume's content comes to lie below the target. */
const VOLUME = 'volume';

/** `metadata.tar`: what the vendor's `restore` reads, decrypted; and the backup's `manifest.json`. */
export async function writeMetadata(target: Target, backup: SealedBackup, options: ExtractOptions = {}): Promise<void> {
  const { signal, onProgress } = options;
  let bytes = 0;
  const source = await readArtifact(backup.vault, backup.manifest.artifacts.metadata, backup.keys, { gunzip: true, ...(signal === undefined ? {} : { signal }) });
  await target.write('metadata.tar', watched(source, signal, (more) => onProgress?.((bytes += more), 0)));
  await target.write('manifest.json', `${JSON.stringify(backup.manifest, null, 2)}\n`);
}

/**
 * `volume/docker/registry/v2/...`: link tree and blobs, as they lie in a registry volume; owners and modes are the reader's own. Throws IntegrityMismatch when the
 * backup holds anything but files and folders below the root.
 */
export async function writeVolume(target: Target, backup: SealedBackup, options: ExtractOptions = {}): Promise<void> {
  const { signal, onProgress } = options;
  const { tree } = backup.manifest.artifacts;
  await target.makeFolder(VOLUME);
  if (tree !== undefined) await writeTree(target, backup, tree, signal);
  let bytes = 0;
  let count = 0;
  for await (const batch of batches(backup.blobs())) {
    for await (const blob of readBlobs(backup.vault, backup.cluster, batch, backup.keys, { recorded: await backup.recorded(), ...(signal === undefined ? {} : { signal }) })) {
      await target.write(`${VOLUME}/${blob.path}`, watched(blob.data, signal, (more) => onProgress?.((bytes += more), count)));
      onProgress?.(bytes, (count += 1));
    }
  }
}

async function writeTree(target: Target, backup: SealedBackup, tree: NonNullable<SealedBackup['manifest']['artifacts']['tree']>, signal?: AbortSignal): Promise<void> {
  const source = await readArtifact(backup.vault, tree, backup.keys, { gunzip: true, ...(signal === undefined ? {} : { signal }) });
  for await (const entry of readTar(source as AsyncIterable<Buffer>)) {
    const name = entry.name.replace(/^\.\//, '').replace(/\/$/, '');
    if (entry.type === 'directory') {
      if (name !== '' && name !== '.') await target.makeFolder(`${VOLUME}/${name}`);
    } else if (entry.type === 'file') {
      await target.write(`${VOLUME}/${name}`, watched(entry.data, signal, () => undefined));
    } else {
      throw new DrydockError('IntegrityMismatch', `the tree archive holds ${JSON.stringify(entry.name)}, which is neither a file nor a folder`, { remedy: 'use another backup' });
    }
  }
}

/** The list is ordered by segment; each batch is one segment, so that memory stays flat. */
async function* batches(lines: AsyncIterable<BlobLine>): AsyncGenerator<BlobLine[]> {
  let batch: BlobLine[] = [];
  for await (const line of lines) {
    if (batch.length > 0 && batch[0]!.segment !== line.segment) {
      yield batch;
      batch = [];
    }
    batch.push(line);
  }
  if (batch.length > 0) yield batch;
}
