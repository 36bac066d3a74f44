/** Dividing blobs among streams. */

/** Small enough that no stream is left alone for long at the end, large enough that starting a command costs nothing against it. */
const SHARE_BYTES = 128 * 1024 * 1024;
const SHARE_BLOBS = 20_000;
const SHARES_PER_STREAM = 4;
const MIN_SHARE_BYTES = 8 * 1024 * 1024;

/** Shares of about the same size, each in the order that was given; a large blob has one of its own. Large shares first. */
export function shareOut<T extends { size: number }>(blobs: Iterable<T>, streams: number): T[][] {
  const all = [...blobs];
  const bytes = all.reduce((sum, { size }) => sum + size, 0);
  const most = streams === 1 ? SHARE_BYTES : Math.min(SHARE_BYTES, Math.max(MIN_SHARE_BYTES, bytes / (streams * SHARES_PER_STREAM)));
  const shares: { blobs: T[]; bytes: number }[] = [];
  for (const blob of all) {
    const last = shares.at(-1);
    if (!last || last.blobs.length === SHARE_BLOBS || last.bytes + blob.size > most) shares.push({ blobs: [blob], bytes: blob.size });
    else {
      last.blobs.push(blob);
      last.bytes += blob.size;
    }
  }
  return shares.sort((a, b) => b.bytes - a.bytes).map((share) => share.blobs);
}
