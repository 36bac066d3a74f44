/** The encrypted packet of a message: decrypted as it comes, its modification detection code checked at the end. Needs no keys, only the session key. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { DrydockError } from '../../domain/errors';
import { CfbStream } from './cfb';
import { BodyReader } from './framing';
import { MDC_HEADER } from './message-encryptor';

/** Random octets in front of the plaintext, the last two of them repeated. */
export const PREFIX_BYTES = 18;
const MDC_BYTES = 20;
const LITERAL_TAG = 0xcb;

/** Decrypts the body of one encrypted packet from its first byte to its last. `memory` gives that in which plain bytes come; see `CfbStream`. */
export class BodyDecryptor {
  private readonly body = new BodyReader();
  private readonly literal = new LiteralReader();
  private readonly decipher: CfbStream;
  private readonly mdc = createHash('sha1');
  private versionSeen = false;
  private prefixLeft = PREFIX_BYTES;
  private trailer = Buffer.alloc(0);

  constructor(
    sessionKey: Buffer,
    private readonly emit: (plain: Buffer) => void,
    memory?: () => Buffer,
  ) {
    this.decipher = new CfbStream('decrypt', sessionKey, Buffer.alloc(16), (plain) => this.takePlain(plain), memory);
  }

  write(data: Buffer): void {
    const used = this.body.read(data, (piece) => this.takeBody(piece));
    if (used < data.length) throw damaged('something stands behind its end');
    if (this.body.done) this.decipher.end();
  }

  end(): void {
    if (!this.body.done || !this.literal.done) throw damaged('it is cut short');
    if (this.trailer.length !== MDC_HEADER.length + MDC_BYTES || !this.trailer.subarray(0, 2).equals(MDC_HEADER)) {
      throw damaged('its modification detection code is missing');
    }
    const expected = this.mdc.update(MDC_HEADER).digest();
    if (!timingSafeEqual(expected, this.trailer.subarray(2))) throw damaged('its modification detection code does not match');
  }

  private takeBody(piece: Buffer): void {
    let sealed = piece;
    if (!this.versionSeen) {
      this.versionSeen = true;
      sealed = piece.subarray(1);
    }
    this.decipher.write(sealed);
  }

  private takePlain(window: Buffer): void {
    let plain = window;
    if (this.prefixLeft > 0) {
      const prefix = plain.subarray(0, this.prefixLeft);
      this.mdc.update(prefix);
      this.prefixLeft -= prefix.length;
      plain = plain.subarray(prefix.length);
    }
    const used = this.literal.read(plain, this.emit);
    this.mdc.update(plain.subarray(0, used));
    if (used < plain.length) this.takeTrailer(plain.subarray(used));
  }

  private takeTrailer(bytes: Buffer): void {
    this.trailer = Buffer.concat([this.trailer, bytes]);
    if (this.trailer.length > MDC_HEADER.length + MDC_BYTES) throw damaged('something stands behind its content');
  }
}

/** Reads one literal packet and hands on its data, without mode, name and date. */
class LiteralReader {
  private readonly packet = new BodyReader();
  private tagSeen = false;
  private head = Buffer.alloc(0);
  private headDone = false;

  get done(): boolean {
    return this.packet.done;
  }

  /** Returns how many bytes belonged to the packet. */
  read(plain: Buffer, emit: (data: Buffer) => void): number {
    let at = 0;
    if (!this.tagSeen && plain.length > 0) {
      if (plain[0] !== LITERAL_TAG) throw damaged('it does not hold plain literal data');
      this.tagSeen = true;
      at = 1;
    }
    return at + this.packet.read(plain.subarray(at), (piece) => this.takePiece(piece, emit));
  }

  private takePiece(piece: Buffer, emit: (data: Buffer) => void): void {
    if (this.headDone) return emit(piece);
    this.head = Buffer.concat([this.head, piece]);
    const headBytes = 6 + (this.head[1] ?? 0);
    if (this.head.length < headBytes) return;
    this.headDone = true;
    const rest = this.head.subarray(headBytes);
    this.head = Buffer.alloc(0);
    if (rest.length > 0) emit(rest);
  }
}

export function damaged(why: string): DrydockError {
  return new DrydockError('IntegrityMismatch', `an encrypted file of the backup is damaged: ${why}`, {
    remedy: 'restore the file from a second copy of the vault, or use another backup',
  });
}
