import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { roomIn } from '../stream/room';

const HEADER = 8;
const STDERR = 2;

/**
 * Takes Docker's multiplexed stream apart (8 bytes of header: stream, three zeroes, length; then the bytes), whatever the pieces in which
 * it arrives. Nothing is buffered beyond the sinks: a slow one holds the sender back.
 */
export class Demultiplexer extends Writable {
  private header = Buffer.alloc(0);
  private left = 0;
  private sink: Writable;

  constructor(private readonly stdout: Writable, private readonly stderr: Writable) {
    super({ highWaterMark: 256 * 1024 });
    this.sink = stdout;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.take(chunk).then(
      () => done(),
      (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    done(this.left > 0 || this.header.length > 0 ? new Error('the output of the container broke off inside a frame') : null);
  }

  private async take(input: Buffer): Promise<void> {
    let rest = input;
    while (rest.length > 0) {
      if (this.left === 0) {
        const wanted = HEADER - this.header.length;
        this.header = Buffer.concat([this.header, rest.subarray(0, wanted)]);
        rest = rest.subarray(wanted);
        if (this.header.length < HEADER) return;
        if (this.header[0]! > STDERR) throw new Error('the output of the container is not a multiplexed stream');
        this.sink = this.header[0] === STDERR ? this.stderr : this.stdout;
        this.left = this.header.readUInt32BE(4);
        this.header = Buffer.alloc(0);
        continue;
      }
      const part = rest.subarray(0, this.left);
      this.left -= part.length;
      rest = rest.subarray(part.length);
      if (!this.sink.destroyed && !this.sink.write(part)) await roomIn(this.sink);
    }
  }
}

/** Reads a raw connection to its end. Throws what breaks it, an end inside a frame included. */
export async function receive(socket: Socket, sink: Demultiplexer): Promise<void> {
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    if (!sink.write(chunk)) await roomIn(sink);
    if (sink.errored !== null) throw sink.errored;
  }
  await new Promise<void>((resolve, reject) => sink.once('error', reject).end(resolve));
}
