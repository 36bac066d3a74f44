/** Proving what a segment holds, without giving any of it out. */
import { createHash } from 'node:crypto';
import { DrydockError } from '../../domain/errors';
import { vaultPaths, type StoredBlob } from '../../domain/vault-format';
import type { DecryptionKeys } from '../openpgp/keys';
import { decryptRange } from '../openpgp/random-access';
import { isForWantOfKey } from '../openpgp/session-key';
import { openCiphertext } from './ciphertext';
import { openStored } from './open-stored';
import { OpeningThread } from './opening';
import type { SegmentIndex } from './segment-index';
import type { Vault } from './vault';

export interface CheckSegmentOptions {
  signal?: AbortSignal;
  /** Called with the bytes that passed: of the ciphertext, or of a blob that is read alone. */
  onBytes?: (bytes: number) => void;
}

/** What reading a whole segment shows. */
export interface SegmentProof {
  bytes: number;
  /** Of the ciphertext. */
  sha256: string;
  /** Blobs that are not what the index says; null where the message could not be decrypted to its end, so that nothing is known of them. */
  bad: StoredBlob[] | null;
}

/**
 * Reads a segment once from its first byte to its last: hashes its ciphertext and, with `keys`, decrypts it and hashes what is wanted. Throws
 * NotFound when it is gone, and what keeps us from the vault (AuthRejected, NotPermitted, VaultUnavailable...).
 */
export async function proveWhole(vault: Vault, name: string, wanted: readonly StoredBlob[], keys: DecryptionKeys | null, options: CheckSegmentOptions = {}): Promise<SegmentProof> {
  const message = keys === null ? null : await openStored(vault, name, keys).catch(damageOnly);
  const { source, close } = await openCiphertext(vault, name, options.signal);
  const thread = OpeningThread.take();
  let done = false;
  try {
    const places = wanted.map(({ path, size, sha256, offset }) => ({ path, size, sha256, offset }));
    let bytes = 0;
    const end = await thread.run(source, { hash: true, ...(message ? { open: { segment: name, ...message, places, give: false } } : {}) }, (more) => {
      bytes += more;
      options.onBytes?.(more);
    });
    done = true;
    const isOpened = message !== null && end.unopened === undefined;
    return { bytes, sha256: end.sha256 ?? '', bad: isOpened ? end.bad.map((place) => wanted[place]!) : keys === null ? [] : null };
  } finally {
    if (done) thread.release();
    else thread.stop();
    await close();
  }
}

/** Reads each wanted blob on its own, so that damage in one place says nothing about the others. Returns those that do not come back as they were. */
export async function proveAlone(vault: Vault, cluster: string, { header }: SegmentIndex, wanted: readonly StoredBlob[], keys: DecryptionKeys, options: CheckSegmentOptions = {}): Promise<StoredBlob[]> {
  const name = vaultPaths.segment(cluster, header.segment);
  const message = await openStored(vault, name, keys).catch(damageOnly);
  if (message === null) return [...wanted];
  const bad: StoredBlob[] = [];
  for (const blob of wanted) {
    options.signal?.throwIfAborted();
    const data = decryptRange((offset, length) => vault.read(name, { offset, length }), message, blob.offset, blob.size);
    const sha256 = await hashOf(data, options.onBytes).catch(damageOnly);
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

/** Null for what damage itself causes, a message that no key opens among it; trouble on the way to the vault is another matter, and no verdict on what lies there. */
function damageOnly(error: unknown): null {
  if (error instanceof DrydockError && (error.kind === 'IntegrityMismatch' || error.kind === 'NotFound')) return null;
  if (isForWantOfKey(error)) return null;
  throw error;
}
