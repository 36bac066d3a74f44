/**
 * SSH connections away from the main thread. Started by `ssh-link.ts`. To ssh2 each piece that it reads is memory of its own; here it ends in a
 * small heap, where collecting it costs little, and the main thread gets it in few large pieces whose memory goes round.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Readable } from 'node:stream';
import { parentPort } from 'node:worker_threads';
import type { Client, ClientChannel } from 'ssh2';
import { DrydockError } from '../../domain/errors';
import { failureOf } from '../stream/thread';
import { openConnection } from './ssh-connect';
import { FRAME_BYTES, type ChannelStream, type FromSshThread, type ToSshThread } from './ssh-messages';
import { connectSocket } from './ssh-socket';

/** So much memory of a stream may be on its way to its reader; then the channel waits, and the far side with it. */
const IN_FLIGHT_BYTES = 8 * FRAME_BYTES;
/** Below this a piece is copied, so that the output of a short command does not take a frame along. */
const SMALL_BYTES = FRAME_BYTES / 8;
const MAX_FREE_FRAMES = 16;
const CLOSING_MS = 2_000;

const freeFrames: ArrayBuffer[] = [];

/** One stream of a channel, on its way to the owner. */
class Outgoing {
  private frame: Buffer | null = null;
  private filled = 0;
  private inFlight = 0;
  private isDue = false;
  private isDropped = false;

  constructor(private readonly readable: Readable, private readonly channel: number, private readonly stream: ChannelStream) {
    readable.on('data', (chunk: Buffer) => this.add(chunk));
    readable.once('end', () => {
      this.flush();
      this.free();
      send({ kind: 'outputEnd', channel, stream });
    });
  }

  taken(bytes: number): void {
    this.inFlight -= bytes;
    if (this.inFlight <= IN_FLIGHT_BYTES / 2 && this.readable.isPaused()) this.readable.resume();
  }

  /** Nobody reads any more: the stream runs dry. */
  drop(): void {
    this.isDropped = true;
    this.free();
    this.readable.resume();
  }

  private free(): void {
    if (this.frame && freeFrames.length < MAX_FREE_FRAMES) freeFrames.push(this.frame.buffer as ArrayBuffer);
    this.frame = null;
    this.filled = 0;
  }

  private add(chunk: Buffer): void {
    if (this.isDropped) return;
    for (let at = 0; at < chunk.length; ) {
      this.frame ??= Buffer.from(freeFrames.pop() ?? new ArrayBuffer(FRAME_BYTES));
      const copied = chunk.copy(this.frame, this.filled, at);
      this.filled += copied;
      at += copied;
      if (this.filled === FRAME_BYTES) this.flush();
    }
    if (this.isDue) return;
    // What comes in the same turn goes together.
    this.isDue = true;
    setImmediate(() => {
      this.isDue = false;
      this.flush();
    });
  }

  private flush(): void {
    if (this.filled === 0 || this.isDropped) return;
    const frame = this.frame!.buffer as ArrayBuffer;
    const bytes = this.filled;
    const isSmall = bytes <= SMALL_BYTES;
    const memory = isSmall ? frame.slice(0, bytes) : frame;
    if (!isSmall) this.frame = null;
    this.filled = 0;
    this.inFlight += memory.byteLength;
    if (this.inFlight > IN_FLIGHT_BYTES) this.readable.pause();
    send({ kind: 'output', channel: this.channel, stream: this.stream, memory, bytes }, memory);
  }
}

/** One command's channel. */
class OpenChannel {
  private readonly streams: Record<ChannelStream, Outgoing>;

  /** To be made in the turn in which the channel opens: its exit status may stand in the very next packet. */
  constructor(private readonly number: number, private readonly channel: ClientChannel) {
    channel.on('error', () => undefined);
    channel.once('exit', (code: number | null, signal?: string) => send({ kind: 'exit', channel: number, code, ...(signal === undefined ? {} : { signal }) }));
    // Standard error may still be on its way when the channel has closed.
    const ends = [channel, channel.stderr].map((stream) => new Promise((resolve) => stream.once('end', resolve).once('close', resolve)));
    void Promise.all([new Promise((resolve) => channel.once('close', resolve)), ...ends]).then(() => {
      channels.delete(number);
      send({ kind: 'channelClosed', channel: number });
    });
    send({ kind: 'opened', channel: number });
    this.streams = { output: new Outgoing(channel, number, 'output'), errors: new Outgoing(channel.stderr, number, 'errors') };
  }

  input(memory: ArrayBuffer, bytes: number): void {
    // Where the channel is closing, its `close` tells; the memory then goes with it.
    this.channel.write(Buffer.from(memory, 0, bytes), (error) => {
      if (!error) send({ kind: 'wrote', channel: this.number, memory, bytes }, memory);
    });
  }

  endInput(): void {
    this.channel.end();
  }

  taken(stream: ChannelStream, bytes: number): void {
    this.streams[stream].taken(bytes);
  }

  release(): void {
    this.streams.output.drop();
    this.streams.errors.drop();
    this.channel.close();
  }
}

/** A connection that is being made, or is there. */
class Connection {
  private clients: Client[] = [];
  private readonly stop = new AbortController();
  private closed: Promise<void> = Promise.resolve();

  constructor(private readonly number: number) {}

  async open({ name, config, options }: Extract<ToSshThread, { kind: 'connect' }>): Promise<void> {
    try {
      this.clients = await openConnection(name, config, { ...options, signal: this.stop.signal, call: connectSocket });
    } catch (error) {
      connections.delete(this.number);
      // Given up: nobody waits for the answer.
      if (!this.stop.signal.aborted) send({ kind: 'refused', connection: this.number, failure: failureOf(asUnreachable(name, error)) });
      return;
    }
    for (const client of this.clients) client.on('error', (error) => send({ kind: 'lost', connection: this.number, reason: error.message }));
    this.closed = new Promise((resolve) => {
      this.client.prependOnceListener('close', () => {
        connections.delete(this.number);
        send({ kind: 'closed', connection: this.number });
        resolve();
      });
    });
    send({ kind: 'connected', connection: this.number });
  }

  abort(): void {
    this.stop.abort();
  }

  exec(channel: number, command: string): void {
    const refused = (error: unknown, isLost: boolean): void => send({ kind: 'notOpened', channel, isLost, reason: error instanceof Error ? error.message : String(error) });
    try {
      this.client.exec(command, (error, opened) => {
        if (error === undefined) channels.set(channel, new OpenChannel(channel, opened));
        else refused(error, false);
      });
    } catch (error) {
      refused(error, true);
    }
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.end();
    await Promise.race([this.closed, sleep(CLOSING_MS)]);
    for (const client of this.clients) client.destroy();
  }

  private get client(): Client {
    return this.clients[0]!;
  }
}

/** What nobody has foreseen ends this connection, and not the thread with all others. */
function asUnreachable(name: string, error: unknown): DrydockError {
  if (error instanceof DrydockError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new DrydockError('HostUnreachable', `${name} cannot be reached over SSH (${why})`, { remedy: 'check the settings of the host, and that it can be reached', cause: error });
}

const connections = new Map<number, Connection>();
const channels = new Map<number, OpenChannel>();

/** What is said of a connection or channel that has gone already has come too late, and is of no use to anybody. */
function take(message: ToSshThread): void {
  switch (message.kind) {
    case 'connect': {
      const connection = new Connection(message.connection);
      connections.set(message.connection, connection);
      void connection.open(message);
      break;
    }
    case 'abort':
      connections.get(message.connection)?.abort();
      break;
    case 'close':
      void connections.get(message.connection)?.close();
      break;
    case 'exec': {
      const connection = connections.get(message.connection);
      if (connection) connection.exec(message.channel, message.command);
      else send({ kind: 'notOpened', channel: message.channel, isLost: true, reason: 'it was closed' });
      break;
    }
    case 'input':
      channels.get(message.channel)?.input(message.memory, message.bytes);
      break;
    case 'endInput':
      channels.get(message.channel)?.endInput();
      break;
    case 'taken':
      channels.get(message.channel)?.taken(message.stream, message.bytes);
      break;
    case 'memory':
      if (freeFrames.length < MAX_FREE_FRAMES) freeFrames.push(message.memory);
      break;
    case 'release':
      channels.get(message.channel)?.release();
      break;
  }
}

function send(message: FromSshThread, transferred?: ArrayBuffer): void {
  parentPort?.postMessage(message, transferred ? [transferred] : []);
}

parentPort?.on('message', take);
