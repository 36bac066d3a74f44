/** Whether the ciphertext of segments is still what their writer hashed. */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { DrydockError } from '../../domain/errors';
import { vaultPaths, type SegmentHeader } from '../../domain/vault-format';
import { HashThread } from '../stream/hashing';
import type { Vault } from './vault';

/** A thread takes a moment to start: little is read on the spot. */
const THREADS_FROM_BYTES = 64 << 20;

export interface CheckCiphertextOptions {
  signal?: AbortSignal;
  onBytes?: (bytes: number) => void;
  /** Called for each segment as soon as it is known. */
  onChecked: (segment: string, isSound: boolean) => Promise<void>;
}

/** Hashes each segment once, as many side by side as there are cores, in no certain order. One that is gone or cannot be what was written is not sound. */
export async function checkCiphertext(vault: Vault, cluster: string, headers: readonly SegmentHeader[], options: CheckCiphertextOptions): Promise<void> {
  const open = [...headers];
  const isLittle = headers.reduce((sum, { bytes }) => sum + bytes, 0) < THREADS_FROM_BYTES;
  const lane = async (): Promise<void> => {
    const thread = isLittle ? null : new HashThread();
    try {
      for (let header = open.shift(); header; header = open.shift()) await options.onChecked(header.segment, await isSound(vault, cluster, header, thread, options));
    } catch (error) {
      // The other lanes end with what they have in hand.
      open.length = 0;
      throw error;
    } finally {
      await thread?.close();
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: isLittle ? 1 : Math.min(headers.length, availableParallelism()) }, lane));
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed) throw failed.reason;
}

async function isSound(vault: Vault, cluster: string, { segment, bytes, sha256 }: SegmentHeader, thread: HashThread | null, { signal, onBytes }: CheckCiphertextOptions): Promise<boolean> {
  const counted = (chunk: number): void => {
    signal?.throwIfAborted();
    onBytes?.(chunk);
  };
  try {
    const source = (await vault.read(vaultPaths.segment(cluster, segment))) as AsyncIterable<Buffer>;
    const found = thread === null ? await hashHere(source, counted) : await thread.hash(source, counted);
    return found.bytes === bytes && found.sha256 === sha256;
  } catch (error) {
    if (error instanceof DrydockError && (error.kind === 'NotFound' || error.kind === 'IntegrityMismatch')) return false;
    throw error;
  }
}

async function hashHere(source: AsyncIterable<Buffer>, onBytes: (bytes: number) => void): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of source) {
    hash.update(chunk);
    bytes += chunk.length;
    onBytes(chunk.length);
  }
  return { bytes, sha256: hash.digest('hex') };
}
