/** Moving one object from a vault to another, with the same name and the same bytes. */
import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { DrydockError } from '../../domain/errors';
import { Paced } from '../stream/paced';
import type { RateLimit } from '../stream/rate-limit';
import { DigestStream } from './artifacts';
import { isConflict } from './probe';
import type { Vault } from './vault';

export interface ObjectRecord {
  name: string;
  /** As the manifest or `SHA256SUMS` records them; absent where nothing does. */
  bytes?: number;
  sha256?: string;
}

export interface CopyOptions {
  signal?: AbortSignal;
  /** Called with the bytes of each chunk that moved. */
  onBytes?: (bytes: number) => void;
  /** How fast bytes may move. */
  limit?: RateLimit;
  /** How fast they may be read back. */
  backLimit?: RateLimit;
}

/**
 * Copies an object, hashing what passes, then reads it back from where it is now. An object that stands there already is only read. Nothing becomes
 * visible in `to` that is not as recorded. Throws NotFound or IntegrityMismatch for the source (`isOfSource`), VaultUnavailable when `to` does not give
 * back what it took.
 */
export async function copyObject(from: Vault, to: Vault, record: ObjectRecord, options: CopyOptions = {}): Promise<{ bytes: number; sha256: string; moved: boolean }> {
  const { name } = record;
  let seen = 0;
  const digest = new DigestStream((bytes) => {
    options.onBytes?.(bytes - seen);
    seen = bytes;
  }, (bytes, sha256) => {
    if ((record.bytes !== undefined && bytes !== record.bytes) || (record.sha256 !== undefined && sha256 !== record.sha256)) throw noted(damaged(from, record, bytes));
  });
  const source = await ofSource(from.read(name));
  source.once('error', noted);
  const upload = await to.upload(name, { expectedBytes: record.bytes ?? 0 }).catch((error: unknown) => {
    source.destroy();
    throw error;
  });
  let moved = true;
  try {
    await pipeline([source, ...(options.limit ? [new Paced(options.limit, options.signal)] : []), digest, upload.stream], { signal: options.signal });
    await upload.commit();
  } catch (error) {
    await upload.abort();
    if (!isConflict(error)) throw error;
    // Another copy was faster; its bytes are looked at like our own.
    moved = false;
  }
  const expected = { bytes: digest.bytes, sha256: digest.digest() };
  if (await hasDigest(to, { name, ...expected }, options.signal, options.backLimit)) return { ...expected, moved };
  // What we have just written ourselves is in nobody's use yet.
  if (moved) await to.remove(name);
  throw new DrydockError('VaultUnavailable', `${to.description} gives back other bytes of ${name} than were written`, { remedy: 'check the disk, the mount or the server of the vault' });
}

const saidBySource = new WeakSet<object>();

/** Whether an error tells of the vault that is read, and not of the one that is filled. */
export function isOfSource(error: unknown): boolean {
  return typeof error === 'object' && error !== null && saidBySource.has(error);
}

/** Work on the source alone: what it throws is `isOfSource`. */
export async function ofSource<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw noted(error);
  }
}

function noted<E>(error: E): E {
  if (typeof error === 'object' && error !== null) saidBySource.add(error);
  return error;
}

/** Whether an object is there with just these bytes: read from its first to its last. */
export async function hasDigest(vault: Vault, record: { name: string; bytes: number; sha256: string }, signal?: AbortSignal, limit?: RateLimit): Promise<boolean> {
  const found = await digestOf(vault, record.name, signal, limit).catch((error: unknown) => {
    if (error instanceof DrydockError && error.kind === 'NotFound') return null;
    throw error;
  });
  return found !== null && found.bytes === record.bytes && found.sha256 === record.sha256;
}

/** Reads a whole object. Throws NotFound. */
export async function digestOf(vault: Vault, name: string, signal?: AbortSignal, limit?: RateLimit): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of (await vault.read(name)) as AsyncIterable<Buffer>) {
    signal?.throwIfAborted();
    await limit?.take(chunk.length, signal);
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

function damaged(vault: Vault, record: ObjectRecord, bytes: number): DrydockError {
  const why = record.bytes !== undefined && bytes !== record.bytes ? `it has ${bytes} bytes, recorded are ${record.bytes}` : 'its SHA-256 is not the one recorded';
  return new DrydockError('IntegrityMismatch', `${record.name} in ${vault.description} is damaged: ${why}`, { remedy: 'put the file back from another vault that holds it' });
}
