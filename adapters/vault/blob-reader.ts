/** One blob alone: by range from its segment, decrypted from where it lies, proven by its own digest. */
import { createHash } from 'node:crypto';
import { DrydockError } from '../../domain/errors';
import { vaultPaths, type StoredBlob } from '../../domain/vault-format';
import type { DecryptionKeys } from '../openpgp/keys';
import { decryptRange } from '../openpgp/random-access';
import type { OpenedMessage } from '../openpgp/session-key';
import { openStored } from './open-stored';
import { notHeld } from './segment-opener';
import { findPlaces, type WantedBlob } from './segment-places';
import type { Vault } from './vault';

/** Session keys are small, but a vault may have a hundred thousand segments. */
const REMEMBERED_SEGMENTS = 1_000;

/** Reads single blobs of one cluster. Remembers session keys, so that only the first blob of a segment pays for opening it. */
export class BlobReader {
  private readonly opened = new Map<string, Promise<OpenedMessage>>();

  constructor(
    private readonly vault: Vault,
    private readonly cluster: string,
    private readonly keys: DecryptionKeys,
  ) {}

  /**
   * The bytes of one blob, from the first on as they are decrypted. Use nothing of it before its end: there it throws IntegrityMismatch when the
   * bytes are not those that were wanted. Throws NotFound or AuthRejected before the first byte.
   */
  async *read(blob: WantedBlob): AsyncGenerator<Buffer> {
    const name = vaultPaths.segment(this.cluster, blob.segment);
    const [{ places }, message] = await Promise.all([findPlaces(this.vault, this.cluster, blob.segment, [blob]), this.open(name)]);
    const readRange = (offset: number, length: number) => this.vault.read(name, { offset, length });
    for (const place of places) yield* proven(decryptRange(readRange, message, place.offset, place.size), place, blob.segment);
  }

  /** A small blob, such as an image manifest. Throws IntegrityMismatch also when it has more than `maxBytes`. */
  async readAll(blob: WantedBlob, maxBytes: number): Promise<Buffer> {
    if (blob.size > maxBytes) {
      throw new DrydockError('IntegrityMismatch', `${blob.path} has ${blob.size} bytes, more than the ${maxBytes} that it can have`, { remedy: 'use another backup' });
    }
    const parts: Buffer[] = [];
    for await (const part of this.read(blob)) parts.push(part);
    return Buffer.concat(parts);
  }

  private open(name: string): Promise<OpenedMessage> {
    const known = this.opened.get(name);
    if (known) return known;
    if (this.opened.size >= REMEMBERED_SEGMENTS) this.opened.clear();
    const opening = openStored(this.vault, name, this.keys);
    // A failure is not remembered: the next attempt may find the vault well.
    opening.catch(() => this.opened.delete(name));
    this.opened.set(name, opening);
    return opening;
  }
}

/** Lets a blob's bytes through and compares them at their end with what is recorded. */
export async function* proven(data: AsyncIterable<Buffer>, blob: Pick<StoredBlob, 'path' | 'size' | 'sha256'>, segment: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of data) {
    hash.update(chunk);
    bytes += chunk.length;
    yield chunk;
  }
  if (bytes !== blob.size || hash.digest('hex') !== blob.sha256) throw notHeld(segment, blob.path, 'its bytes do not have the recorded SHA-256');
}
