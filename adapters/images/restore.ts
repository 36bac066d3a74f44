/** Blobs back into a registry volume: what lies there and is right is kept, the rest is written aside, put in place and hashed there. */
import { availableParallelism } from 'node:os';
import { posix } from 'node:path';
import pLimit, { type LimitFunction } from 'p-limit';
import { DrydockError } from '../../domain/errors';
import { END_OF_ARCHIVE, makeHeader, paddingOf } from '../archive/tar-header';
import { commandFailed } from '../host/exec';
import { feed } from '../stream/feed';
import type { Host } from '../host/host';
import type { DecryptionKeys } from '../openpgp/keys';
import { readBlobs, type ReadBlob, type WantedBlob } from '../vault/segment-reader';
import type { Vault } from '../vault/vault';
import { hashFiles } from './hash';
import { listBlobs } from './listing';
import { STAGING_PREFIX, volumeRoot, type StreamOptions } from './volume';

/** Put in place and proven at once; a run that dies loses at most this much work of each lane. */
const BATCH_BYTES = 512 * 1024 * 1024;
/** Many small files take long where each costs a round trip to a shared disk. */
const BATCH_BLOBS = 20_000;
/** What removes or links many files says nothing while it works. */
const SILENT_MS = 60 * 60 * 1000;
/** More lanes than cores do not go faster; more than sshd's sessions are refused. */
const MOST_STREAMS = 4;
const SAFE_OPERATION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$/;

export interface RestoreBlobsOptions extends StreamOptions {
  host: Host;
  /** The same host, for what has to go although the run was cancelled. Default: `host`. */
  cleanUpHost?: Host;
  /** Root of the registry volume; must exist. On a mounted volume, the mount must be held while this runs. */
  root: string;
  /** Names the folder that holds unfinished files. */
  operation: string;
  vault: Vault;
  cluster: string;
  keys: DecryptionKeys;
  wanted: Iterable<WantedBlob>;
  /** What the manifest says about the segments; an index that disagrees is refused. */
  recorded?: ReadonlyMap<string, { bytes: number; sha256: string }>;
  /** Owner of what is written. Default root. */
  owner?: { uid: number; gid: number };
  /** How many lanes decrypt and write side by side. Default: the cores, four at most. */
  streams?: number;
  fileMode?: number;
  directoryMode?: number;
  onProgress?: (progress: RestoreProgress) => void;
}

export interface RestoreProgress {
  phase: 'hashing' | 'writing';
  blobs: number;
  bytes: number;
  totalBlobs: number;
  totalBytes: number;
}

export interface RestoreResult {
  /** Were there already, with the right bytes. */
  kept: { blobs: number; bytes: number };
  written: { blobs: number; bytes: number };
}

/**
 * Delta restore by digest. May be run again after any failure: what is in place and right is kept. Nothing else in the volume is touched.
 * New files take the SELinux context of the volume's root, because they are made inside it.
 * Throws IntegrityMismatch (vault damaged, or the disk gives back other bytes than were written), NoSpace, NotFound, HostUnreachable.
 */
export async function restoreBlobs(options: RestoreBlobsOptions): Promise<RestoreResult> {
  if (!SAFE_OPERATION.test(options.operation)) throw new DrydockError('InvalidInput', `${JSON.stringify(options.operation)} cannot name a folder`, { remedy: 'use letters, digits and . _ -' });
  const volume = volumeRoot(options.root);
  const wanted = uniqueByPath(options.wanted);
  await clearStaging(options.host, volume, options.signal);
  const kept = await findKept(options, volume, wanted);
  const missing = [...wanted.values()].filter((blob) => !kept.has(blob.path));
  const written = await writeMissing(options, volume, missing);
  return { kept: total([...kept.values()]), written };
}

/** Hashes on the target what lies there with the wanted size. */
async function findKept(options: RestoreBlobsOptions, volume: string, wanted: Map<string, WantedBlob>): Promise<Map<string, WantedBlob>> {
  const { host, signal, stallMs, onProgress } = options;
  const candidates: string[] = [];
  for await (const found of listBlobs(host, volume, { signal, stallMs })) if (wanted.get(found.path)?.size === found.size) candidates.push(found.path);
  const sum = total(candidates.map((path) => wanted.get(path)!));
  const progress = { phase: 'hashing' as const, blobs: 0, bytes: 0, totalBlobs: sum.blobs, totalBytes: sum.bytes };
  const kept = new Map<string, WantedBlob>();
  if (candidates.length === 0) return kept;
  for await (const { path, sha256 } of hashFiles(host, volume, candidates, { signal, sizeOf: (path) => wanted.get(path)!.size })) {
    const blob = wanted.get(path)!;
    if (blob.sha256 === sha256) kept.set(path, blob);
    progress.blobs += 1;
    progress.bytes += blob.size;
    onProgress?.({ ...progress });
  }
  return kept;
}

/** Several lanes side by side, each with segments of its own: one alone is bound by what a core can decrypt and hash. */
async function writeMissing(options: RestoreBlobsOptions, volume: string, missing: WantedBlob[]): Promise<{ blobs: number; bytes: number }> {
  const sum = total(missing);
  const progress = { phase: 'writing' as const, blobs: 0, bytes: 0, totalBlobs: sum.blobs, totalBytes: sum.bytes };
  const shares = shareOutSegments(missing, options.streams ?? Math.min(availableParallelism(), MOST_STREAMS));
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  let failure: unknown;
  // Two lanes that make the same folder at the same time would be in each other's way.
  const oneAtATime = pLimit(1);
  // All commands of all lanes stay below the ten sessions that sshd allows by default.
  const hashers = Math.max(1, Math.floor(MOST_STREAMS / shares.length));
  const lanes = shares.map((share, lane) =>
    writeShare({ ...options, signal }, { volume, lane, share, hashers, oneAtATime }, (done) => {
      progress.blobs += done.blobs;
      progress.bytes += done.bytes;
      options.onProgress?.({ ...progress });
    }).catch((error: unknown) => {
      failure ??= error;
      stop.abort(error);
      throw error;
    }),
  );
  // All lanes have ended, and with them what they had aside, before the first failure is told.
  const ends = await Promise.allSettled(lanes);
  if (ends.some(({ status }) => status === 'rejected')) throw failure;
  return sum;
}

interface Lane {
  volume: string;
  lane: number;
  share: WantedBlob[];
  hashers: number;
  oneAtATime: LimitFunction;
}

async function writeShare(options: RestoreBlobsOptions, { share, ...lane }: Lane, onDone: (done: { blobs: number; bytes: number }) => void): Promise<void> {
  const { vault, cluster, keys, recorded } = options;
  // Where the host breaks, the vault is not read on.
  const over = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, over.signal]) : over.signal;
  const source = new BlobSource(readBlobs(vault, cluster, share, keys, { signal, recorded, reuse: true }));
  try {
    while (await source.peek()) {
      const batch: WantedBlob[] = [];
      await writeBatch(options, lane, batchTar(source, options, batch, (bytes) => onDone({ blobs: 0, bytes })), batch);
      onDone({ blobs: batch.length, bytes: 0 });
    }
  } finally {
    over.abort();
    await source.close();
  }
}

/** Whole segments to each lane, the largest first to the lane that has least: a segment is opened once. */
function shareOutSegments(blobs: WantedBlob[], lanes: number): WantedBlob[][] {
  const bySegment = new Map<string, { blobs: WantedBlob[]; bytes: number }>();
  for (const blob of blobs) {
    const segment = bySegment.get(blob.segment) ?? { blobs: [], bytes: 0 };
    bySegment.set(blob.segment, segment);
    segment.blobs.push(blob);
    segment.bytes += blob.size;
  }
  const shares = Array.from({ length: Math.min(lanes, bySegment.size) }, () => ({ blobs: [] as WantedBlob[], bytes: 0 }));
  for (const segment of [...bySegment.values()].sort((a, b) => b.bytes - a.bytes)) {
    const least = shares.reduce((a, b) => (b.bytes < a.bytes ? b : a));
    for (const blob of segment.blobs) least.blobs.push(blob);
    least.bytes += segment.bytes;
  }
  return shares.map((share) => share.blobs);
}

async function writeBatch(options: RestoreBlobsOptions, { volume, lane, hashers, oneAtATime }: Omit<Lane, 'share'>, tar: AsyncIterable<Buffer>, batch: WantedBlob[]): Promise<void> {
  const { host, cleanUpHost = host, signal, stallMs } = options;
  const staging = `${volume}/${STAGING_PREFIX}${options.operation}.${lane}`;
  try {
    await host.exec(['sh', '-c', 'rm -rf -- "$1" && mkdir -m 0700 -- "$1"', 'sh', staging], { signal, stallMs: SILENT_MS });
    await feedTar(host, ['tar', '-C', staging, '--numeric-owner', '--same-owner', '-p', '-xf', '-'], tar, { signal, stallMs });
    // Hard links replace a file in one step and cost no second copy; folders that are made take mode and owner from those aside.
    await oneAtATime(() => host.exec(['cp', '-r', '-l', '-f', '--preserve=mode,ownership', `${staging}/docker`, `${volume}/`], { signal, stallMs: SILENT_MS }));
  } finally {
    // Without the signal: a cancelled run must not leave its files behind.
    await cleanUpHost.exec(['rm', '-rf', '--', staging], { stallMs: SILENT_MS }).catch(() => undefined);
  }
  const expected = new Map(batch.map((blob) => [blob.path, blob]));
  const sizeOf = (path: string): number => expected.get(path)?.size ?? 0;
  for await (const { path, sha256 } of hashFiles(host, volume, expected.keys(), { signal, streams: hashers, sizeOf })) if (expected.get(path)?.sha256 === sha256) expected.delete(path);
  const [bad] = expected.keys();
  if (bad !== undefined) {
    throw new DrydockError('IntegrityMismatch', `${host.name}: ${bad} does not have the bytes that were written to it (${expected.size} files in all)`, { remedy: 'check the disk of the host, then run the restore again' });
  }
}

/** Unpacks a tar on the host while it is made. Throws what the host says when its tar fails. */
export async function feedTar(host: Host, command: string[], tar: AsyncIterable<Buffer>, options: StreamOptions): Promise<void> {
  const process = await host.spawn(command, options);
  process.stdout.resume();
  try {
    const fed = await feed(tar, process.stdin).then(
      () => null,
      (error: unknown) => ({ error }),
    );
    if (fed && !isBrokenPipe(fed.error)) throw fed.error;
    const exit = await process.exit;
    if (exit.code !== 0) throw commandFailed(host.name, command, exit);
    if (fed) throw fed.error;
  } finally {
    await process.kill();
  }
}

/** The far side ended first; its own words say why. */
function isBrokenPipe(error: unknown): boolean {
  const codes: unknown[] = ['EPIPE', 'ECONNRESET', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_PREMATURE_CLOSE'];
  return error instanceof Error && 'code' in error && codes.includes(error.code);
}

/** A tar of the next blobs, up to a batch; notes them in `batch`. */
async function* batchTar(source: BlobSource, options: RestoreBlobsOptions, batch: WantedBlob[], onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  const owner = options.owner ?? { uid: 0, gid: 0 };
  const folders = new Set<string>();
  let bytes = 0;
  for (let blob = await source.peek(); blob && (batch.length === 0 || (bytes + blob.size <= BATCH_BYTES && batch.length < BATCH_BLOBS)); blob = await source.peek()) {
    for (const folder of foldersAbove(blob.path)) {
      if (folders.has(folder)) continue;
      folders.add(folder);
      yield makeHeader({ name: folder, type: 'directory', mode: options.directoryMode ?? 0o755, ...owner });
    }
    yield makeHeader({ name: blob.path, type: 'file', size: blob.size, mode: options.fileMode ?? 0o644, mtime: Date.now() / 1000, ...owner });
    for await (const chunk of blob.data) {
      yield chunk;
      onBytes(chunk.length);
    }
    yield Buffer.alloc(paddingOf(blob.size));
    bytes += blob.size;
    batch.push(blob);
    source.take();
  }
  yield END_OF_ARCHIVE;
}

function foldersAbove(path: string): string[] {
  const folders: string[] = [];
  for (let folder = posix.dirname(path); folder !== '.'; folder = posix.dirname(folder)) folders.unshift(folder);
  return folders;
}

/** Looks one blob ahead, so that a batch can end before it. */
class BlobSource {
  private next: ReadBlob | null | undefined;

  constructor(private readonly blobs: AsyncGenerator<ReadBlob>) {}

  async peek(): Promise<ReadBlob | null> {
    if (this.next === undefined) {
      const step = await this.blobs.next();
      this.next = step.done ? null : step.value;
    }
    return this.next;
  }

  take(): void {
    this.next = undefined;
  }

  async close(): Promise<void> {
    await this.blobs.return(undefined);
  }
}

/** Removes what an earlier run that died has left aside. One restore runs at a time. */
export async function clearStaging(host: Host, volume: string, signal?: AbortSignal): Promise<void> {
  await host.exec(['find', volume, '-maxdepth', '1', '-name', `${STAGING_PREFIX}*`, '-exec', 'rm', '-rf', '--', '{}', '+'], { signal, stallMs: SILENT_MS });
}

function uniqueByPath(wanted: Iterable<WantedBlob>): Map<string, WantedBlob> {
  const unique = new Map<string, WantedBlob>();
  for (const blob of wanted) unique.set(blob.path, blob);
  return unique;
}

function total(blobs: WantedBlob[]): { blobs: number; bytes: number } {
  return { blobs: blobs.length, bytes: blobs.reduce((sum, blob) => sum + blob.size, 0) };
}
