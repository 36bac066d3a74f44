/**
 * One part of a message alone. CFB can be decrypted from any block, and our framing has fixed sizes, so the place of every plain byte
 * can be computed. There is no modification detection here: whoever uses a part proves it by its own digest.
 */
import type { Readable } from 'node:stream';
import { DrydockError } from '../../domain/errors';
import { PREFIX_BYTES } from './body-decryptor';
import { CfbStream } from './cfb';
import { BodyReader, CHUNK_BYTES } from './framing';
import type { OpenedMessage } from './session-key';

const BLOCK_BYTES = 16;
/** Mode, empty name and date in front of the literal data. */
const LITERAL_HEADER_BYTES = 6;
/** Where the first length octet of the literal packet stands in the plaintext: after the prefix and the tag. */
const FIRST_PIECE = PREFIX_BYTES + 1;
/** One length octet in front of each piece. */
const PIECE_BYTES = CHUNK_BYTES + 1;

/** Reads `length` bytes of the encrypted file from `offset`; fewer at its end. */
export type ReadRange = (offset: number, length: number) => Promise<Readable>;

/** Yields `length` plain bytes from `offset`. Throws IntegrityMismatch when the file ends before them. */
export async function* decryptRange(read: ReadRange, message: OpenedMessage, offset: number, length: number): AsyncGenerator<Buffer> {
  if (length === 0) return;
  const inLiteral = offset + LITERAL_HEADER_BYTES;
  const piece = Math.floor(inLiteral / CHUNK_BYTES);
  const pieceAt = FIRST_PIECE + piece * PIECE_BYTES;
  // CFB needs the block of ciphertext before the first one that is decrypted.
  const firstBlock = Math.floor(pieceAt / BLOCK_BYTES) * BLOCK_BYTES;
  const ivAt = firstBlock - BLOCK_BYTES;
  const bodyAt = 1 + Math.max(ivAt, 0);
  const outerPiece = Math.floor(bodyAt / CHUNK_BYTES);

  const ciphertext = new Window(bodyAt - outerPiece * CHUNK_BYTES);
  const literalData = new Window(inLiteral - piece * CHUNK_BYTES, length);
  const outer = new BodyReader();
  const inner = new BodyReader();
  let iv = ivAt < 0 ? Buffer.alloc(BLOCK_BYTES) : Buffer.alloc(0);
  let decipher: CfbStream | undefined;
  let skip = pieceAt - firstBlock;
  let out: Buffer[] = [];

  const takePlain = (plain: Buffer): void => {
    const skipped = Math.min(skip, plain.length);
    skip -= skipped;
    inner.read(plain.subarray(skipped), (data) => literalData.take(data, (wanted) => out.push(wanted)));
  };

  const takeSealed = (sealed: Buffer): void => {
    let rest = sealed;
    if (iv.length < BLOCK_BYTES) {
      const missing = BLOCK_BYTES - iv.length;
      iv = Buffer.concat([iv, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
    }
    if (rest.length === 0) return;
    decipher ??= new CfbStream('decrypt', message.sessionKey, iv, takePlain);
    decipher.write(rest);
  };

  const fileStart = message.bodyStart + outerPiece * PIECE_BYTES;
  const atMost = length + 2 * CHUNK_BYTES + Math.ceil(length / CHUNK_BYTES) * 2 + 64;
  const stream = await read(fileStart, atMost);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      outer.read(chunk, (data) => ciphertext.take(data, takeSealed));
      const ready = out;
      out = [];
      yield* ready;
      if (literalData.left === 0) return;
    }
    decipher?.end();
    yield* out;
    if (literalData.left === 0) return;
  } finally {
    stream.destroy();
  }
  throw new DrydockError('IntegrityMismatch', 'an encrypted file of the backup ends before the part that was asked for', {
    remedy: 'restore the file from a second copy of the vault, or use another backup',
  });
}

/** Drops the first `skip` bytes of what flows by and lets at most `left` through. */
class Window {
  constructor(
    private skip: number,
    public left = Number.POSITIVE_INFINITY,
  ) {}

  take(data: Buffer, emit: (wanted: Buffer) => void): void {
    const skipped = Math.min(this.skip, data.length);
    this.skip -= skipped;
    const wanted = data.subarray(skipped, skipped + Math.min(this.left, data.length));
    this.left -= wanted.length;
    if (wanted.length > 0) emit(wanted);
  }
}
