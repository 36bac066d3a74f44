/** One command's streams, as the main thread sees them: its channel is in an SSH thread. */
import { Readable, Writable } from 'node:stream';
import { DrydockError } from '../../domain/errors';
import type { Channel, Exit } from './process';
import { FRAME_BYTES, type ChannelStream, type ToSshThread } from './ssh-messages';

/** So much input may be on its way; then the writer waits. */
const INPUT_BYTES = 4 * FRAME_BYTES;
/** Pieces that lie ready for the reader. */
const PIECES_AHEAD = 2;

/** The thread that the channel is in. */
interface ChannelThread {
  send(message: ToSshThread, transferred?: ArrayBuffer): void;
  /** Memory for input; it comes back when the connection has taken it. */
  takeFrame(): ArrayBuffer;
}

/** The connection that the channel belongs to. */
interface ChannelLink {
  readonly name: string;
  lost(): DrydockError | undefined;
  onClose(listener: (why: DrydockError) => void): () => void;
}

export function connectionLost(hostName: string, cause?: unknown): DrydockError {
  return new DrydockError('HostUnreachable', `the SSH connection to ${hostName} was lost`, { remedy: 'check that the host is up and can be reached', cause });
}

/** The streams of one command whose channel is in the thread. */
export class LinkChannel implements Channel {
  readonly input: Writable;
  readonly output: Incoming;
  readonly errors: Incoming;
  readonly status: Promise<Exit>;
  readonly closed: Promise<void>;
  readonly exited: (exit: Exit) => void;
  readonly end: () => void;
  onInput?: () => void;
  private isClosed = false;
  /** What was written and has not been handed over yet. */
  private frame: Buffer | null = null;
  private filled = 0;
  /** Bytes that the connection has not taken yet. */
  private unsent = 0;
  /** Who waits for room. */
  private onRoom: ((error?: Error) => void) | null = null;
  private isDue = false;

  constructor(private readonly number: number, private readonly thread: ChannelThread, link: ChannelLink) {
    this.output = new Incoming((bytes) => this.say({ kind: 'taken', channel: number, stream: 'output', bytes }));
    this.errors = new Incoming((bytes) => this.say({ kind: 'taken', channel: number, stream: 'errors', bytes }));
    this.input = new Writable({
      highWaterMark: FRAME_BYTES,
      write: (chunk: Buffer, _encoding, done) => this.write(chunk, done),
      final: (done) => {
        this.flush();
        this.say({ kind: 'endInput', channel: number });
        done();
      },
    }).on('error', () => undefined);
    let exited!: (exit: Exit) => void;
    let fail!: (error: Error) => void;
    this.status = new Promise((resolve, reject) => ([exited, fail] = [resolve, reject]));
    this.status.catch(() => undefined);
    this.exited = exited;
    let close!: () => void;
    this.closed = new Promise((resolve) => (close = resolve));
    const lost = (): void => fail(link.lost() ?? connectionLost(link.name));
    const leave = link.onClose(lost);
    this.end = () => {
      this.isClosed = true;
      leave();
      lost();
      this.output.close();
      this.errors.close();
      this.makeRoom(closed());
      close();
    };
  }

  take(stream: ChannelStream, piece: Buffer | null): void {
    this[stream].arrive(piece);
  }

  giveBack(piece: Buffer): void {
    const memory = piece.buffer as ArrayBuffer;
    if (memory.byteLength === FRAME_BYTES) this.thread.send({ kind: 'memory', memory }, memory);
  }

  release(): void {
    this.output.unpipe();
    this.output.resume();
    this.say({ kind: 'release', channel: this.number });
  }

  /** So much input that the connection has not taken yet. */
  inputPending(): number {
    return this.unsent;
  }

  /** The connection has taken a frame of input. */
  wrote(bytes: number): void {
    this.unsent -= bytes;
    this.onInput?.();
    if (this.unsent <= INPUT_BYTES) this.makeRoom();
  }

  /** The bytes are copied; what comes in the same turn goes together. */
  private write(chunk: Buffer, done: (error?: Error) => void): void {
    if (this.isClosed) return done(closed());
    for (let at = 0; at < chunk.length; ) {
      this.frame ??= Buffer.from(this.thread.takeFrame());
      const copied = chunk.copy(this.frame, this.filled, at);
      this.filled += copied;
      at += copied;
      if (this.filled === FRAME_BYTES) this.flush();
    }
    this.unsent += chunk.length;
    if (!this.isDue) {
      this.isDue = true;
      setImmediate(() => {
        this.isDue = false;
        this.flush();
      });
    }
    if (this.unsent > INPUT_BYTES) this.onRoom = done;
    else done();
  }

  private makeRoom(error?: Error): void {
    const done = this.onRoom;
    this.onRoom = null;
    done?.(error);
  }

  private flush(): void {
    if (this.filled === 0 || this.isClosed) return;
    const memory = this.frame!.buffer as ArrayBuffer;
    this.thread.send({ kind: 'input', channel: this.number, memory, bytes: this.filled }, memory);
    this.frame = null;
    this.filled = 0;
  }

  private say(message: ToSshThread): void {
    if (!this.isClosed) this.thread.send(message);
  }
}

function closed(): Error {
  return Object.assign(new Error('the channel is closed'), { code: 'EPIPE' });
}

/** What comes from the far side, a piece at a time; more is let go on only when the reader has taken what is here. */
class Incoming extends Readable {
  private readonly waiting: (Buffer | null)[] = [];
  private wanted = false;
  private isEnded = false;

  constructor(private readonly onTaken: (bytes: number) => void) {
    super({ objectMode: true, highWaterMark: PIECES_AHEAD });
  }

  arrive(piece: Buffer | null): void {
    if (this.isEnded) return;
    this.isEnded = piece === null;
    this.waiting.push(piece);
    if (this.wanted) this._read();
  }

  /** Nothing more comes. A channel that broke does not end its output: what ended it is told by its status. */
  close(): void {
    if (!this.isEnded) this.destroy();
  }

  override _read(): void {
    this.wanted = true;
    while (this.wanted && this.waiting.length > 0) {
      const piece = this.waiting.shift()!;
      this.wanted = this.push(piece);
      if (piece !== null) this.onTaken(piece.buffer.byteLength);
    }
  }
}
