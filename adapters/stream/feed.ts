import type { Writable } from 'node:stream';

/**
 * Writes all of `source` and ends `target`. A piece at a time: the next is asked for when `target` has called back for the one before, so that
 * the source may use its memory again. Throws what the source throws, and what breaks the target, at once: a source that takes long is not waited for.
 */
export async function feed(source: AsyncIterable<Buffer>, target: Writable): Promise<void> {
  const waiter = new Waiter(target);
  const pieces = source[Symbol.asyncIterator]();
  try {
    for (let step = await waiter.orBroken(pieces.next()); step.done !== true; step = await waiter.orBroken(pieces.next())) {
      const piece = step.value;
      await waiter.until((done) => target.write(piece, done));
    }
    await waiter.until((done) => target.end(done));
  } catch (error) {
    pieces.return?.().catch(() => undefined);
    throw error;
  } finally {
    waiter.leave();
  }
}

type Done = (error?: Error | null) => void;

/** Waits for one thing after the other, or for the end of the stream. */
class Waiter {
  private broken: Error | undefined;
  private wake: Done | undefined;
  private readonly onError = (error: Error): void => this.end(error);
  private readonly onClose = (): void => this.end(Object.assign(new Error('the stream was closed before its end'), { code: 'ERR_STREAM_PREMATURE_CLOSE' }));

  constructor(private readonly stream: Writable) {
    stream.on('error', this.onError).on('close', this.onClose);
    if (stream.destroyed) this.onClose();
  }

  /** `act` is given what calls back. */
  until(act: (done: Done) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.broken) return reject(this.broken);
      this.wake = (error) => (error ? reject(error) : resolve());
      act(this.wake);
    });
  }

  orBroken<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      work.then(resolve, reject);
      if (this.broken) return reject(this.broken);
      this.wake = (error) => error && reject(error);
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
