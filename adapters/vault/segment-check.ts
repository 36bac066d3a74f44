/** Proving what a segment holds, without giving any of it out. */
import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { DrydockError } from '../../domain/errors';
import { vaultPaths, type StoredBlob } from '../../domain/vault-format';
import { readTar } from '../archive/tar-entries';
import { decryptOpened } from '../openpgp/decrypt';
import type { DecryptionKeys } from '../openpgp/keys';
import { decryptRange } from '../openpgp/random-access';
import { openStored } from './open-stored';
import type { SegmentIndex } from './segment-index';
import type { Vault } from './vault';

export interface CheckSegmentOptions {
  signal?: AbortSignal;
  /** Called with the plain bytes that passed. */
  onBytes?: (bytes: number) => void;
}

/**
 * Decrypts a segment from its first byte to its last and hashes what is wanted. Returns the blobs that are not what the index says.
 * Throws IntegrityMismatch when the message or the tar itself is damaged, AuthRejected when no key opens it.
 */
export async function proveThrough(vault: Vault, cluster: string, { header }: SegmentIndex, wanted: readonly StoredBlob[], keys: DecryptionKeys, options: CheckSegmentOptions = {}): Promise<StoredBlob[]> {
  const name = vaultPaths.segment(cluster, header.segment);
  const plain = decryptOpened(await openStored(vault, name, keys));
  const reading = pipeline(await vault.read(name), plain, { signal: options.signal });
  // The loop below gets the error from `plain`; this promise reports it a second time.
  reading.catch((error: Error) => plain.destroy(error));
  const open = new Map(wanted.map((blob) => [blob.offset, blob]));
  const bad: StoredBlob[] = [];
  for await (const entry of readTar(plain)) {
    const blob = open.get(entry.dataOffset);
    open.delete(entry.dataOffset);
    const sha256 = await hashOf(entry.data, options.onBytes);
    if (blob && (entry.type !== 'file' || entry.name !== blob.path || entry.size !== blob.size || sha256 !== blob.sha256)) bad.push(blob);
  }
  return [...bad, ...open.values()];
}

/** Reads each wanted blob on its own, so that damage in one place says nothing about the others. Returns those that do not come back as they were. */
export async function proveAlone(vault: Vault, cluster: string, { header }: SegmentIndex, wanted: readonly StoredBlob[], keys: DecryptionKeys, options: CheckSegmentOptions = {}): Promise<StoredBlob[]> {
  const name = vaultPaths.segment(cluster, header.segment);
  const message = await openStored(vault, name, keys).catch(refusalOnly);
  if (message === null) return [...wanted];
  const bad: StoredBlob[] = [];
  for (const blob of wanted) {
    options.signal?.throwIfAborted();
    const data = decryptRange((offset, length) => vault.read(name, { offset, length }), message, blob.offset, blob.size);
    const sha256 = await hashOf(data, options.onBytes).catch(refusalOnly);
    if (sha256 !== blob.sha256) bad.push(blob);
  }
  return bad;
}

async function hashOf(data: AsyncIterable<Buffer>, onBytes?: (bytes: number) => void): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of data) {
    hash.update(chunk);
    onBytes?.(chunk.length);
  }
  return hash.digest('hex');
}

/** Null for what the damage itself causes; a vault that does not answer is another matter. */
function refusalOnly(error: unknown): null {
  if (error instanceof DrydockError && !error.retryable) return null;
  throw error;
}
