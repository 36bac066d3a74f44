import { availableParallelism } from 'node:os';
import { BUFFERED_BYTES } from '../../adapters/vault/segment-writer';
import { copyBlobs, type CopyBlob } from '../../adapters/images/copy';
import { hashFiles } from '../../adapters/images/hash';
import { listBlobs, type ListedBlob } from '../../adapters/images/listing';
import type { Host } from '../../adapters/host/host';
import { DrydockError } from '../../domain/errors';
import { References } from '../../domain/proof';
import type { MetadataRow } from '../../domain/rows';
import type { Cluster } from '../cluster';
import type { BackupFacts, BackupStep, ImagesPass } from '../contract';
import { report } from '../pulse';
import { readingOf } from '../reading';
import { lookForMissing } from './missing';
import { SegmentTrust } from './segment-trust';
import { segmentAccess, StoredBlobs, type WantedCopy } from './stored';
import { takeTree } from './tree';
import { WORK, WorkFiles } from './work-files';

/** Encryption, indexes and tar headers add less than this. */
const OVERHEAD = 1.02;

export type ImagesStep = BackupStep & { facts: BackupFacts; pass: 1 | 2 };

/** More streams than cores do not go faster; more than sshd's sessions are refused. */
const MOST_STREAMS = 4;

/** Everything that copying blobs of one backup needs. */
export interface Copying {
  cluster: Cluster;
  step: BackupStep;
  host: Host;
  root: string;
  stored: StoredBlobs;
  signal: AbortSignal;
}

/** Steps 3 and 6. What an earlier attempt stored is in the vault's indexes, so a retry goes on where it ended. */
export async function copyImages(cluster: Cluster, step: ImagesStep, signal: AbortSignal): Promise<ImagesPass> {
  const { volume } = step.facts;
  const nothing = { blobs: 0, bytes: 0 };
  if (!volume) return { listed: nothing, stored: nothing, torn: 0, vanished: 0, tree: null };
  const work = await WorkFiles.open(cluster, step);
  const references = step.pass === 2 ? await readReferences(work) : new References();
  report({ phase: 'reading the vault\'s indexes', bytesDone: 0 });
  const stored = await StoredBlobs.load(cluster.vault, cluster.name, signal, await segmentAccess(cluster), await SegmentTrust.open(cluster, work, signal));
  const place = await cluster.images(volume, { operation: step.operation, bootstrapperImage: step.facts.bootstrapperImage });
  const copying: Copying = { cluster, step, ...place, stored, signal };
  const listing = await list(copying);
  await stored.admit(wantedCopies(listing.blobs, references));
  const before = stored.writtenBy(step.backupId);
  const wanted = step.pass === 1 ? planFirstPass(listing.blobs, stored) : await secondPass(copying, listing.blobs, references);
  const copied = await copyInto(copying, wanted, 'copying images');
  const done = stored.writtenBy(step.backupId);
  const pass = { listed: { blobs: listing.blobs.length, bytes: listing.bytes }, torn: copied.torn, vanished: copied.vanished };
  // The first pass is the first to write: all that stands there is its own, whichever attempt wrote it.
  if (step.pass === 1) return { ...pass, stored: done, tree: null };
  await lookForMissing(copying, references, step.facts.storage.kind);
  await work.write(WORK.listing, listing.blobs.map(({ path, size }) => ({ path, size })));
  const tree = await takeTree(copying, work);
  const after = stored.writtenBy(step.backupId);
  return { ...pass, stored: { blobs: after.blobs - before.blobs, bytes: after.bytes - before.bytes }, tree };
}

/** The rows that `takeMetadata` kept. Throws WorkLost. */
export async function readReferences(work: WorkFiles): Promise<References> {
  const references = new References();
  for await (const row of work.read<MetadataRow>(WORK.rows)) references.add(row);
  return references;
}

async function list({ host, root, signal }: Copying): Promise<{ blobs: ListedBlob[]; bytes: number }> {
  const blobs: ListedBlob[] = [];
  let bytes = 0;
  for await (const blob of listBlobs(host, root, { signal })) {
    blobs.push(blob);
    bytes += blob.size;
    if (blobs.length % 10_000 === 0) report({ phase: 'listing the volume', bytesDone: 0, itemsDone: blobs.length });
  }
  return { blobs, bytes };
}

/** What must be stored in the end: all that lies in the volume, and all that the metadata names, wherever it may lie. */
function* wantedCopies(listing: ListedBlob[], references: References): Generator<WantedCopy> {
  for (const { path, size } of listing) {
    const sha256 = references.digestAt(path);
    yield { path, size, ...(sha256 === undefined ? {} : { sha256 }) };
  }
  for (const sha256 of references.named()) for (const path of references.pathsOf(sha256)) yield { path, sha256 };
}

/** Only the name tells what a blob must be: by id, a copy of the same size counts until the metadata is known. What was void before waits for pass 2. */
export function planFirstPass(listing: ListedBlob[], stored: StoredBlobs): CopyBlob[] {
  const names = new References();
  return listing.filter(({ path, size }) => {
    const digest = names.digestAt(path);
    const isStored = digest === undefined ? stored.likely(path, size) : stored.good(path, digest) !== undefined;
    return !isStored && !stored.wasVoid(path);
  });
}

/** By the metadata each digest is known. Where an earlier copy was not right, a large file is hashed where it lies before it is moved again. */
async function secondPass({ host, root, stored, signal }: Copying, listing: ListedBlob[], references: References): Promise<CopyBlob[]> {
  const wanted: CopyBlob[] = [];
  const suspects = new Map<string, CopyBlob>();
  for (const { path, size } of listing) {
    const sha256 = references.digestAt(path);
    if (sha256 === undefined ? stored.likely(path, size) : stored.good(path, sha256)) continue;
    const blob = { path, size, ...(sha256 === undefined ? {} : { sha256 }) };
    if (size > BUFFERED_BYTES && sha256 !== undefined && stored.isSuspect(path)) suspects.set(path, blob);
    else wanted.push(blob);
  }
  for await (const { path, sha256 } of hashFiles(host, root, suspects.keys(), { signal })) {
    const suspect = suspects.get(path);
    if (suspect?.sha256 === sha256) wanted.push(suspect);
  }
  return wanted;
}

/** Copies blobs into new segments; `stored` knows them afterwards. Throws NoSpace before the first byte when the vault cannot take them. */
export async function copyInto({ cluster, step, host, root, stored, signal }: Copying, wanted: CopyBlob[], phase: string): Promise<{ torn: number; vanished: number }> {
  if (wanted.length === 0) return { torn: 0, vanished: 0 };
  const bytesTotal = wanted.reduce((sum, { size }) => sum + size, 0);
  await refuseWithoutRoom(cluster, bytesTotal);
  const { policy } = cluster.config;
  // What earlier attempts of this backup stored counts as done, so that progress and rate stay true across a cut.
  const before = stored.writtenBy(step.backupId);
  const progress = (done: { bytes: number; blobs: number }): void =>
    report({ phase, bytesDone: before.bytes + done.bytes, bytesTotal: before.bytes + bytesTotal, itemsDone: before.blobs + done.blobs, itemsTotal: before.blobs + wanted.length });
  progress({ bytes: 0, blobs: 0 });
  const copied = await copyBlobs({
    host, root, wanted, signal,
    streams: policy.streams ?? Math.min(availableParallelism(), MOST_STREAMS),
    writer: { vault: cluster.vault, cluster: cluster.name, keys: await cluster.encryptionKeys(), writtenBy: step.backupId, segmentBytes: policy.segmentBytes },
    ...readingOf(policy),
    onProgress: throttled(progress),
  });
  await stored.add(copied.segments.map(({ segment }) => segment));
  return { torn: copied.void.length, vanished: copied.vanished.length };
}

async function refuseWithoutRoom({ vault }: Cluster, bytes: number): Promise<void> {
  const free = await vault.freeBytes();
  if (free === null || free >= bytes * OVERHEAD) return;
  throw new DrydockError('NoSpace', `the vault (${vault.description}) has ${free} bytes left, the new images need ${Math.ceil(bytes * OVERHEAD)}`, { remedy: 'make room there, or move the vault to a larger disk' });
}

const REPORT_EVERY_MS = 500;

function throttled<T>(call: (value: T) => void): (value: T) => void {
  let last = 0;
  return (value) => {
    if (Date.now() - last < REPORT_EVERY_MS) return;
    last = Date.now();
    call(value);
  };
}
