/** SSH connections that live in threads, as the main thread sees them. */
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import type { HostConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { errorOf, startThread } from '../stream/thread';
import type { Channel } from './process';
import { connectionLost, LinkChannel } from './ssh-channel';
import type { SshOptions } from './ssh-connect';
import { FRAME_BYTES, type FromSshThread, type ToSshThread } from './ssh-messages';

/** More threads than cores would only take memory: further connections share them. */
const MOST_THREADS = Math.min(4, availableParallelism());
const MAX_FREE_FRAMES = 16;
/** A little more than the thread gives a connection to close. */
const CLOSING_MS = 3_000;

/** One SSH connection. Throws what `openConnection` throws, and the signal's reason. */
export function openLink(name: string, config: HostConfig, options: SshOptions): Promise<SshLink> {
  return SshThread.leastBusy().connect(name, config, options);
}

export class SshLink {
  private readonly listeners = new Set<(why: DrydockError) => void>();
  private reason: DrydockError | undefined;
  private readonly gone: Promise<void>;
  private settle!: () => void;

  constructor(readonly name: string, private readonly number: number, private readonly thread: SshThread) {
    this.gone = new Promise((resolve) => (this.settle = resolve));
  }

  /** Why the connection ended, once it did. */
  lost(): DrydockError | undefined {
    return this.reason;
  }

  /** Calls back when the connection is closed; returns how to stop listening. */
  onClose(listener: (why: DrydockError) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Opens a channel for a command; `use` is called before anything that comes over it is dealt with. Throws HostUnreachable, Busy. */
  exec<T>(command: string, use: (channel: Channel) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.reason !== undefined) return reject(this.reason);
      const leave = this.onClose(reject);
      this.thread.openChannel(this, this.number, command, {
        opened: (channel) => {
          leave();
          resolve(use(channel));
        },
        refused: (reason, isLost) => {
          leave();
          if (isLost) this.fail(reason);
          reject(this.reason ?? new DrydockError('Busy', `${this.name} opens no further SSH session (${reason})`, { remedy: 'raise MaxSessions of sshd, or try again' }));
        },
      });
    });
  }

  async close(): Promise<void> {
    this.reason ??= new DrydockError('HostUnreachable', `the SSH connection to ${this.name} is closed`);
    this.thread.send({ kind: 'close', connection: this.number });
    await Promise.race([this.gone, sleep(CLOSING_MS, undefined, { ref: false })]);
    // A server that says nothing any more is left to itself.
    this.thread.forget(this.number);
    this.end();
  }

  /** The thread's words: something is wrong with the connection. */
  fail(reason: string): void {
    this.reason ??= connectionLost(this.name, new Error(reason));
  }

  /** The thread's words: the connection is closed. */
  end(): void {
    this.reason ??= connectionLost(this.name);
    this.settle();
    const listeners = [...this.listeners];
    this.listeners.clear();
    for (const listener of listeners) listener(this.reason);
  }
}

interface Opening {
  opened(channel: Channel): void;
  refused(reason: string, isLost: boolean): void;
}

interface Connecting {
  connected(): void;
  failed(error: Error): void;
}

const threads: SshThread[] = [];
let lastNumber = 0;

/** A thread with its connections and their channels. */
class SshThread {
  private readonly connecting = new Map<number, Connecting>();
  private readonly links = new Map<number, SshLink>();
  private readonly opening = new Map<number, { link: SshLink; answer: Opening }>();
  private readonly channels = new Map<number, LinkChannel>();
  /** For input. */
  private readonly freeFrames: ArrayBuffer[] = [];

  private constructor(private readonly worker: Worker) {
    worker.on('message', (message: FromSshThread) => this.take(message));
    worker.on('error', (error: Error) => this.fail(error));
    worker.on('exit', () => this.fail(new Error('a thread for SSH ended')));
  }

  static leastBusy(): SshThread {
    const least = threads.reduce<SshThread | undefined>((best, each) => (best === undefined || each.busy < best.busy ? each : best), undefined);
    if (least !== undefined && (least.busy === 0 || threads.length >= MOST_THREADS)) return least;
    const thread = new SshThread(startThread(__dirname, 'ssh-thread'));
    threads.push(thread);
    return thread;
  }

  connect(name: string, config: HostConfig, { signal, place: _place, call: _call, ...options }: SshOptions): Promise<SshLink> {
    const number = (lastNumber += 1);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const onAbort = (): void => {
        this.forget(number);
        this.send({ kind: 'abort', connection: number });
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.connecting.set(number, {
        connected: () => {
          signal?.removeEventListener('abort', onAbort);
          const link = new SshLink(name, number, this);
          this.links.set(number, link);
          resolve(link);
        },
        failed: (error) => {
          signal?.removeEventListener('abort', onAbort);
          reject(error instanceof DrydockError ? error : connectionLost(name, error));
        },
      });
      this.worker.ref();
      this.send({ kind: 'connect', connection: number, name, config, options });
    });
  }

  openChannel(link: SshLink, connection: number, command: string, answer: Opening): void {
    const channel = (lastNumber += 1);
    this.opening.set(channel, { link, answer });
    this.send({ kind: 'exec', connection, channel, command });
  }

  send(message: ToSshThread, transferred?: ArrayBuffer): void {
    this.worker.postMessage(message, transferred ? [transferred] : []);
  }

  takeFrame(): ArrayBuffer {
    return this.freeFrames.pop() ?? new ArrayBuffer(FRAME_BYTES);
  }

  private get busy(): number {
    return this.links.size + this.connecting.size;
  }

  private take(message: FromSshThread): void {
    switch (message.kind) {
      case 'connected': {
        const waiting = this.connecting.get(message.connection);
        this.connecting.delete(message.connection);
        // Given up in the moment in which it was made.
        if (waiting) waiting.connected();
        else this.send({ kind: 'close', connection: message.connection });
        break;
      }
      case 'refused': {
        const waiting = this.connecting.get(message.connection);
        this.forget(message.connection);
        waiting?.failed(errorOf(message.failure));
        break;
      }
      case 'lost':
        this.links.get(message.connection)?.fail(message.reason);
        break;
      case 'closed': {
        const link = this.links.get(message.connection);
        this.forget(message.connection);
        link?.end();
        break;
      }
      case 'opened': {
        const waiting = this.opening.get(message.channel);
        this.opening.delete(message.channel);
        const channel = new LinkChannel(message.channel, this, waiting!.link);
        this.channels.set(message.channel, channel);
        waiting!.answer.opened(channel);
        break;
      }
      case 'notOpened': {
        const waiting = this.opening.get(message.channel);
        this.opening.delete(message.channel);
        waiting?.answer.refused(message.reason, message.isLost);
        break;
      }
      case 'output':
        this.channels.get(message.channel)?.take(message.stream, Buffer.from(message.memory, 0, message.bytes));
        break;
      case 'outputEnd':
        this.channels.get(message.channel)?.take(message.stream, null);
        break;
      case 'wrote':
        if (this.freeFrames.length < MAX_FREE_FRAMES) this.freeFrames.push(message.memory);
        this.channels.get(message.channel)?.wrote(message.bytes);
        break;
      case 'exit':
        this.channels.get(message.channel)?.exited({ code: message.code, ...(message.signal === undefined ? {} : { signal: message.signal }) });
        break;
      case 'channelClosed': {
        const channel = this.channels.get(message.channel);
        this.channels.delete(message.channel);
        channel?.end();
        break;
      }
    }
  }

  /** An idle thread keeps nobody from ending. */
  forget(connection: number): void {
    this.connecting.delete(connection);
    this.links.delete(connection);
    if (this.busy === 0) this.worker.unref();
  }

  private fail(error: Error): void {
    const at = threads.indexOf(this);
    if (at >= 0) threads.splice(at, 1);
    for (const waiting of this.connecting.values()) waiting.failed(error);
    this.connecting.clear();
    for (const link of this.links.values()) {
      link.fail(error.message);
      link.end();
    }
    this.links.clear();
    for (const channel of this.channels.values()) channel.end();
    this.channels.clear();
  }
}
