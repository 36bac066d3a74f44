/** Decryption of whole messages, with the modification detection code checked at the end. */
import { Transform, type TransformCallback } from 'node:stream';
import { BodyDecryptor, damaged } from './body-decryptor';
import type { DecryptionKeys } from './keys';
import { openMessage, type OpenedMessage } from './session-key';

/**
 * A stream that turns one OpenPGP message into its plain bytes. They flow before the code at the end is checked, so callers check the
 * ciphertext's SHA-256 first, or use nothing before the stream has ended well.
 * Fails with AuthRejected (no key opens it) or IntegrityMismatch (damaged, cut short, or with something behind).
 */
export function decryptStream(keys: DecryptionKeys): Transform {
  return new DecryptTransform((start) => openMessage(start, keys));
}

/** The same for a message that has been opened already, from its first byte on. */
export function decryptOpened(message: OpenedMessage): Transform {
  return new DecryptTransform((start) => Promise.resolve(start.length >= message.bodyStart ? message : null));
}

class DecryptTransform extends Transform {
  private start: Buffer[] = [];
  private startBytes = 0;
  private decryptor: BodyDecryptor | null = null;

  /** `open` finds the session key in the first bytes; null when it needs more of them. */
  constructor(private readonly open: (start: Buffer) => Promise<OpenedMessage | null>) {
    super({ writableHighWaterMark: 1 << 20, readableHighWaterMark: 1 << 20 });
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.accept(chunk).then(
      () => done(),
      (error: Error) => done(error),
    );
  }

  override _flush(done: TransformCallback): void {
    try {
      if (!this.decryptor) throw damaged('it ends before its encrypted part');
      this.decryptor.end();
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  private async accept(chunk: Buffer): Promise<void> {
    if (this.decryptor) return this.decryptor.write(chunk);
    this.start.push(chunk);
    this.startBytes += chunk.length;
    const start = Buffer.concat(this.start, this.startBytes);
    this.start = [start];
    const message = await this.open(start);
    if (!message) return;
    this.start = [];
    this.decryptor = new BodyDecryptor(message.sessionKey, (plain) => this.push(plain));
    this.decryptor.write(start.subarray(message.bodyStart));
  }
}
