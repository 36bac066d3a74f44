/** Opening segments in threads: hashing, decryption and proof cost more than all else of a restore and of a verification. */
import type { Worker } from 'node:worker_threads';
import { DrydockError } from '../../domain/errors';
import { StallWatch } from '../stream/stall';
import { errorOf, startThread } from '../stream/thread';
import type { FromOpeningThread, GivenStep, OpeningEnd, OpeningJob, ToOpeningThread } from './opening-messages';
import { notHeld, type Place } from './segment-opener';

/** So much may be on its way through a thread; more would only fill memory. */
const IN_FLIGHT_BYTES = 4 << 20;
const READ_BYTES = 1 << 20;
/** A disk or a mount of another machine that answers no read for so long hangs. */
const STALL_MS = 120_000;
/** Threads that wait for the next segment. */
const MAX_IDLE = 4;

/** A blob that a segment gives. */
export interface GivenBlob {
  place: Place;
  /** Must be read before the next blob is asked for; what is left is skipped. Its end proves it: use nothing before. */
  data: AsyncIterable<Buffer>;
}

interface Frame {
  memory: ArrayBuffer;
  steps: GivenStep[];
  nextStep: number;
  nextByte: number;
}

/** Ciphertext as it comes (a chunk that has its memory for itself is handed over with it), or a file of this machine that the thread reads itself: no piece of it for `stallMs` (default 120 s) is `Stalled`. */
export type Ciphertext = AsyncIterable<Buffer> | { fd: number; bytes: number; signal: AbortSignal | undefined; stallMs?: number };

type Step = { begin: number } | { data: Buffer } | 'end';

const idle: OpeningThread[] = [];

/** A thread that deals with one stream of ciphertext at a time. `take` it, then `release` it, or `stop` it when its work did not come to its end. */
export class OpeningThread {
  private inFlight = 0;
  /** What the thread was told to read and has not yet. */
  private unread = 0;
  private watch: StallWatch | undefined;
  private readonly frames: Frame[] = [];
  private reuse = false;
  private ended: OpeningEnd | null = null;
  private failure: Error | null = null;
  /** Those who wait for something to change: who feeds, and who reads. */
  private readonly waiting: (() => void)[] = [];

  private constructor(private readonly worker: Worker) {
    worker.on('message', (message: FromOpeningThread) => this.hear(message));
    worker.on('error', (error: Error) => this.fail(error));
    worker.on('exit', () => this.fail(new Error('an opening thread ended')));
  }

  /** A thread that waits, or a new one. */
  static take(): OpeningThread {
    const thread = idle.pop() ?? new OpeningThread(startThread(__dirname, 'opening-thread'));
    thread.worker.ref();
    return thread;
  }

  release(): void {
    this.worker.unref();
    if (idle.length < MAX_IDLE && !this.failure) idle.push(this);
    else this.stop();
  }

  stop(): void {
    this.fail(new Error('opening was stopped'));
    void this.worker.terminate();
  }

  /**
   * Takes the source to its end without giving anything out. Errors of the source come through; `onBytes` is called for each chunk. Throws
   * IntegrityMismatch when nothing is hashed and the message is damaged.
   */
  async run(source: Ciphertext, job: OpeningJob, onBytes: (bytes: number) => void = () => undefined): Promise<OpeningEnd> {
    this.start(job);
    await this.feed(source, onBytes);
    while (!this.ended) await this.change();
    return this.ended;
  }

  /** The wanted blobs, in the order of the tar. With `reuse`, the memory of a piece of data is used again when the next is asked for. Throws IntegrityMismatch, also from the data of a blob. */
  async *blobs(source: Ciphertext, job: Omit<NonNullable<OpeningJob['open']>, 'give'>, reuse = false): AsyncGenerator<GivenBlob> {
    this.reuse = reuse;
    this.start({ hash: false, open: { ...job, give: true } });
    const feeding = this.feed(source, () => undefined).catch((error: unknown) => this.fail(error as Error));
    for (let step = await this.next(); step; step = await this.next()) {
      if (step !== 'end' && 'begin' in step) yield { place: job.places[step.begin]!, data: this.dataOfBlob() };
    }
    await feeding;
    const [missing] = this.ended?.bad ?? [];
    if (missing !== undefined) throw notHeld(job.segment, job.places[missing]!.path, 'it is not in the tar');
  }

  private async *dataOfBlob(): AsyncGenerator<Buffer> {
    for (let step = await this.next(); step && step !== 'end'; step = await this.next()) if ('data' in step) yield step.data;
  }

  /** What comes next; undefined when all has come. */
  private async next(): Promise<Step | undefined> {
    for (;;) {
      const [frame] = this.frames;
      const step = frame?.steps[frame.nextStep];
      if (!frame) {
        if (this.failure) throw this.failure;
        if (this.ended) return undefined;
        await this.change();
      } else if (step === undefined) {
        this.frames.shift();
        this.inFlight -= frame.memory.byteLength;
        if (this.reuse && frame.memory.byteLength > 0 && !this.failure) this.post({ kind: 'memory', memory: frame.memory }, frame.memory);
        this.notify();
      } else {
        frame.nextStep += 1;
        if (step === 'end' || !('data' in step)) return step;
        const data = Buffer.from(frame.memory, frame.nextByte, step.data);
        frame.nextByte += step.data;
        return { data };
      }
    }
  }

  private start(job: OpeningJob): void {
    this.ended = null;
    this.post({ kind: 'start', job });
  }

  private async feed(source: Ciphertext, onBytes: (bytes: number) => void): Promise<void> {
    if ('fd' in source) await this.feedFile(source, onBytes);
    else await this.feedStream(source, onBytes);
    this.post({ kind: 'end' });
  }

  /** A thread that hangs in a read cannot be ended, but who waits for it can be told. */
  private async feedFile({ fd, bytes, signal, stallMs = STALL_MS }: Extract<Ciphertext, { fd: number }>, onBytes: (bytes: number) => void): Promise<void> {
    signal?.throwIfAborted();
    const onAbort = (): void => this.fail(asError(signal?.reason));
    signal?.addEventListener('abort', onAbort, { once: true });
    this.unread = 0;
    // Where nothing is to be read, or our own reader is slow, nobody waits for the disk.
    this.watch = new StallWatch(stallMs, () => this.fail(stalled(stallMs)), () => this.unread === 0 || this.frames.length > 0);
    try {
      for (let position = 0; position < bytes; position += READ_BYTES) {
        const length = Math.min(READ_BYTES, bytes - position);
        this.inFlight += length;
        this.unread += length;
        this.post({ kind: 'read', fd, position, bytes: length });
        onBytes(length);
        while (this.inFlight > IN_FLIGHT_BYTES) await this.change();
      }
      while (this.unread > 0) await this.change();
    } finally {
      this.watch.stop();
      this.watch = undefined;
      signal?.removeEventListener('abort', onAbort);
    }
  }

  private async feedStream(source: AsyncIterable<Buffer>, onBytes: (bytes: number) => void): Promise<void> {
    for await (const chunk of source) {
      // Memory that is handed over has no length any more.
      const { length } = chunk;
      this.inFlight += length;
      const isOwn = chunk.byteOffset === 0 && length === chunk.buffer.byteLength;
      this.post({ kind: 'ciphertext', bytes: chunk }, isOwn ? (chunk.buffer as ArrayBuffer) : undefined);
      onBytes(length);
      while (this.inFlight > IN_FLIGHT_BYTES) await this.change();
    }
  }

  private post(message: ToOpeningThread, transferred?: ArrayBuffer): void {
    if (this.failure) throw this.failure;
    this.worker.postMessage(message, transferred ? [transferred] : []);
  }

  private hear(message: FromOpeningThread): void {
    switch (message.kind) {
      case 'taken':
        this.inFlight -= message.bytes;
        if (this.watch) {
          this.unread -= message.bytes;
          this.watch.touch();
        }
        break;
      case 'given':
        // Counts as on its way until it has been used.
        this.inFlight += message.frame.byteLength;
        this.frames.push({ memory: message.frame, steps: message.steps, nextStep: 0, nextByte: 0 });
        break;
      case 'ended':
        this.ended = message.end;
        break;
      case 'failed':
        this.fail(errorOf(message.failure));
        break;
    }
    this.notify();
  }

  private fail(error: Error): void {
    this.failure ??= error;
    const at = idle.indexOf(this);
    if (at >= 0) idle.splice(at, 1);
    this.notify();
  }

  /** Resolves when anything has changed; throws when the work has failed. */
  private async change(): Promise<void> {
    if (!this.failure) await new Promise<void>((resolve) => this.waiting.push(resolve));
    if (this.failure) throw this.failure;
  }

  private notify(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

function stalled(ms: number): DrydockError {
  return new DrydockError('Stalled', `a segment could not be read: its disk gave nothing for ${Math.round(ms / 1000)} s`, { remedy: 'check the disk or the mount of the vault' });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
