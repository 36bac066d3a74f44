/** What goes into one segment: blobs in, ciphertext and index lines out. Without waiting, so that a thread of its own can do it. */
import { createHash, type Hash } from 'node:crypto';
import { hashOfDigest, partsOfDigest } from '../../domain/digest';
import { beginsLikeManifest, MOST_MANIFEST_BYTES, readImageManifest, refsOf } from '../../domain/image-manifest';
import { parseBlobPath } from '../../domain/layout';
import type { ManifestRefs, StoredBlob } from '../../domain/vault-format';
import { END_OF_ARCHIVE, makeHeader, paddingOf, TAR_BLOCK } from '../archive/tar-header';
import { MessageEncryptor, type NewMessage } from '../openpgp/message-encryptor';

/** Blobs up to this size are read whole before they are written, so a torn manifest never enters a segment. */
export const BUFFERED_BYTES = 4 * 1024 * 1024;
const ZEROS = Buffer.alloc(1 << 20);

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

/** A blob that has ended; `inTar` tells whether its bytes are in the segment. */
export interface PackedBlob {
  stored: StoredBlob;
  inTar: boolean;
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
  kept: Buffer | null;
  /** Only of a larger blob that may be a manifest: its pieces. */
  pieces: Buffer[] | null;
  /** Only where its name is a digest of another algorithm, which is held to it as well. */
  named: { hash: Hash; expected: string } | null;
  offset: number;
}

/** Call `begin`, `data` and `end` for each blob, then `finish`. Ciphertext goes to `emit`, to be written in that order. */
export class SegmentPacker {
  private readonly encryptor: MessageEncryptor;
  private readonly stored = createHash('sha256');
  private bytes = 0;
  private plainBytes = 0;
  private blob: OpenBlob | null = null;

  /** `memory` gives the buffers that ciphertext comes in; see `MessageEncryptor`. */
  constructor(message: NewMessage, emit: (ciphertext: Buffer) => void, memory?: () => Buffer) {
    const hashed = (ciphertext: Buffer): void => {
      this.stored.update(ciphertext);
      this.bytes += ciphertext.length;
      emit(ciphertext);
    };
    this.encryptor = new MessageEncryptor(message, hashed, memory);
    this.encryptor.start();
  }

  begin(blob: NewBlob): void {
    const isSmall = blob.size <= BUFFERED_BYTES;
    this.blob = { ...blob, hash: createHash('sha256'), received: 0, kept: isSmall ? Buffer.allocUnsafe(blob.size) : null, pieces: !isSmall && blob.size <= MOST_MANIFEST_BYTES ? [] : null, named: namedBy(blob.path), offset: 0 };
    if (!isSmall) this.writeHeader(this.blob);
  }

  /** The bytes are copied where they are kept. */
  data(chunk: Buffer): void {
    const blob = this.current();
    blob.hash.update(chunk);
    blob.named?.hash.update(chunk);
    if (blob.pieces?.length === 0 && chunk.length > 0 && !beginsLikeManifest(chunk)) blob.pieces = null;
    blob.pieces?.push(Buffer.from(chunk));
    const fitting = chunk.subarray(0, Math.max(0, blob.size - blob.received));
    if (blob.kept) fitting.copy(blob.kept, blob.received);
    else this.write(fitting);
    blob.received += chunk.length;
  }

  /**
   * Ends the blob. It is `void` when what came is not what was expected: a small one is then not in the segment at all, a large one is in
   * the tar and to be marked in the index.
   */
  end(): PackedBlob {
    const blob = this.current();
    this.blob = null;
    const { path, size, received, kept, named } = blob;
    const sha256 = blob.hash.digest('hex');
    const isTorn = received !== size || (blob.sha256 !== undefined && blob.sha256 !== sha256) || (named !== null && named.hash.digest('hex') !== named.expected);
    if (!kept) {
      // The tar must stay well-formed: what did not come is filled up, and the copy is void.
      this.fill(Math.max(0, size - received) + paddingOf(size));
      return { stored: { path, size, sha256, offset: blob.offset, ...(isTorn ? { void: true as const } : refsIn(blob.pieces && Buffer.concat(blob.pieces))) }, inTar: true };
    }
    if (isTorn) return { stored: { path, size, sha256, offset: 0, void: true }, inTar: false };
    this.writeHeader(blob);
    this.write(kept);
    this.fill(paddingOf(size));
    return { stored: { path, size, sha256, offset: blob.offset, ...refsIn(kept) }, inTar: true };
  }

  finish(): PackedSegment {
    this.write(END_OF_ARCHIVE);
    this.encryptor.end();
    return { bytes: this.bytes, sha256: this.stored.digest('hex'), plainBytes: this.plainBytes };
  }

  private current(): OpenBlob {
    if (!this.blob) throw new Error('no blob was begun');
    return this.blob;
  }

  private writeHeader(blob: OpenBlob): void {
    const header = makeHeader({ name: blob.path, type: 'file', size: blob.size });
    blob.offset = this.plainBytes + header.length;
    this.write(header);
  }

  private fill(bytes: number): void {
    for (let left = bytes; left > 0; left -= ZEROS.length) this.write(ZEROS.subarray(0, left));
  }

  private write(piece: Buffer): void {
    this.plainBytes += piece.length;
    this.encryptor.write(piece);
  }
}

function refsIn(content: Buffer | null): { refs?: ManifestRefs } {
  const manifest = content && readImageManifest(content);
  return manifest ? { refs: refsOf(manifest) } : {};
}

function namedBy(path: string): OpenBlob['named'] {
  const parsed = parseBlobPath(path);
  if (parsed?.layout !== 'other' || parsed.digest === null) return null;
  const algorithm = hashOfDigest(parsed.digest);
  return algorithm === null ? null : { hash: createHash(algorithm), expected: partsOfDigest(parsed.digest).encoded };
}
