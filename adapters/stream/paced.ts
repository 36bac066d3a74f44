import { Transform, type TransformCallback } from 'node:stream';
import type { RateLimit } from './rate-limit';

/** Hands bytes on no faster than the limit says. Fails with the signal's reason. */
export class Paced extends Transform {
  constructor(private readonly limit: RateLimit, private readonly signal?: AbortSignal) {
    super();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.limit.take(chunk.length, this.signal).then(() => done(null, chunk), (error: unknown) => done(error instanceof Error ? error : new Error(String(error))));
  }
}
