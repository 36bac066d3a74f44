/** Whether the ciphertext of segments is still what their writer hashed. */
import { availableParallelism } from 'node:os';
import pLimit from 'p-limit';
import { DrydockError } from '../../domain/errors';
import { vaultPaths, type SegmentHeader } from '../../domain/vault-format';
import { proveWhole } from './segment-check';
import type { Vault } from './vault';

export interface CheckCiphertextOptions {
  signal?: AbortSignal;
  onBytes?: (bytes: number) => void;
  /** Called for each segment as soon as it is known. */
  onChecked: (segment: string, isSound: boolean) => Promise<void>;
}

/** Hashes each segment once, as many side by side as there are cores, in no certain order. One that is gone or cannot be what was written is not sound. */
export async function checkCiphertext(vault: Vault, cluster: string, headers: readonly SegmentHeader[], options: CheckCiphertextOptions): Promise<void> {
  const atOnce = pLimit(availableParallelism());
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const checks = headers.map((header) => atOnce(async () => {
    signal.throwIfAborted();
    await options.onChecked(header.segment, await isSound(vault, cluster, header, { ...options, signal }));
  }));
  try {
    await Promise.all(checks);
  } catch (error) {
    // The others end before the vault is closed.
    stop.abort(error);
    await Promise.allSettled(checks);
    throw error;
  }
}

async function isSound(vault: Vault, cluster: string, { segment, bytes, sha256 }: SegmentHeader, { signal, onBytes }: CheckCiphertextOptions): Promise<boolean> {
  try {
    const found = await proveWhole(vault, vaultPaths.segment(cluster, segment), [], null, { ...(signal ? { signal } : {}), ...(onBytes ? { onBytes } : {}) });
    return found.bytes === bytes && found.sha256 === sha256;
  } catch (error) {
    if (error instanceof DrydockError && (error.kind === 'NotFound' || error.kind === 'IntegrityMismatch')) return false;
    throw error;
  }
}
