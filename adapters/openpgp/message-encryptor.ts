/**
 * Encryption in the one form that gpg 2.2, gpg 2.4 and OpenPGP.js all read: session key packets, then a "symmetrically encrypted and
 * integrity protected" packet version 1 (AES-256 in CFB, SHA-1 as modification detection), holding one literal packet without name or date.
 * The body is driven by node:crypto, which is faster than OpenPGP.js and needs little memory.
 */
import { createCipheriv, createHash, randomBytes, type Cipher, type Hash } from 'node:crypto';
import { PartialLengthWriter } from './framing';

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

/** Makes one message, piece by piece and without waiting: what each call returns is to be written in that order. */
export class MessageEncryptor {
  private readonly literal = new PartialLengthWriter();
  private readonly body = new PartialLengthWriter();
  private readonly cipher: Cipher;
  private readonly mdc: Hash = createHash('sha1');

  constructor(private readonly message: NewMessage) {
    this.cipher = createCipheriv('aes-256-cfb', message.sessionKey, Buffer.alloc(16));
  }

  start(): Buffer[] {
    const prefix = randomBytes(18);
    prefix.copyWithin(16, 14, 16);
    const body = [...this.body.push(SEIPD_VERSION), ...this.seal(prefix), ...this.seal(TAG_LITERAL)];
    return [this.message.header, TAG_SEIPD, ...body, ...this.literal.push(LITERAL_HEADER)];
  }

  /** The bytes are kept until they are sealed: they must not be changed afterwards. */
  write(plain: Buffer): Buffer[] {
    return this.literal.push(plain).flatMap((piece) => this.seal(piece));
  }

  end(): Buffer[] {
    const sealed = this.literal.end().flatMap((piece) => this.seal(piece));
    this.mdc.update(MDC_HEADER);
    const trailer = Buffer.concat([MDC_HEADER, this.mdc.digest()]);
    return [...sealed, ...this.body.push(this.cipher.update(trailer)), ...this.body.end()];
  }

  private seal(plain: Buffer): Buffer[] {
    this.mdc.update(plain);
    return this.body.push(this.cipher.update(plain));
  }
}
