/** A command in a running container: `docker exec` over a raw connection. */
import { PassThrough, Writable } from 'node:stream';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Demultiplexer, receive } from './demux';
import type { ContainerCommand } from './engine';
import { dockerError } from './errors';
import { endInput, hijack } from './hijack';
import type { RawTransport } from './transport';

/** An engine may hear of the end of a command after its streams have ended. */
const EXIT_LOOKS = 50;
const LOOK_EVERY_MS = 100;
/** How long a cancelled start is waited for. */
const START_GRACE_MS = 5_000;

/**
 * Starts a prepared exec instance and takes its streams apart. `inspect` asks the engine what became of it. A signal that fires once the engine has been told does not
 * keep the command from running: its streams are given all the same, by which it can be ended; an engine that does not give them in time ends in the signal's reason.
 */
export async function startCommand(transport: RawTransport, id: string, inspect: () => Promise<{ Running: boolean; ExitCode: number | null }>, signal?: AbortSignal): Promise<ContainerCommand> {
  signal?.throwIfAborted();
  const socket = await whileStarting(signal, (late) => hijack(transport, `/exec/${id}/start`, 'exec', { body: { Detach: false, Tty: false }, signal: late }));
  const stdout = new PassThrough({ highWaterMark: 256 * 1024 });
  const stderr = new PassThrough({ highWaterMark: 256 * 1024 });
  // Whoever reads gets the error; one that nobody waits for yet must not end the process.
  for (const stream of [socket, stdout, stderr]) stream.on('error', () => undefined);
  receive(socket, new Demultiplexer(stdout, stderr)).then(
    () => {
      stdout.end();
      stderr.end();
      // The command has closed its side; what it left unread of its input goes nowhere.
      socket.destroy();
    },
    (cause: unknown) => {
      const error = dockerError(cause, 'exec', transport.where);
      stdout.destroy(error);
      stderr.destroy(error);
      socket.destroy();
    },
  );
  return {
    stdin: new SocketInput(socket),
    stdout,
    stderr,
    exitCode: () => exitCode(inspect),
    destroy: () => {
      socket.destroy();
      stdout.destroy();
      stderr.destroy();
    },
  };
}

/** With a signal that fires a grace later than the one given. */
async function whileStarting<T>(signal: AbortSignal | undefined, start: (late: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = (): void => void (timer = setTimeout(() => late.abort(signal?.reason), START_GRACE_MS));
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await start(late.signal);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    clearTimeout(timer);
  }
}

async function exitCode(inspect: () => Promise<{ Running: boolean; ExitCode: number | null }>): Promise<number | null> {
  for (let n = 0; n < EXIT_LOOKS; n++) {
    const { Running: isRunning, ExitCode: code } = await inspect();
    if (!isRunning && code !== null) return code;
    await sleep(LOOK_EVERY_MS);
  }
  return null;
}

/** The way in of a connection: its end closes that half only, and giving it up must not look like an end. */
class SocketInput extends Writable {
  constructor(private readonly socket: Socket) {
    super({ highWaterMark: 256 * 1024 });
    socket.once('close', () => this.destroy(Object.assign(new Error('the command took no more input'), { code: 'EPIPE' })));
    this.on('error', () => undefined);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    // Only then is its memory free again; a socket that has room has not sent it yet.
    this.socket.write(chunk, (error) => done(error));
  }

  override _final(done: (error?: Error | null) => void): void {
    endInput(this.socket, done);
  }
}
