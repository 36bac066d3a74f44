/** Packing in threads: hashing and encryption cost more than all else, so each segment that is being written has a thread of its own. */
import type { Worker } from 'node:worker_threads';
import { PieceWriter } from '../openpgp/framing';
import type { NewMessage } from '../openpgp/message-encryptor';
import { startThread } from '../stream/thread';
import type { FrameStep, FromThread, ToThread } from './packing-messages';
import type { NewBlob, PackedBlob, PackedSegment } from './segment-packer';

const FRAME_BYTES = 1 << 20;
/** So much may be on its way through a thread; more would only fill memory. */
const IN_FLIGHT_BYTES = 6 << 20;
/** About what a step of a frame takes in memory: a million empty blobs are not free. */
const STEP_BYTES = 200;
const MAX_STEPS = 4_000;
/** A vault far away takes its time for each write. */
const WRITES_AT_ONCE = 4;
/** Threads that wait for the next segment. */
const MAX_IDLE = 4;

/** Where a packed segment goes. */
export interface PackingTarget {
  /** Takes ciphertext, in order; resolves when it has been written and its memory may be used again. */
  write(ciphertext: Buffer): Promise<void>;
  /** Called for each blob when it has ended. */
  onBlob(blob: PackedBlob): void;
}

const idle: PackingThread[] = [];

/** A thread that packs one segment at a time: `open`, then `begin`, `data` and `end` for each blob, then `finish` and `release`. */
export class PackingThread {
  private target: PackingTarget | null = null;
  /** Frames that came back. */
  private readonly frames: ArrayBuffer[] = [];
  private frame: Buffer | null = null;
  private filled = 0;
  private steps: FrameStep[] = [];
  private inFlight = 0;
  private failure: Error | null = null;
  private wake: (() => void) | null = null;
  private readonly writes: Promise<void>[] = [];
  private writing: Promise<void> = Promise.resolve();
  private finished: PackedSegment | null = null;

  private constructor(private readonly worker: Worker) {
    worker.on('message', (message: FromThread) => this.take(message));
    worker.on('error', (error: Error) => this.fail(error));
    worker.on('exit', () => this.fail(new Error('a packing thread ended')));
  }

  /** A thread that waits, or a new one. */
  static take(): PackingThread {
    const thread = idle.pop() ?? new PackingThread(startThread(__dirname, 'packing-thread'));
    thread.worker.ref();
    return thread;
  }

  open(message: NewMessage, target: PackingTarget): void {
    this.target = target;
    this.finished = null;
    this.post({ kind: 'open', message });
  }

  async begin(blob: NewBlob): Promise<void> {
    this.steps.push({ begin: blob });
    await this.room();
  }

  async data(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      this.frame ??= Buffer.from(this.frames.pop() ?? new ArrayBuffer(FRAME_BYTES));
      const part = chunk.subarray(at, at + FRAME_BYTES - this.filled);
      part.copy(this.frame, this.filled);
      this.filled += part.length;
      at += part.length;
      this.addData(part.length);
      if (this.filled === FRAME_BYTES) this.flush();
      await this.room();
    }
  }

  async end(): Promise<void> {
    this.steps.push('end');
    await this.room();
  }

  /** Resolves when everything that was handed in has been packed and written. */
  async drained(): Promise<void> {
    this.flush();
    while (this.inFlight > 0 && !this.failure) await this.signal();
    if (this.failure) throw this.failure;
  }

  async finish(): Promise<PackedSegment> {
    this.flush();
    this.post({ kind: 'finish' });
    while (!this.finished && !this.failure) await this.signal();
    if (this.failure || !this.finished) throw this.failure ?? new Error('a packing thread did not finish');
    return this.finished;
  }

  /** Only after `finish`: the thread may pack another segment. */
  release(): void {
    this.target = null;
    this.worker.unref();
    if (idle.length < MAX_IDLE && !this.failure) idle.push(this);
    else this.stop();
  }

  /** Throws away what is on its way. */
  stop(): void {
    this.fail(new Error('packing was stopped'));
    void this.worker.terminate();
  }

  private addData(bytes: number): void {
    const last = this.steps.at(-1);
    if (typeof last === 'object' && 'data' in last) last.data += bytes;
    else this.steps.push({ data: bytes });
  }

  private flush(): void {
    if (this.steps.length === 0) return;
    const frame = (this.frame?.buffer ?? new ArrayBuffer(0)) as ArrayBuffer;
    const cost = this.filled + this.steps.length * STEP_BYTES;
    this.inFlight += cost;
    this.post({ kind: 'frame', frame, steps: this.steps, cost }, frame);
    this.frame = null;
    this.filled = 0;
    this.steps = [];
  }

  private post(message: ToThread, transferred?: ArrayBuffer): void {
    this.worker.postMessage(message, transferred ? [transferred] : []);
  }

  /** Waits until the thread has caught up. */
  private async room(): Promise<void> {
    if (this.steps.length >= MAX_STEPS) this.flush();
    while (this.inFlight > IN_FLIGHT_BYTES && !this.failure) await this.signal();
    if (this.failure) throw this.failure;
  }

  private signal(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  /** What comes is dealt with in order, each when the one before it is done. */
  private take(message: FromThread): void {
    this.writing = this.writing
      .then(() => (this.failure ? undefined : this.deal(message)))
      .catch((error: unknown) => this.fail(error instanceof Error ? error : new Error(String(error))))
      .then(() => this.wake?.());
  }

  private async deal(message: FromThread): Promise<void> {
    switch (message.kind) {
      case 'ciphertext':
        this.writes.push(this.write(Buffer.from(message.memory, message.offset, message.length)));
        if (this.writes.length > WRITES_AT_ONCE) await this.writes.shift();
        break;
      case 'packed':
        this.inFlight -= message.cost;
        if (message.frame.byteLength > 0) this.frames.push(message.frame);
        for (const blob of message.blobs) this.target?.onBlob(blob);
        break;
      case 'finished':
        await Promise.all(this.writes.splice(0));
        this.finished = message.segment;
        break;
    }
  }

  private async write(ciphertext: Buffer): Promise<void> {
    await this.target?.write(ciphertext).catch((error: unknown) => this.fail(error instanceof Error ? error : new Error(String(error))));
    const memory = ciphertext.buffer as ArrayBuffer;
    if (memory.byteLength === PieceWriter.PIECE_BYTES && !this.failure) this.post({ kind: 'memory', memory }, memory);
  }

  private fail(error: Error): void {
    this.failure ??= error;
    const at = idle.indexOf(this);
    if (at >= 0) idle.splice(at, 1);
    this.wake?.();
  }
}
