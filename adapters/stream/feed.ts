import type { Writable } from 'node:stream';

/**
 * Writes all of `source` and ends `target`. A piece at a time: the next is asked for when `target` has called back for the one before, so that
 * the source may use its memory again. Throws what the source throws, and what breaks the target.
 */
export async function feed(source: AsyncIterable<Buffer>, target: Writable): Promise<void> {
  const waiter = new Waiter(target);
  try {
    for await (const piece of source) await waiter.until((done) => target.write(piece, done));
    await waiter.until((done) => target.end(done));
  } finally {
    waiter.leave();
  }
}

type Done = (error?: Error | null) => void;

/** Waits for one call back after the other, or for the end of the stream. */
class Waiter {
  private broken: Error | undefined;
  private wake: Done | undefined;
  private readonly onError = (error: Error): void => this.end(error);
  private readonly onClose = (): void => this.end(Object.assign(new Error('the stream was closed before its end'), { code: 'ERR_STREAM_PREMATURE_CLOSE' }));

  constructor(private readonly stream: Writable) {
    stream.on('error', this.onError).on('close', this.onClose);
    if (stream.destroyed) this.onClose();
  }

  until(act: (done: Done) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.broken) return reject(this.broken);
      this.wake = (error) => (error ? reject(error) : resolve());
      act(this.wake);
    });
  }

  leave(): void {
    this.stream.removeListener('error', this.onError).removeListener('close', this.onClose);
  }

  private end(error: Error): void {
    this.broken ??= error;
    this.wake?.(error);
  }
}
