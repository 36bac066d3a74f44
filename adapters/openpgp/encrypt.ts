/**
 * Encryption in the one form that gpg 2.2, gpg 2.4 and OpenPGP.js all read: session key packets, then a "symmetrically encrypted and
 * integrity protected" packet version 1 (AES-256 in CFB, SHA-1 as modification detection), holding one literal packet without name or date.
 * The body is driven by node:crypto, which is faster than OpenPGP.js and needs little memory.
 */
import { createCipheriv, createHash, randomBytes, type Cipher, type Hash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import type { EncryptionKeys } from './keys';
import { PartialLengthWriter } from './framing';
import { wrapSessionKey } from './wrap';

const TAG_SEIPD = Buffer.from([0xd2]);
const TAG_LITERAL = Buffer.from([0xcb]);
const SEIPD_VERSION = Buffer.from([1]);
/** Binary, no file name, no date: names of repositories must not leak and the same input must not differ by time. */
const LITERAL_HEADER = Buffer.from([0x62, 0, 0, 0, 0, 0]);
export const MDC_HEADER = Buffer.from([0xd3, 0x14]);

/** A stream that turns plain bytes into one OpenPGP message for all recipients. A fresh session key each time. */
export async function encryptStream(keys: EncryptionKeys): Promise<Transform> {
  const sessionKey = randomBytes(32);
  return new EncryptTransform(await wrapSessionKey(sessionKey, keys), sessionKey);
}

class EncryptTransform extends Transform {
  private readonly literal = new PartialLengthWriter();
  private readonly body = new PartialLengthWriter();
  private readonly cipher: Cipher;
  private readonly mdc: Hash = createHash('sha1');

  constructor(header: Buffer, sessionKey: Buffer) {
    super({ writableHighWaterMark: 1 << 20, readableHighWaterMark: 1 << 20 });
    this.cipher = createCipheriv('aes-256-cfb', sessionKey, Buffer.alloc(16));
    this.push(header);
    this.push(TAG_SEIPD);
    this.body.push(SEIPD_VERSION);
    const prefix = randomBytes(18);
    prefix.copyWithin(16, 14, 16);
    this.seal(prefix);
    this.seal(TAG_LITERAL);
    this.literal.push(LITERAL_HEADER);
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    for (const piece of this.literal.push(chunk)) this.seal(piece);
    done();
  }

  override _flush(done: TransformCallback): void {
    for (const piece of this.literal.end()) this.seal(piece);
    this.mdc.update(MDC_HEADER);
    const trailer = Buffer.concat([MDC_HEADER, this.mdc.digest()]);
    this.body.push(this.cipher.update(trailer)).forEach((piece) => this.push(piece));
    for (const piece of this.body.end()) this.push(piece);
    done();
  }

  private seal(plain: Buffer): void {
    this.mdc.update(plain);
    for (const piece of this.body.push(this.cipher.update(plain))) this.push(piece);
  }
}
