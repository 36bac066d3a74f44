/** New messages for a set of recipients. */
import { randomBytes } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import type { EncryptionKeys } from './keys';
import { MessageEncryptor, type NewMessage } from './message-encryptor';
import { wrapSessionKey } from './wrap';

/** A fresh session key for all recipients. Throws InvalidInput when there are none. */
export async function newMessage(keys: EncryptionKeys): Promise<NewMessage> {
  const sessionKey = randomBytes(32);
  return { header: await wrapSessionKey(sessionKey, keys), sessionKey };
}

/** A stream that turns plain bytes into one OpenPGP message for all recipients. A fresh session key each time. */
export async function encryptStream(keys: EncryptionKeys): Promise<Transform> {
  return new EncryptTransform(await newMessage(keys));
}

class EncryptTransform extends Transform {
  private readonly encryptor: MessageEncryptor;

  constructor(message: NewMessage) {
    super({ writableHighWaterMark: 1 << 20, readableHighWaterMark: 1 << 20 });
    this.encryptor = new MessageEncryptor(message, (ciphertext) => this.push(ciphertext));
    this.encryptor.start();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.encryptor.write(chunk);
    done();
  }

  override _flush(done: TransformCallback): void {
    this.encryptor.end();
    done();
  }
}
