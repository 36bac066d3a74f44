/** Reading blobs back from segments: whole segments in one stream, or single blobs by range. */
import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import type { DecryptionKeys } from '../openpgp/keys';
import { decryptRange } from '../openpgp/random-access';
import { refuseDamaged } from './artifacts';
import { proven } from './blob-reader';
import { openCiphertext } from './ciphertext';
import { openStored } from './open-stored';
import { OpeningThread } from './opening';
import { findPlaces, type RecordedSegment, type SegmentPlaces, type WantedBlob } from './segment-places';
import type { Vault } from './vault';

export type { WantedBlob } from './segment-places';

export interface ReadBlob extends WantedBlob {
  /** Must be read before the next blob is asked for. Throws IntegrityMismatch at its end when the bytes are not those that were wanted; use nothing of it before. */
  data: AsyncIterable<Buffer>;
}

export interface ReadBlobsOptions {
  signal?: AbortSignal;
  /** What the manifest says about the segments (`recordedSegments`); an index that is another one, or that disagrees, is refused. */
  recorded?: ReadonlyMap<string, RecordedSegment>;
  /** For readers that are done with a piece of data when they ask for the next: its memory is then used again. */
  reuse?: boolean;
}

/** Reading alone costs up to two pieces of the encrypted form more than the blob itself. */
const ALONE_OVERHEAD_BYTES = 2 << 20;

/**
 * Yields the wanted blobs, segment by segment. A segment that is read as a whole has its ciphertext hashed before anything of it is
 * decrypted; when little of it is wanted, only those parts are read. Either way each blob is proven by its own digest.
 * Throws NotFound, IntegrityMismatch or AuthRejected, naming the segment.
 */
export async function* readBlobs(vault: Vault, cluster: string, wanted: Iterable<WantedBlob>, keys: DecryptionKeys, options: ReadBlobsOptions = {}): AsyncGenerator<ReadBlob> {
  const bySegment = new Map<string, WantedBlob[]>();
  for (const blob of wanted) {
    const list = bySegment.get(blob.segment);
    if (list) list.push(blob);
    else bySegment.set(blob.segment, [blob]);
  }
  for (const [segment, blobs] of [...bySegment].sort(([a], [b]) => (a < b ? -1 : 1))) {
    options.signal?.throwIfAborted();
    const recorded = options.recorded?.get(segment);
    const found = await findPlaces(vault, cluster, segment, blobs, recorded?.index);
    checkRecorded(found, recorded);
    const alone = blobs.reduce((sum, blob) => sum + blob.size + ALONE_OVERHEAD_BYTES, 0);
    yield* alone < found.header.plainBytes / 2 ? readAlone(vault, cluster, found, keys) : readWhole(vault, cluster, found, keys, options);
  }
}

async function* readWhole(vault: Vault, cluster: string, { header, places }: SegmentPlaces, keys: DecryptionKeys, { signal, reuse = false }: ReadBlobsOptions): AsyncGenerator<ReadBlob> {
  const { segment } = header;
  const name = vaultPaths.segment(cluster, segment);
  const message = await openStored(vault, name, keys);
  const { source, again, close } = await openCiphertext(vault, name, signal);
  const thread = OpeningThread.take();
  let done = false;
  try {
    // The whole ciphertext first: nothing of it is decrypted before it is known to be what was written.
    let bytes = 0;
    const { sha256 = '' } = await thread.run(source, { hash: true }, (more) => (bytes += more));
    refuseDamaged(vault, { name, bytes: header.bytes, sha256: header.sha256 }, { bytes, sha256 });
    const job = { segment, ...message, places: places.map(({ path, size, sha256: digest, offset }) => ({ path, size, sha256: digest, offset })) };
    for await (const { place, data } of thread.blobs(await again(), job, reuse)) yield { path: place.path, size: place.size, sha256: place.sha256, segment, data };
    done = true;
  } finally {
    if (done) thread.release();
    else thread.stop();
    await close();
  }
}

async function* readAlone(vault: Vault, cluster: string, { header, places }: SegmentPlaces, keys: DecryptionKeys): AsyncGenerator<ReadBlob> {
  const { segment } = header;
  const name = vaultPaths.segment(cluster, segment);
  const message = await openStored(vault, name, keys);
  const read = (offset: number, length: number) => vault.read(name, { offset, length });
  for (const blob of places) {
    yield { path: blob.path, size: blob.size, sha256: blob.sha256, segment, data: proven(decryptRange(read, message, blob.offset, blob.size), blob, segment) };
  }
}

function checkRecorded({ header }: SegmentPlaces, recorded: RecordedSegment | undefined): void {
  if (!recorded || (recorded.bytes === header.bytes && recorded.sha256 === header.sha256)) return;
  throw new DrydockError('IntegrityMismatch', `the index of segment ${header.segment} does not describe the segment that the backup was made with`, { remedy: 'put the segment and its index back from a second copy of the vault' });
}
