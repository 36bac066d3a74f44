/** Which segments are mostly dead, so that what lives in them is worth writing anew. Pure; `docs/decisions/0006` has the reasons. */
import type { SegmentRef } from './manifest';

/** How `writtenBy` of a segment begins that repacking wrote. */
export const REPACKED = 'repack_';

export interface RepackCandidate {
  segment: string;
  /** Of the encrypted file: what is free when the last backup that names it has gone. */
  bytes: number;
  /** What the newest backup needs of it, and a new segment will hold. */
  liveBytes: number;
}

/**
 * `refs`: what the newest complete backup needs of each segment, since the next backup will need much the same. `share`: how much of a segment must be
 * dead. `settled`: segments that are older than the hold.
 */
export function planRepack(refs: readonly SegmentRef[], share: number, settled: ReadonlySet<string>): RepackCandidate[] {
  return refs
    .filter(({ segment, bytes, usedBytes }) => settled.has(segment) && bytes > 0 && 1 - usedBytes / bytes >= share)
    .map(({ segment, bytes, usedBytes }) => ({ segment, bytes, liveBytes: usedBytes }));
}
