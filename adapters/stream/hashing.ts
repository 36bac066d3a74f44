/** SHA-256 of streams in threads of their own, so that several cores hash at once and the main thread stays free. */
import type { Worker } from 'node:worker_threads';
import { startThread } from './thread';

/** Bytes to hash, or the end of them. */
export type ToHashThread = Uint8Array | 'end';
export type FromHashThread = { taken: number } | { sha256: string };

/** So much may be on its way to a thread; more would only fill memory. */
const IN_FLIGHT_BYTES = 4 << 20;

/** One thread; hashes one stream after the other. `close` it when done. */
export class HashThread {
  private readonly worker: Worker = startThread(__dirname, 'hash-thread');
  private inFlight = 0;
  private sha256: string | null = null;
  private failure: Error | null = null;
  private wake: (() => void) | null = null;

  constructor() {
    this.worker.on('message', (message: FromHashThread) => {
      if ('taken' in message) this.inFlight -= message.taken;
      else this.sha256 = message.sha256;
      this.wake?.();
    });
    this.worker.on('error', (error: Error) => this.fail(error));
    this.worker.on('exit', () => this.fail(new Error('a hashing thread ended')));
  }

  /** Reads the source to its end. Errors of the source come through. `onBytes` is called for each chunk. */
  async hash(source: AsyncIterable<Buffer>, onBytes: (bytes: number) => void): Promise<{ bytes: number; sha256: string }> {
    let bytes = 0;
    this.sha256 = null;
    for await (const chunk of source) {
      // Memory that is handed over has no length any more.
      const { length } = chunk;
      bytes += length;
      this.inFlight += length;
      this.post(chunk);
      onBytes(length);
      while (this.inFlight > IN_FLIGHT_BYTES) await this.signal();
    }
    this.worker.postMessage('end' satisfies ToHashThread);
    while (this.sha256 === null) await this.signal();
    return { bytes, sha256: this.sha256 };
  }

  async close(): Promise<void> {
    await this.worker.terminate();
  }

  /** Memory that is the chunk's own is handed over; what it shares with others is copied. */
  private post(chunk: Buffer): void {
    const isOwn = chunk.byteOffset === 0 && chunk.byteLength === chunk.buffer.byteLength;
    if (isOwn) this.worker.postMessage(chunk satisfies ToHashThread, [chunk.buffer as ArrayBuffer]);
    else this.worker.postMessage(chunk satisfies ToHashThread);
  }

  private async signal(): Promise<void> {
    this.throwIfFailed();
    await new Promise<void>((resolve) => {
      this.wake = resolve;
    });
    this.throwIfFailed();
  }

  private throwIfFailed(): void {
    if (this.failure) throw this.failure;
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.wake?.();
  }
}
