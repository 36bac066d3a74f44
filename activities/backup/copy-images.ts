import { availableParallelism } from 'node:os';
import { BUFFERED_BYTES } from '../../adapters/vault/segment-writer';
import { copyBlobs, type CopyBlobs } from '../../adapters/images/copy';
import { hashFiles } from '../../adapters/images/hash';
import { listBlobBatches, type ListedBlob } from '../../adapters/images/listing';
import type { Host } from '../../adapters/host/host';
import { DrydockError } from '../../domain/errors';
import { BlobList } from '../../domain/blob-list';
import { ContentNumbers } from '../../domain/content-numbers';
import { References } from '../../domain/references';
import type { MetadataRow } from '../../domain/rows';
import type { Cluster } from '../cluster';
import type { BackupFacts, BackupStep, ImagesPass } from '../contract';
import { report } from '../pulse';
import { readingOf } from '../reading';
import { lookForMissing } from './missing';
import { SegmentTrust } from './segment-trust';
import { keptIndexes, segmentAccess, StoredBlobs } from './stored';
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
  const numbers = new ContentNumbers();
  const references = step.pass === 2 ? await readReferences(work, numbers) : new References(numbers);
  report({ phase: 'reading the vault\'s indexes', bytesDone: 0 });
  const stored = await StoredBlobs.load(cluster.vault, cluster.name, { signal, access: await segmentAccess(cluster), trust: await SegmentTrust.open(cluster, work, signal), kept: await keptIndexes(cluster, signal), numbers });
  const place = await cluster.images(volume, { operation: step.operation, bootstrapperImage: step.facts.bootstrapperImage });
  const copying: Copying = { cluster, step, ...place, stored, signal };
  const blobs = listBlobBatches(copying.host, copying.root, { signal });
  const plan = step.pass === 1 ? await planFirstPass(blobs, stored) : await planSecondPass(blobs, stored, references, work);
  if (await stored.admit((blob, digest) => isMissing(blob, digest, plan, stored, references))) dropStored(plan, stored);
  const before = stored.writtenBy(step.backupId);
  for await (const { path, sha256 } of hashFiles(copying.host, copying.root, plan.suspects.keys(), { signal })) {
    const suspect = plan.suspects.get(path);
    if (suspect?.sha256 === sha256) plan.wanted.push(numbers.blobs.add(path), suspect.size, numbers.digests.add(sha256));
  }
  const copied = await copyInto(copying, plan.wanted, 'copying images');
  const done = stored.writtenBy(step.backupId);
  const pass = { listed: plan.listed, torn: copied.torn, vanished: copied.vanished };
  // The first pass is the first to write: all that stands there is its own, whichever attempt wrote it.
  if (step.pass === 1) return { ...pass, stored: done, tree: null };
  await lookForMissing(copying, references, step.facts.storage.kind);
  const tree = await takeTree(copying, work);
  const after = stored.writtenBy(step.backupId);
  return { ...pass, stored: { blobs: after.blobs - before.blobs, bytes: after.bytes - before.bytes }, tree };
}

/** The rows that `takeMetadata` kept. Throws WorkLost. */
export async function readReferences(work: WorkFiles, numbers: ContentNumbers): Promise<References> {
  const references = new References(numbers);
  for await (const lines of work.lines(WORK.rows)) {
    for (const line of lines) references.add(JSON.parse(line) as MetadataRow);
  }
  return references;
}

export interface CopyPlan {
  listed: { blobs: number; bytes: number };
  wanted: BlobList;
  /** By path: large files of which an earlier copy was not right, to be hashed where they lie before they are moved again. */
  suspects: Map<string, { path: string; size: number; sha256: string }>;
}

/** Only the name tells what a blob must be: by id, a copy of the same size counts until the metadata is known. What was void before waits for pass 2. */
export async function planFirstPass(listing: AsyncIterable<ListedBlob[]>, stored: StoredBlobs): Promise<CopyPlan> {
  const { blobs } = stored.copies.numbers;
  const plan = emptyPlan(stored);
  for await (const batch of listing) {
    for (const { path, size } of batch) {
      const blob = blobs.add(path);
      if (!isStored(blob, size, blobs.digestInName(blob), stored) && !stored.wasVoid(path)) plan.wanted.push(blob, size, undefined);
    }
    count(batch, plan);
  }
  return plan;
}

function emptyPlan(stored: StoredBlobs): CopyPlan {
  return { listed: { blobs: 0, bytes: 0 }, wanted: new BlobList(stored.copies.numbers), suspects: new Map() };
}

/** Whether a blob need not be moved; where it is not known what it must be, a copy of its size will do. */
function isStored(blob: number, size: number, digest: number | undefined, stored: StoredBlobs): boolean {
  return digest === undefined ? stored.likely(blob, size) : stored.copies.holds(blob, digest);
}

/** Whether a stored copy would spare us a blob of the plan, or is one that the metadata names and that is stored nowhere else. */
function isMissing(blob: number, digest: number, { wanted, suspects }: CopyPlan, stored: StoredBlobs, references: References): boolean {
  if (wanted.has(blob) || (suspects.size > 0 && suspects.has(references.numbers.blobs.path(blob)))) return true;
  return references.names(digest) && !references.isStored(digest, stored.copies);
}

/** Takes out of a plan what turned out to be stored. */
function dropStored(plan: CopyPlan, stored: StoredBlobs): void {
  const { blobs, digests } = stored.copies.numbers;
  const { wanted } = emptyPlan(stored);
  for (let at = 0; at < plan.wanted.length; at += 1) {
    const { blob, size, digest } = plan.wanted.numbered(at);
    if (!isStored(blob, size, digest ?? blobs.digestInName(blob), stored)) wanted.push(blob, size, digest);
  }
  plan.wanted = wanted;
  for (const [path, { size, sha256 }] of plan.suspects) if (isStored(blobs.add(path), size, digests.add(sha256), stored)) plan.suspects.delete(path);
}

/** By the metadata each digest is known. Leaves the listing for the proof. `references` and `stored` share their numbers. */
async function planSecondPass(listing: AsyncIterable<ListedBlob[]>, stored: StoredBlobs, references: References, work: WorkFiles): Promise<CopyPlan> {
  const { blobs, digests } = references.numbers;
  const plan = emptyPlan(stored);
  const kept = work.create(WORK.listing);
  try {
    for await (const batch of listing) {
      for (const { path, size } of batch) {
        const filling = kept.add(path);
        if (filling) await filling;
        const blob = blobs.add(path);
        const digest = references.digestOf(blob);
        if (isStored(blob, size, digest, stored)) continue;
        if (size > BUFFERED_BYTES && digest !== undefined && stored.isSuspect(path)) plan.suspects.set(path, { path, size, sha256: digests.digest(digest) });
        else plan.wanted.push(blob, size, digest);
      }
      count(batch, plan);
    }
    await kept.end();
  } finally {
    await kept.abort();
  }
  return plan;
}

function count(batch: ListedBlob[], { listed }: CopyPlan): void {
  listed.blobs += batch.length;
  for (const { size } of batch) listed.bytes += size;
  report({ phase: 'listing the volume', bytesDone: 0, itemsDone: listed.blobs });
}

/** Copies blobs into new segments; `stored` knows them afterwards. Throws NoSpace before the first byte when the vault cannot take them. */
export async function copyInto({ cluster, step, host, root, stored, signal }: Copying, wanted: CopyBlobs, phase: string): Promise<{ torn: number; vanished: number }> {
  if (wanted.length === 0) return { torn: 0, vanished: 0 };
  let bytesTotal = 0;
  for (let at = 0; at < wanted.length; at += 1) bytesTotal += wanted.at(at)!.size;
  await refuseWithoutRoom(cluster, bytesTotal);
  const { policy } = cluster.config;
  // What earlier attempts of this backup stored counts as done, so that progress and rate stay true across a cut.
  const before = stored.writtenBy(step.backupId);
  const progress = (done: { bytes: number; blobs: number }): void =>
    report({ phase, bytesDone: before.bytes + done.bytes, bytesTotal: before.bytes + bytesTotal, itemsDone: before.blobs + done.blobs, itemsTotal: before.blobs + wanted.length });
  progress({ bytes: 0, blobs: 0 });
  const reportNow = throttled(progress);
  let copiedBytes = 0;
  const copied = await copyBlobs({
    host, root, wanted, signal,
    streams: policy.streams ?? Math.min(availableParallelism(), MOST_STREAMS),
    writer: { vault: cluster.vault, cluster: cluster.name, keys: await cluster.encryptionKeys(), writtenBy: step.backupId, segmentBytes: policy.segmentBytes },
    ...readingOf(policy),
    onProgress: (done) => {
      copiedBytes = done.bytes;
      reportNow(done);
    },
  }).catch((error: unknown) => {
    throw withNeed(error, bytesTotal - copiedBytes);
  });
  await stored.add(copied.segments.map(({ segment }) => segment));
  return { torn: copied.void.length, vanished: copied.vanished.length };
}

async function refuseWithoutRoom({ vault }: Cluster, bytes: number): Promise<void> {
  const free = await vault.freeBytes();
  if (free === null || free >= bytes * OVERHEAD) return;
  throw new DrydockError('NoSpace', `the vault (${vault.description}) has ${free} bytes left, the new images need ${Math.ceil(bytes * OVERHEAD)}`, { remedy: 'make room there, or move the vault to a larger disk' });
}

/** A vault that filled up on the way, or whose quota nobody can ask for: says how much room is needed. */
function withNeed(error: unknown, bytesLeft: number): unknown {
  if (!(error instanceof DrydockError) || error.kind !== 'NoSpace') return error;
  return new DrydockError('NoSpace', `${error.message}; the images that are still to be stored need about ${Math.ceil(bytesLeft * OVERHEAD)} bytes`, { ...(error.remedy === undefined ? {} : { remedy: error.remedy }), cause: error });
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
