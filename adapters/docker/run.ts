import { setTimeout as sleep } from 'node:timers/promises';
import { PassThrough, type Readable } from 'node:stream';
import type { Socket } from 'node:net';
import { DrydockError } from '../../domain/errors';
import { roomIn } from '../stream/room';
import { GuardedStream, StallWatch, Tail } from '../stream/stall';
import { attach, waitRemoved } from './attach';
import { Demultiplexer, receive } from './demux';
import type { RunOptions, RunResult } from './engine';
import { dockerError } from './errors';
import { endInput } from './hijack';
import type { RawTransport } from './transport';

/** A created container: what a run needs from the engine. */
export interface Created {
  id: string;
  start(): Promise<void>;
  /** Kills and removes it; quiet when it is gone already. */
  discard(): Promise<void>;
}

const MAX_COLLECTED = 1024 * 1024;
const STDERR_TAIL = 256 * 1024;
const DEFAULT_STALL_MS = 10 * 60_000;
/** A proxy that holds back the head of `wait` must not hold back the run. */
const REGISTER_MS = 3_000;

/**
 * Attaches, waits, starts, then moves the bytes. Whatever fails, the container is ended first and its standard input closed after: a
 * container that only sees its input end takes a torn archive for a whole one.
 */
export async function runAttached(transport: RawTransport, container: Created, options: RunOptions): Promise<RunResult> {
  let socket: Socket | undefined;
  const removal = waitRemoved(transport, container.id);
  try {
    options.signal?.throwIfAborted();
    socket = await attach(transport, container.id, options.stdin !== undefined, options.signal);
    await Promise.race([removal.registered, sleep(REGISTER_MS, undefined, { ref: false })]);
    await container.start();
    options.onStarted?.(container.id);
    return await move(transport.where, socket, removal.exitCode, options);
  } catch (error) {
    options.stdin?.destroy();
    await container.discard();
    socket?.destroy();
    removal.cancel();
    throw error;
  }
}

async function move(where: string, socket: Socket, exitCode: Promise<number>, options: RunOptions): Promise<RunResult> {
  const stderr = new Tail(STDERR_TAIL);
  const lines = new LineSplitter(options.onStderrLine);
  const stdout = new GuardedStream(() => watch.touch(), () => exitCode);
  const stderrSink = new PassThrough().on('data', (chunk: Buffer) => {
    watch.touch();
    stderr.push(chunk);
    lines.push(chunk);
  });
  stdout.on('error', () => undefined);
  const interrupted = new Interruption(options.signal);
  const stallMs = options.stallMs ?? DEFAULT_STALL_MS;
  const input = { isAwaited: false };
  // The container has got all that we have given it so far, and more is to come: the wait is for our own source.
  const wantsInput = (): boolean => input.isAwaited && socket.writableLength === 0;
  const watch = new StallWatch(stallMs, () => interrupted.raise(stalled(options, stallMs)), () => stdout.unread || wantsInput());
  try {
    const consumed = options.onStdout === undefined ? collect(stdout) : options.onStdout(stdout).then(() => Buffer.alloc(0));
    const demultiplexed = receive(socket, new Demultiplexer(stdout, stderrSink)).then(
      () => {
        stdout.end();
        // The container may have died with much of its input unread: nobody takes it any more.
        socket.destroy();
      },
      (error: unknown) => Promise.reject(dockerError(error, 'attach', where)),
    );
    // The container has ended and said all: what still takes time is our own reader.
    Promise.all([exitCode, demultiplexed]).then(() => watch.stop(), () => undefined);
    const fed = options.stdin === undefined ? Promise.resolve() : feed(options.stdin, socket, input, () => watch.touch());
    const work = Promise.all([exitCode, consumed, demultiplexed, fed]);
    const [code, collected] = await Promise.race([work, interrupted.raised]);
    lines.end();
    return { exitCode: code, stdout: collected, stderr: stderr.toString() };
  } catch (error) {
    stdout.destroy(error instanceof Error ? error : undefined);
    throw error;
  } finally {
    watch.stop();
    interrupted.stop();
  }
}

/** Writes the source into the container and ends its input; stops without a word when the container takes no more. `input` tells when the source has nothing for us. */
async function feed(source: Readable, socket: Socket, input: { isAwaited: boolean }, touch: () => void): Promise<void> {
  let open = true;
  socket.once('close', () => {
    open = false;
    source.destroy();
  });
  try {
    input.isAwaited = true;
    for await (const chunk of source as AsyncIterable<Buffer>) {
      if (!open) return;
      input.isAwaited = false;
      touch();
      if (!socket.write(chunk)) await roomIn(socket);
      input.isAwaited = true;
    }
  } catch (error) {
    if (!open) return;
    throw error;
  } finally {
    input.isAwaited = false;
  }
  if (open) endInput(socket);
}

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (size < MAX_COLLECTED) chunks.push(chunk.subarray(0, MAX_COLLECTED - size));
    size += chunk.length;
  }
  return Buffer.concat(chunks);
}

function stalled(options: RunOptions, ms: number): DrydockError {
  const command = [options.image, options.command[0] ?? ''].join(' ').trim();
  return new DrydockError('Stalled', `nothing moved for ${Math.round(ms / 1000)} s while ${command} ran`, { remedy: 'check the node, the network, and any load balancer in between' });
}

/** Turns a fired signal or a stall into one rejection. */
class Interruption {
  readonly raised: Promise<never>;
  private reject: (reason: unknown) => void = () => undefined;
  private readonly onAbort = () => this.raise(this.signal?.reason);

  constructor(private readonly signal: AbortSignal | undefined) {
    this.raised = new Promise<never>((_resolve, reject) => (this.reject = reject));
    this.raised.catch(() => undefined);
    if (signal?.aborted === true) this.onAbort();
    else signal?.addEventListener('abort', this.onAbort, { once: true });
  }

  raise(reason: unknown): void {
    this.reject(reason);
  }

  stop(): void {
    this.signal?.removeEventListener('abort', this.onAbort);
  }
}

/** Hands on whole lines, cut at 64 KiB. */
class LineSplitter {
  private rest = '';

  constructor(private readonly onLine: ((line: string) => void) | undefined) {}

  push(chunk: Buffer): void {
    if (this.onLine === undefined) return;
    const lines = (this.rest + chunk.toString('utf8')).split(/\r?\n/);
    this.rest = lines.pop()!.slice(-65536);
    for (const line of lines) this.onLine(line);
  }

  end(): void {
    if (this.rest !== '') this.onLine?.(this.rest);
    this.rest = '';
  }
}
