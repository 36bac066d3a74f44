/**
 * Encryption in the one form that gpg 2.2, gpg 2.4 and OpenPGP.js all read: session key packets, then a "symmetrically encrypted and
 * integrity protected" packet version 1 (AES-256 in CFB, SHA-1 as modification detection), holding one literal packet without name or date.
 * The body is driven by node:crypto, which is faster than OpenPGP.js and needs little memory.
 */
import { createHash, randomBytes, type Hash } from 'node:crypto';
import { CfbStream } from './cfb';
import { PieceWriter } from './framing';

const TAG_SEIPD = Buffer.from([0xd2]);
const TAG_LITERAL = Buffer.from([0xcb]);
const SEIPD_VERSION = Buffer.from([1]);
/** Binary, no file name, no date: names of repositories must not leak and the same input must not differ by time. */
const LITERAL_HEADER = Buffer.from([0x62, 0, 0, 0, 0, 0]);
export const MDC_HEADER = Buffer.from([0xd3, 0x14]);

/** What starts a message: its session key packets, and the key that they carry. */
export interface NewMessage {
  header: Buffer;
  sessionKey: Buffer;
}

/** Makes one message without waiting. What it is given is copied, so the caller may use its memory again. */
export class MessageEncryptor {
  private readonly literal: PieceWriter;
  private readonly body: PieceWriter;
  private readonly cipher: CfbStream;
  private readonly mdc: Hash = createHash('sha1');

  /** `emit` gets the message in pieces; `memory` gives a buffer of `PieceWriter.PIECE_BYTES` for each, which is the receiver's from then on. */
  constructor(private readonly message: NewMessage, private readonly emit: (ciphertext: Buffer) => void, memory: () => Buffer = newPiece) {
    this.body = new PieceWriter(emit, memory);
    // What stands in window and piece is used up at once, so that one of each serves for all.
    const window = Buffer.allocUnsafeSlow(CfbStream.WINDOW_BYTES);
    this.cipher = new CfbStream('encrypt', message.sessionKey, Buffer.alloc(16), (sealed) => this.body.push(sealed), () => window);
    const plain = newPiece();
    this.literal = new PieceWriter((piece) => this.seal(piece), () => plain);
  }

  start(): void {
    this.emit(this.message.header);
    this.emit(TAG_SEIPD);
    this.body.push(SEIPD_VERSION);
    const prefix = randomBytes(18);
    prefix.copyWithin(16, 14, 16);
    this.seal(prefix);
    this.seal(TAG_LITERAL);
    this.literal.push(LITERAL_HEADER);
  }

  write(plain: Buffer): void {
    this.literal.push(plain);
  }

  end(): void {
    this.literal.end();
    this.mdc.update(MDC_HEADER);
    this.cipher.write(Buffer.concat([MDC_HEADER, this.mdc.digest()]));
    this.cipher.end();
    this.body.end();
  }

  private seal(plain: Buffer): void {
    this.mdc.update(plain);
    this.cipher.write(plain);
  }
}

function newPiece(): Buffer {
  return Buffer.allocUnsafeSlow(PieceWriter.PIECE_BYTES);
}
