import { Transform, type TransformCallback } from 'node:stream';

/** Calls `onStall` once when `touch` was not called for `ms`. `busy` may say that the wait is our own (a slow consumer). */
export class StallWatch {
  private last = Date.now();
  private readonly timer: NodeJS.Timeout;

  constructor(ms: number, onStall: () => void, busy: () => boolean = () => false) {
    this.timer = setInterval(
      () => {
        if (busy()) this.touch();
        if (Date.now() - this.last < ms) return;
        this.stop();
        onStall();
      },
      Math.max(20, Math.min(1000, ms / 4)),
    );
  }

  touch(): void {
    this.last = Date.now();
  }

  stop(): void {
    clearInterval(this.timer);
  }
}

/**
 * Hands bytes on and calls `touch` for each piece. At the end of its input it waits for `verdict`: so a consumer sees a clean end
 * only when the sender really ended well, and an error when the connection was cut.
 */
export class GuardedStream extends Transform {
  constructor(private readonly touch: () => void, private readonly verdict: () => Promise<unknown>) {
    super({ writableHighWaterMark: 256 * 1024, readableObjectMode: true, readableHighWaterMark: 4 });
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.touch();
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    this.verdict().then(
      () => done(),
      (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
    );
  }

  /** True while our own reader leaves bytes standing. */
  get unread(): boolean {
    return this.readableLength > 0;
  }
}

/** Keeps the last `max` bytes. */
export class Tail {
  private chunks: Buffer[] = [];
  private size = 0;

  constructor(private readonly max: number) {}

  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.size += chunk.length;
    while (this.size - this.chunks[0]!.length >= this.max) this.size -= this.chunks.shift()!.length;
  }

  toString(): string {
    const all = Buffer.concat(this.chunks);
    return all.subarray(Math.max(0, all.length - this.max)).toString('utf8');
  }
}
