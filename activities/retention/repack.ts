/** Writes what lives in mostly dead segments into new ones, for the backups to come. What stands is neither changed nor removed here. */
import { count } from '../../domain/count';
import { canDecrypt } from '../../adapters/openpgp/keyring';
import { isForWantOfKey } from '../../adapters/openpgp/session-key';
import { verifyCiphertext } from '../../adapters/vault/artifacts';
import type { FullPicture } from '../../adapters/vault/picture';
import { segmentsOf } from '../../adapters/vault/segment-list';
import { recordedSegments, type RecordedSegment } from '../../adapters/vault/segment-places';
import { readBlobs } from '../../adapters/vault/segment-reader';
import { SegmentWriter } from '../../adapters/vault/segment-writer';
import { before, toDuration } from '../../domain/duration';
import { DrydockError } from '../../domain/errors';
import type { BlobLine, Manifest } from '../../domain/manifest';
import { planRepack, REPACKED, type RepackCandidate } from '../../domain/repack';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import { keptIndexes, StoredBlobs } from '../backup/stored';
import { report } from '../pulse';
import { readBackup, readBlobList } from '../restore/backup';
import { isDamage } from '../verify/files';

export interface Repacked {
  /** Old segments that no backup from now on will name for these blobs. */
  segments: number;
  /** Moved into new segments; plain. */
  bytes: number;
  /** Free when the last backup that names the old segments has gone. */
  frees: number;
}

export const NOTHING: Repacked = { segments: 0, bytes: 0, frees: 0 };
const OVERHEAD = 1.02;

/**
 * Every new segment is durable and read back before the next one, and its blobs count as stored from then on, so a killed run goes on where it was.
 * Needs a key that opens the old segments; without one, sentences in `notes` say what is left.
 */
export async function repack(cluster: Cluster, step: { operation: string; dryRun: boolean }, picture: FullPicture, signal: AbortSignal, notes: string[]): Promise<Repacked> {
  const { repack: share } = cluster.config.retention;
  const newest = newestComplete(cluster, picture);
  // Copies have the same names and bytes as the first vault: what is new there comes with the next backup.
  if (share === 'off' || newest === null || cluster.vaultName !== cluster.config.vault) return NOTHING;
  const { manifest } = await readBackup(cluster, newest);
  const refs = await segmentsOf(cluster.vault, manifest, signal);
  const candidates = planRepack(refs, share, settled(cluster, picture));
  if (candidates.length === 0) return NOTHING;
  const keys = await cluster.decryptionKeys();
  const dead = candidates.reduce((sum, { bytes, liveBytes }) => sum + bytes - liveBytes, 0);
  if (!canDecrypt(keys)) {
    notes.push(`${mostlyDead(candidates.length)} (${mib(dead)}); nothing was repacked, because this worker has no key that opens them.`);
    return NOTHING;
  }
  const stored = await StoredBlobs.load(cluster.vault, cluster.name, { signal, kept: await keptIndexes(cluster, signal) });
  const open = await liveBlobs(cluster, manifest, candidates, stored).catch((error: unknown) => {
    if (!(error instanceof DrydockError) || error.retryable) throw error;
    notes.push(`${mostlyDead(candidates.length)} (${mib(dead)}); nothing was repacked: ${error.message}.`);
    return [];
  });
  const free = await cluster.vault.freeBytes();
  const needed = open.reduce((sum, { size }) => sum + size, 0) * OVERHEAD;
  if (free !== null && free < needed) {
    notes.push(`${mostlyDead(candidates.length)}; nothing was repacked, because that needs ${mib(needed)} and ${mib(free)} are free.`);
    return NOTHING;
  }
  const damaged = step.dryRun ? new Set<string>() : await writeAnew(cluster, step.operation, { open, recorded: recordedSegments(refs) }, stored, signal, notes);
  const moved = open.filter(({ segment }) => !damaged.has(segment));
  const emptied = new Set(moved.map(({ segment }) => segment));
  return { segments: emptied.size, bytes: moved.reduce((sum, { size }) => sum + size, 0), frees: candidates.filter(({ segment }) => emptied.has(segment)).reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** Null also when the newest one is older than the hold: what is written for a next backup that does not come would only be marked again. */
function newestComplete(cluster: Cluster, { facts, marks, now }: FullPicture): string | null {
  const marked = new Set(marks.map(({ id }) => id));
  const [newest] = facts.filter(({ id, status }) => status === 'complete' && !marked.has(id)).sort((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt));
  return newest && Date.parse(newest.startedAt) > before(now, toDuration(cluster.config.retention.hold)).getTime() ? newest.id : null;
}

function settled(cluster: Cluster, { segments, marks, now }: FullPicture): Set<string> {
  const deadline = before(now, toDuration(cluster.config.retention.hold));
  const marked = new Set(marks.map(({ id }) => id));
  return new Set(segments.filter(({ id, newest, isWhole }) => isWhole && newest <= deadline && !marked.has(id)).map(({ id }) => id));
}

/** What the newest backup needs of the candidates and no newer segment holds yet. */
async function liveBlobs(cluster: Cluster, manifest: Manifest, candidates: RepackCandidate[], stored: StoredBlobs): Promise<BlobLine[]> {
  const from = new Set(candidates.map(({ segment }) => segment));
  const live: BlobLine[] = [];
  for await (const blob of readBlobList(cluster, manifest)) {
    if (from.has(blob.segment) && stored.good(blob.path, blob.sha256)?.segment === blob.segment) live.push(blob);
  }
  return live;
}

/** Returns the segments that are damaged: their blobs stay where they are. */
async function writeAnew(cluster: Cluster, operation: string, { open, recorded }: { open: BlobLine[]; recorded: ReadonlyMap<string, RecordedSegment> }, stored: StoredBlobs, signal: AbortSignal, notes: string[]): Promise<Set<string>> {
  const { vault, name, config } = cluster;
  const damaged = new Set<string>();
  const bytesTotal = open.reduce((sum, { size }) => sum + size, 0);
  let bytesDone = 0;
  for (;;) {
    const left = open.filter(({ path, sha256, segment }) => !damaged.has(segment) && stored.good(path, sha256)?.segment === segment);
    if (left.length === 0) return damaged;
    const writer = new SegmentWriter({ vault, cluster: name, keys: await cluster.encryptionKeys(), writtenBy: `${REPACKED}${operation}`, segmentBytes: config.policy.segmentBytes });
    let current = '';
    try {
      for (const [segment, blobs] of bySegment(left)) {
        current = segment;
        for await (const { path, size, sha256, data } of readBlobs(vault, name, blobs, await cluster.decryptionKeys(), { signal, recorded, reuse: true })) {
          signal.throwIfAborted();
          await writer.push({ path, size, sha256 }, data);
          report({ phase: 'repacking mostly dead segments', bytesDone: (bytesDone += size), bytesTotal: Math.max(bytesTotal, bytesDone) });
        }
      }
      await writer.finish();
    } catch (error) {
      await writer.abort();
      if (!isUnreadable(error)) throw error;
      damaged.add(current);
      notes.push(`Segment ${current} is mostly dead, and is not repacked: ${error.message}.`);
    }
    for (const { segment, bytes, sha256 } of writer.segments) await verifyCiphertext(vault, { name: vaultPaths.segment(name, segment), bytes, sha256 }, signal);
    await stored.add(writer.segments.map(({ segment }) => segment));
  }
}

function bySegment(blobs: BlobLine[]): Map<string, BlobLine[]> {
  const groups = new Map<string, BlobLine[]>();
  for (const blob of blobs) {
    const known = groups.get(blob.segment);
    if (known) known.push(blob);
    else groups.set(blob.segment, [blob]);
  }
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Damaged, gone, or closed to the keys at hand: a matter of that segment alone. */
function isUnreadable(error: unknown): error is DrydockError {
  return isDamage(error) || isForWantOfKey(error);
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function mostlyDead(segments: number): string {
  return `${count(segments, 'segment')} ${segments === 1 ? 'is' : 'are'} mostly dead`;
}
