/** What goes into one segment: blobs in, ciphertext and index lines out. Without waiting, so that a thread of its own can do it. */
import { createHash, type Hash } from 'node:crypto';
import type { StoredBlob } from '../../domain/vault-format';
import { END_OF_ARCHIVE, makeHeader, paddingOf, TAR_BLOCK } from '../archive/tar-header';
import { MessageEncryptor, type NewMessage } from '../openpgp/message-encryptor';
import { parseManifestRefs } from './manifest-refs';

/** Blobs up to this size are read whole before they are written, so a torn manifest never enters a segment. */
export const BUFFERED_BYTES = 4 * 1024 * 1024;
/** Pieces below this size are put together: each call into the cipher has a price of its own. */
const SMALL_BYTES = 64 * 1024;
const FILL_BYTES = 1 << 20;
const OPENING_BRACE = 0x7b;

/** A blob that is offered. `size` is the number of bytes that come. */
export interface NewBlob {
  path: string;
  size: number;
  /** Hex; absent when it is not known yet (`blobs/id` before the metadata is read). */
  sha256?: string;
}

/** Of the finished segment; `bytes` and `sha256` are those of the encrypted file. */
export interface PackedSegment {
  bytes: number;
  sha256: string;
  plainBytes: number;
}

/** Bytes that a blob takes in the plain tar, at most. */
export function packedSize(size: number): number {
  return TAR_BLOCK + size + paddingOf(size);
}

/** Bytes that every plain tar has besides its members. */
export const PACKING_OVERHEAD = END_OF_ARCHIVE.length;

interface OpenBlob extends NewBlob {
  hash: Hash;
  received: number;
  /** Only of a small blob: its bytes, until it is known to be right. */
  parts: Buffer[] | null;
  offset: number;
}

/** Call `begin`, `data` and `end` for each blob, then `finish`. What comes back is ciphertext, to be written in that order. */
export class SegmentPacker {
  private readonly encryptor: MessageEncryptor;
  private readonly stored = createHash('sha256');
  private bytes = 0;
  private plainBytes = 0;
  private small: Buffer[] = [];
  private smallBytes = 0;
  private blob: OpenBlob | null = null;

  constructor(message: NewMessage) {
    this.encryptor = new MessageEncryptor(message);
  }

  start(): Buffer[] {
    return this.out(this.encryptor.start());
  }

  begin(blob: NewBlob): Buffer[] {
    const isSmall = blob.size <= BUFFERED_BYTES;
    this.blob = { ...blob, hash: createHash('sha256'), received: 0, parts: isSmall ? [] : null, offset: 0 };
    return isSmall ? [] : this.writeHeader(this.blob);
  }

  data(chunk: Buffer): Buffer[] {
    const blob = this.current();
    blob.hash.update(chunk);
    const fitting = chunk.subarray(0, Math.max(0, blob.size - blob.received));
    blob.received += chunk.length;
    if (fitting.length === 0) return [];
    if (!blob.parts) return this.write(fitting);
    blob.parts.push(fitting);
    return [];
  }

  /**
   * Ends the blob. It is `void` when what came is not what was expected: a small one is then not in the segment at all, a large one is in
   * the tar and to be marked in the index.
   */
  end(): { stored: StoredBlob; packed: boolean; ciphertext: Buffer[] } {
    const blob = this.current();
    this.blob = null;
    const { path, size, received, parts } = blob;
    const sha256 = blob.hash.digest('hex');
    const isTorn = received !== size || (blob.sha256 !== undefined && blob.sha256 !== sha256);
    if (!parts) {
      // The tar must stay well-formed: what did not come is filled up, and the copy is void.
      const ciphertext = this.fill(Math.max(0, size - received) + paddingOf(size));
      return { stored: { path, size, sha256, offset: blob.offset, ...(isTorn ? { void: true as const } : {}) }, packed: true, ciphertext };
    }
    if (isTorn) return { stored: { path, size, sha256, offset: 0, void: true }, packed: false, ciphertext: [] };
    const refs = parts[0]?.[0] === OPENING_BRACE ? parseManifestRefs(Buffer.concat(parts)) : null;
    const ciphertext = [this.writeHeader(blob), ...parts.map((part) => this.write(part)), this.fill(paddingOf(size))].flat();
    return { stored: { path, size, sha256, offset: blob.offset, ...(refs ? { refs } : {}) }, packed: true, ciphertext };
  }

  finish(): { ciphertext: Buffer[]; packed: PackedSegment } {
    const ciphertext = [...this.write(END_OF_ARCHIVE), ...this.flushSmall(), ...this.out(this.encryptor.end())];
    return { ciphertext, packed: { bytes: this.bytes, sha256: this.stored.digest('hex'), plainBytes: this.plainBytes } };
  }

  private current(): OpenBlob {
    if (!this.blob) throw new Error('no blob was begun');
    return this.blob;
  }

  private writeHeader(blob: OpenBlob): Buffer[] {
    const header = makeHeader({ name: blob.path, type: 'file', size: blob.size });
    blob.offset = this.plainBytes + header.length;
    return this.write(header);
  }

  private fill(bytes: number): Buffer[] {
    const out: Buffer[] = [];
    for (let left = bytes; left > 0; left -= FILL_BYTES) out.push(...this.write(Buffer.alloc(Math.min(left, FILL_BYTES))));
    return out;
  }

  private write(piece: Buffer): Buffer[] {
    this.plainBytes += piece.length;
    if (piece.length >= SMALL_BYTES) return [...this.flushSmall(), ...this.out(this.encryptor.write(piece))];
    this.small.push(piece);
    this.smallBytes += piece.length;
    return this.smallBytes < SMALL_BYTES ? [] : this.flushSmall();
  }

  private flushSmall(): Buffer[] {
    if (this.smallBytes === 0) return [];
    const plain = Buffer.concat(this.small, this.smallBytes);
    this.small = [];
    this.smallBytes = 0;
    return this.out(this.encryptor.write(plain));
  }

  private out(ciphertext: Buffer[]): Buffer[] {
    for (const piece of ciphertext) {
      this.stored.update(piece);
      this.bytes += piece.length;
    }
    return ciphertext;
  }
}
