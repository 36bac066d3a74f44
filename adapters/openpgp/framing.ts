/**
 * OpenPGP packet bodies in pieces (RFC 4880, 4.2.2.4). We write every piece as a partial length of exactly 1 MiB and the last one with a
 * five-octet length, so that the place of every byte can be computed and one blob can be read alone.
 */
import { DrydockError } from '../../domain/errors';

/** Bytes of body in each piece but the last. Part of the vault's format. */
export const CHUNK_BYTES = 1 << 20;

const PARTIAL_1_MIB = 0xe0 | 20;

/** Room for the longest length in front of a piece. */
const LENGTH_BYTES = 5;

/**
 * Cuts a packet body into pieces of 1 MiB, each with its length in front. What it is given is copied, so the caller may use its memory
 * again; where the memory of a piece comes from is the caller's choice.
 */
export class PieceWriter {
  /** Bytes of memory that a piece takes. */
  static readonly PIECE_BYTES = LENGTH_BYTES + CHUNK_BYTES;
  private piece: Buffer;
  private filled = 0;

  /** `emit` gets each piece; `next` gives memory of `PIECE_BYTES` for the one that follows. */
  constructor(
    private readonly emit: (piece: Buffer) => void,
    private readonly next: () => Buffer,
  ) {
    this.piece = next();
  }

  push(data: Buffer): void {
    for (let at = 0; at < data.length; ) {
      // A full piece waits until something follows: the last one has another form of length.
      if (this.filled === CHUNK_BYTES) this.endPiece();
      const part = data.subarray(at, at + CHUNK_BYTES - this.filled);
      part.copy(this.piece, LENGTH_BYTES + this.filled);
      this.filled += part.length;
      at += part.length;
    }
  }

  /** Emits the last piece. */
  end(): void {
    this.piece[0] = 0xff;
    this.piece.writeUInt32BE(this.filled, 1);
    this.emit(this.piece.subarray(0, LENGTH_BYTES + this.filled));
  }

  private endPiece(): void {
    this.piece[LENGTH_BYTES - 1] = PARTIAL_1_MIB;
    const piece = this.piece.subarray(LENGTH_BYTES - 1, LENGTH_BYTES + CHUNK_BYTES);
    this.filled = 0;
    this.emit(piece);
    this.piece = this.next();
  }
}

/** Puts a packet body together again. Reads partial and definite lengths of the new packet format. */
export class BodyReader {
  private lengthOctets: number[] = [];
  private left = 0;
  private last = false;
  /** True when the last piece has been read to its end. */
  done = false;

  /** Reads from `data`; body bytes go to `emit`. Returns how many bytes were used: all, unless the body ended within `data`. */
  read(data: Buffer, emit: (body: Buffer) => void): number {
    let at = 0;
    while (at < data.length && !this.done) {
      if (this.left === 0) {
        this.readLength(data[at]!);
        at += 1;
        continue;
      }
      const piece = data.subarray(at, at + this.left);
      this.left -= piece.length;
      at += piece.length;
      if (this.left === 0 && this.last) this.done = true;
      emit(piece);
    }
    return at;
  }

  private readLength(octet: number): void {
    this.lengthOctets.push(octet);
    const length = parseLength(this.lengthOctets);
    if (length === null) return;
    this.lengthOctets = [];
    this.left = length.bytes;
    this.last = !length.partial;
    if (this.last && this.left === 0) this.done = true;
  }
}

/** Null when more octets are needed (RFC 4880, 4.2.2). */
export function parseLength(octets: number[]): { bytes: number; partial: boolean } | null {
  const [a, b, c, d, e] = octets;
  if (a === undefined) return null;
  if (a < 192) return { bytes: a, partial: false };
  if (a < 224) return b === undefined ? null : { bytes: ((a - 192) << 8) + b + 192, partial: false };
  if (a < 255) return { bytes: 2 ** (a & 0x1f), partial: true };
  if (b === undefined || c === undefined || d === undefined || e === undefined) return null;
  return { bytes: b * 2 ** 24 + (c << 16) + (d << 8) + e, partial: false };
}

/** The packets in front of the encrypted body (PKESK and SKESK) are small; more than this is not one of our messages. */
const MAX_HEADER_BYTES = 1 << 20;
const TAG_PKESK = 1;
const TAG_SKESK = 3;
const TAG_SEIPD = 18;

/** A session key packet in front of the encrypted body. */
export interface KeyPacket {
  readonly kind: 'publicKey' | 'passphrase';
  /** Without tag and length. */
  readonly body: Buffer;
  /** With tag and length. */
  readonly whole: Buffer;
}

export interface MessageStart {
  readonly keyPackets: KeyPacket[];
  /** Just behind the tag octet of the encrypted packet. */
  readonly bodyStart: number;
}

/**
 * The packets up to the encrypted one; null when more bytes are needed to know.
 * Throws IntegrityMismatch when this is no OpenPGP message of our form.
 */
export function readMessageStart(start: Buffer): MessageStart | null {
  const keyPackets: KeyPacket[] = [];
  let at = 0;
  for (;;) {
    if (at > MAX_HEADER_BYTES) throw notOurs('its first packets are too long');
    const tagOctet = start[at];
    if (tagOctet === undefined) return null;
    if ((tagOctet & 0xc0) !== 0xc0) throw notOurs(`it has the octet ${tagOctet} where a packet should start`);
    const tag = tagOctet & 0x3f;
    if (tag === TAG_SEIPD) return { keyPackets, bodyStart: at + 1 };
    if (tag !== TAG_PKESK && tag !== TAG_SKESK) throw notOurs(`it holds a packet of type ${tag} before the encrypted data`);
    const octets = [...start.subarray(at + 1, at + 6)];
    const used = octets.findIndex((_, i) => parseLength(octets.slice(0, i + 1)) !== null) + 1;
    if (used === 0) return null;
    const length = parseLength(octets.slice(0, used))!;
    if (length.partial) throw notOurs('a session key packet has a partial length');
    const bodyAt = at + 1 + used;
    keyPackets.push({ kind: tag === TAG_SKESK ? 'passphrase' : 'publicKey', body: start.subarray(bodyAt, bodyAt + length.bytes), whole: start.subarray(at, bodyAt + length.bytes) });
    at = bodyAt + length.bytes;
  }
}

function notOurs(why: string): DrydockError {
  return new DrydockError('IntegrityMismatch', `this is not an encrypted file that Drydock wrote: ${why}`, {
    remedy: 'the file is damaged or foreign; restore it from a second copy of the vault or use another backup',
  });
}
