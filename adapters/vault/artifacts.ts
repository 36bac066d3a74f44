/** Artifacts: single encrypted files of a backup, written in one pass and verified before they are read. */
import { createHash } from 'node:crypto';
import { PassThrough, Readable, Transform, type TransformCallback, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { DrydockError } from '../../domain/errors';
import { decryptOpened } from '../openpgp/decrypt';
import { encryptStream } from '../openpgp/encrypt';
import type { DecryptionKeys, EncryptionKeys } from '../openpgp/keys';
import { Spool } from '../stream/spool';
import { openStored } from './open-stored';
import type { Vault } from './vault';

/** What a manifest says about an artifact. */
export interface ArtifactRecord {
  /** Name in the vault. */
  name: string;
  /** Of the encrypted file. */
  bytes: number;
  sha256: string;
  /** Of what went in, before compression. */
  plainBytes: number;
  plainSha256: string;
  recipients: string[];
}

/** Where an artifact's plain bytes come from: a stream, or a function that writes them (it need not end the stream). */
export type ArtifactSource = Readable | ((sink: Writable) => Promise<void>);

export interface WriteArtifactOptions {
  gzip?: boolean;
  /** Sees the plain bytes on their way, as `MetadataReader` does; when it fails, nothing is stored. */
  through?: Transform;
  /**
   * A folder for what a slow vault has not taken yet (encrypted): the source is never held back by the vault. For a container's output,
   * whose last bytes its engine throws away when nobody takes them for two seconds after the container's end.
   */
  spool?: string;
  signal?: AbortSignal;
  /** Called with the plain bytes so far. */
  onProgress?: (plainBytes: number) => void;
}

/**
 * Compresses (if asked), encrypts and stores. Nothing is visible in the vault unless all went well. Create-if-absent: throws Conflict
 * when the name exists. Errors of the source come through as they are.
 */
export async function writeArtifact(vault: Vault, name: string, keys: EncryptionKeys, source: ArtifactSource, options: WriteArtifactOptions = {}): Promise<ArtifactRecord> {
  const plain = new DigestStream(options.onProgress);
  const stored = new DigestStream();
  // The pipeline below gets the source's error; one that comes before it stands must not end the process.
  if (typeof source !== 'function') source.on('error', () => undefined);
  const upload = await vault.upload(name);
  try {
    const stages = [...(options.through ? [options.through] : []), plain, ...(options.gzip ? [createGzip({ level: 6 })] : []), await encryptStream(keys), stored, ...(options.spool === undefined ? [] : [new Spool({ directory: options.spool })]), upload.stream];
    if (typeof source === 'function') {
      const sink = new PassThrough({ highWaterMark: 1 << 20 });
      const writing = source(sink).then(
        () => sink.end(),
        (error: Error) => sink.destroy(error),
      );
      await Promise.all([pipeline([sink, ...stages], { signal: options.signal }), writing]);
    } else {
      await pipeline([source, ...stages], { signal: options.signal });
    }
    await upload.commit();
  } catch (error) {
    await upload.abort();
    throw error;
  }
  return { name, bytes: stored.bytes, sha256: stored.digest(), plainBytes: plain.bytes, plainSha256: plain.digest(), recipients: keys.recipients };
}

/** Stores a text in clear, create-if-absent, whatever its size. Throws Conflict when the name exists. */
export async function writeClear(vault: Vault, name: string, content: string): Promise<{ name: string; bytes: number; sha256: string }> {
  const bytes = Buffer.from(content);
  const record = { name, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  if (bytes.length <= SMALL_BYTES) {
    await vault.put(name, bytes);
    return record;
  }
  const upload = await vault.upload(name, { expectedBytes: bytes.length });
  try {
    await pipeline(Readable.from(piecesOf(bytes)), upload.stream);
    await upload.commit();
  } catch (error) {
    await upload.abort();
    throw error;
  }
  return record;
}

/** More than this goes in parts where the vault has such. */
const SMALL_BYTES = 1 << 20;

function* piecesOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += SMALL_BYTES) yield bytes.subarray(at, at + SMALL_BYTES);
}

export interface ReadArtifactOptions {
  gunzip?: boolean;
  signal?: AbortSignal;
  /** Reads the file once instead of twice: what came may be used only when the stream has ended without an error. */
  once?: boolean;
}

/**
 * The plain bytes of an artifact. The whole ciphertext is hashed against the record before the first byte is decrypted (with `once`: while it is), and the plain
 * bytes against the record as they pass. Throws NotFound, IntegrityMismatch or AuthRejected, the last two also from the stream.
 */
export async function readArtifact(vault: Vault, record: ArtifactRecord, keys: DecryptionKeys, options: ReadArtifactOptions = {}): Promise<Readable> {
  if (!options.once) await verifyCiphertext(vault, record, options.signal);
  const message = await openStored(vault, record.name, keys);
  const ciphertext = await vault.read(record.name);
  const refuse = (): never => {
    throw new DrydockError('IntegrityMismatch', `the content of ${record.name} is not what was backed up`, { remedy: 'use another backup' });
  };
  const check = new DigestStream(
    // At once, because a few compressed bytes can swell to any size.
    (bytes) => bytes > record.plainBytes && refuse(),
    (bytes, sha256) => (bytes !== record.plainBytes || sha256 !== record.plainSha256) && refuse(),
  );
  const sealed = new DigestStream(undefined, (bytes, sha256) => refuseDamaged(vault, record, { bytes, sha256 }));
  const stages = [ciphertext, ...(options.once ? [sealed] : []), decryptOpened(message), ...(options.gunzip ? [createGunzip()] : []), check];
  // The reader of `check` gets the error; this promise would report it a second time.
  pipeline(stages, { signal: options.signal }).catch((error: Error) => check.destroy(error));
  return check;
}

/** Hashes a stored file and compares it with what was written. Throws NotFound or IntegrityMismatch. */
export async function verifyCiphertext(vault: Vault, record: { name: string; bytes: number; sha256: string }, signal?: AbortSignal): Promise<void> {
  const digest = createHash('sha256');
  let bytes = 0;
  for await (const chunk of (await vault.read(record.name)) as AsyncIterable<Buffer>) {
    signal?.throwIfAborted();
    digest.update(chunk);
    bytes += chunk.length;
  }
  refuseDamaged(vault, record, { bytes, sha256: digest.digest('hex') });
}

/** Compares what was read of a stored file with what was written. Throws IntegrityMismatch. */
export function refuseDamaged(vault: Vault, record: { name: string; bytes: number; sha256: string }, { bytes, sha256 }: { bytes: number; sha256: string }): void {
  if (bytes === record.bytes && sha256 === record.sha256) return;
  const why = bytes === record.bytes ? 'its SHA-256 is not the one recorded' : `it has ${bytes} bytes, recorded are ${record.bytes}`;
  throw new DrydockError('IntegrityMismatch', `${record.name} in ${vault.description} is damaged: ${why}`, {
    remedy: 'put the file back from a second copy of the vault, or use another backup',
    details: { name: record.name, expected: record.sha256, found: sha256 },
  });
}

/** Lets bytes through unchanged, counts and hashes them. What the callbacks throw fails the stream. */
export class DigestStream extends Transform {
  bytes = 0;
  private readonly hash = createHash('sha256');
  private hex: string | undefined;

  constructor(
    private readonly onBytes?: (bytes: number) => unknown,
    private readonly atEnd?: (bytes: number, sha256: string) => unknown,
  ) {
    super({ readableHighWaterMark: 1 << 20, writableHighWaterMark: 1 << 20 });
    // Whoever reads gets the error; one that comes before the reader does must not end the process.
    this.on('error', () => undefined);
  }

  /** Hex; only after the stream has ended. */
  digest(): string {
    this.hex ??= this.hash.digest('hex');
    return this.hex;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.hash.update(chunk);
    this.bytes += chunk.length;
    try {
      this.onBytes?.(this.bytes);
      done(null, chunk);
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      this.atEnd?.(this.bytes, this.digest());
      done();
    } catch (error) {
      done(error as Error);
    }
  }
}
