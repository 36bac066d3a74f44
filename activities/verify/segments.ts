/** L3: every byte of the segments, by their ciphertext and, where a key is at hand, blob by blob through decryption. */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { proveAlone, proveWhole } from '../../adapters/vault/segment-check';
import type { SegmentIndex } from '../../adapters/vault/segment-index';
import type { SegmentRef } from '../../domain/manifest';
import { vaultPaths, type StoredBlob } from '../../domain/vault-format';
import type { Damage, VerifyPart } from '../../domain/verify';
import type { Cluster } from '../cluster';
import type { Progress } from '../restore/progress';
import { soundIndex, type Catalogue } from './catalogue';

/** More than a heartbeat should carry: from then on a retry begins again. */
const MAX_REMEMBERED = 500;

/** What a retry needs to go on: segments come in the order of their ids. */
const cursorSchema = z.object({
  /** When the attempt began that read the first of them. */
  startedAt: z.string(),
  manifestSha256: z.string(),
  /** What was read without keys must not count as read with them. */
  withKeys: z.boolean(),
  last: z.string(),
  blobs: z.number(),
  bytes: z.number(),
  segments: z.number(),
  damages: z.array(z.object({ what: z.string(), digest: z.string().optional(), segment: z.string().optional(), file: z.string().optional() })),
});
type Done = z.infer<typeof cursorSchema>;

export interface SegmentsChecked {
  /** When the look began: of a retry that went on, when the first attempt did. */
  startedAt: string;
  damages: Damage[];
  segments: number;
  blobs: number;
  bytes: number;
}

export interface SegmentsRequest {
  /** When this attempt began. */
  startedAt: string;
  segments: readonly SegmentRef[];
  manifestSha256: string;
  part?: VerifyPart;
  withKeys: boolean;
  /** Known to be gone or cut: not read again. */
  lost: ReadonlySet<string>;
}

/** Reads the segments of a part, or all. */
export async function readSegments(cluster: Cluster, request: SegmentsRequest, catalogue: Catalogue, progress: Progress): Promise<SegmentsChecked> {
  const { segments, part, lost } = request;
  const mine = segments.filter(({ segment }) => isInPart(segment, part) && !lost.has(segment)).sort((a, b) => (a.segment < b.segment ? -1 : 1));
  const done = remembered(progress, request);
  const bytesTotal = mine.reduce((sum, { bytes }) => sum + bytes, 0);
  let read = mine.filter(({ segment }) => segment <= done.last).reduce((sum, { bytes }) => sum + bytes, 0);
  const onBytes = (bytes: number): void => {
    read += bytes;
    progress.update({ phase: 'reading segments', bytesDone: read, bytesTotal, itemsDone: done.segments, itemsTotal: mine.length });
  };
  const open = mine.filter(({ segment }) => segment > done.last);
  const atOnce = Math.min(open.length, availableParallelism());
  // As many at once as there are cores; results are taken in the order of the ids, so that a retry knows where to go on.
  const reading: Promise<SegmentRead>[] = [];
  const stop = new AbortController();
  const signal = cluster.signal ? AbortSignal.any([cluster.signal, stop.signal]) : stop.signal;
  try {
    for (const [at, ref] of open.entries()) {
      for (let next = reading.length; next < Math.min(open.length, at + atOnce); next += 1) {
        const started = readSegment(cluster, open[next]!, request.withKeys, catalogue, signal, onBytes);
        // Awaited in its turn below; an error before that must not end the process.
        started.catch(() => undefined);
        reading.push(started);
      }
      const checked = await reading[at]!;
      done.damages = done.damages.concat(checked.damages);
      done.blobs += checked.blobs;
      done.bytes += ref.bytes;
      done.segments += 1;
      done.last = ref.segment;
      if (done.damages.length <= MAX_REMEMBERED) progress.remember(done);
    }
  } catch (error) {
    // The others end before the vault is closed, and before a retry reads the same once more.
    stop.abort(error);
    await Promise.allSettled(reading);
    throw error;
  }
  return { startedAt: done.startedAt, damages: done.damages, segments: done.segments, blobs: done.blobs, bytes: done.bytes };
}

/** By the segment's id alone, so that t runs read all, whichever backups they look at and whatever was added meanwhile. */
export function isInPart(segment: string, part: VerifyPart | undefined): boolean {
  if (!part) return true;
  return createHash('sha256').update(segment).digest().readUInt32BE(0) % part.t === part.n - 1;
}

function remembered(progress: Progress, { manifestSha256, startedAt, withKeys }: SegmentsRequest): Done {
  const before = cursorSchema.safeParse(progress.remembered);
  if (before.success && before.data.manifestSha256 === manifestSha256 && before.data.withKeys === withKeys) return before.data;
  return { startedAt, manifestSha256, withKeys, last: '', blobs: 0, bytes: 0, segments: 0, damages: [] };
}

interface SegmentRead {
  damages: Damage[];
  blobs: number;
}

async function readSegment(cluster: Cluster, ref: SegmentRef, withKeys: boolean, catalogue: Catalogue, signal: AbortSignal, onBytes: (bytes: number) => void): Promise<SegmentRead> {
  const { vault } = cluster;
  const file = vaultPaths.segment(cluster.name, ref.segment);
  const index = await soundIndex(vault, cluster.name, ref.segment);
  const wanted = index && withKeys ? placesOf(index, catalogue, ref.segment) : [];
  const keys = index && withKeys ? await cluster.decryptionKeys() : null;
  const found = await proveWhole(vault, file, wanted, keys, { onBytes, signal });
  const isSound = found.sha256 === ref.sha256;
  const damages: Damage[] = isSound ? [] : [{ segment: ref.segment, file, what: 'the segment is damaged: its SHA-256 is not the one that was sealed' }];
  if (!index) return { damages, blobs: 0 };
  if (keys === null) return { damages, blobs: isSound ? ref.usedBlobs : 0 };
  // In a damaged segment each blob is tried alone: most of them are usually whole.
  const bad = isSound && found.bad ? found.bad : await proveAlone(vault, cluster.name, index, wanted, keys, { signal });
  const ofBlobs = bad.map(({ sha256 }) => ({ digest: sha256, segment: ref.segment, what: 'its bytes in the segment do not have its digest' }));
  return { damages: [...damages, ...ofBlobs], blobs: wanted.length };
}

function placesOf(index: SegmentIndex, catalogue: Catalogue, segment: string): StoredBlob[] {
  const needed = new Set(catalogue.neededOf(segment).map(({ sha256, path }) => `${sha256} ${path}`));
  return index.blobs.filter(({ path, sha256, void: isVoid }) => !isVoid && needed.has(`${sha256} ${path}`));
}
