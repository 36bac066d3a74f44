/** Bytes of one open file, with many requests under way at once: one at a time, each would cost a round trip. */
import { Readable } from 'node:stream';
import type { SftpConnection } from './sftp-connection';
import { isStatus, STATUS } from './sftp-errors';

/** What an OpenSSH server takes in one request; ssh2 cuts it up for servers that take less. */
const PIECE_BYTES = 255 * 1024;
const UNDER_WAY = 16;

/** Writes in order of place, several at once. The first failure is kept and thrown by every later call. */
export class PipelinedWriter {
  /** Acknowledged by the server. */
  bytesWritten = 0;
  private position = 0;
  private failure: Error | null = null;
  private readonly underWay = new Set<Promise<void>>();

  constructor(
    private readonly connection: SftpConnection,
    private readonly handle: Buffer,
  ) {}

  /**
   * Returns when the server has taken all of it: where it takes less in a request than a piece, ssh2 cuts the rest from the same memory later.
   * Throws what the server said about this or an earlier piece.
   */
  async write(data: Buffer): Promise<void> {
    const own: Promise<void>[] = [];
    for (let at = 0; at < data.length; at += PIECE_BYTES) {
      while (this.underWay.size >= UNDER_WAY) await Promise.race(this.underWay);
      this.throwFailure();
      own.push(this.send(data.subarray(at, at + PIECE_BYTES)));
    }
    await Promise.all(own);
    this.throwFailure();
  }

  /** Waits until the server has taken everything. */
  async flush(): Promise<void> {
    await Promise.all(this.underWay);
    this.throwFailure();
  }

  private send(piece: Buffer): Promise<void> {
    const position = this.position;
    this.position += piece.length;
    const sent: Promise<void> = this.connection
      .raw<void>((sftp, done) => sftp.write(this.handle, piece, 0, piece.length, position, (error) => done(error, undefined)))
      .then(
        () => void (this.bytesWritten += piece.length),
        (error: Error) => void (this.failure ??= error),
      )
      .finally(() => this.underWay.delete(sent));
    this.underWay.add(sent);
    return sent;
  }

  private throwFailure(): void {
    if (this.failure) throw this.failure;
  }
}

export interface ReadTarget {
  connection: SftpConnection;
  handle: Buffer;
  offset: number;
  /** Where to stop; must not lie behind the end of the file. */
  end: number;
  toError: (error: unknown) => Error;
  /** Called once, when the stream ends, fails or is destroyed. */
  onClose: () => void;
}

/** A stream over part of an open file, which it closes at its end. */
export function pipelinedRead(target: ReadTarget): Readable {
  const { connection, handle, end } = target;
  let next = target.offset;
  const ahead: Promise<Buffer>[] = [];
  const fill = (): void => {
    while (ahead.length < UNDER_WAY && next < end) {
      const piece = readPiece(connection, handle, next, Math.min(PIECE_BYTES, end - next));
      // Awaited in its turn below, or never when the stream is destroyed before.
      piece.catch(() => undefined);
      ahead.push(piece);
      next += PIECE_BYTES;
    }
  };
  return new Readable({
    highWaterMark: PIECE_BYTES,
    read() {
      fill();
      const piece = ahead.shift();
      if (!piece) {
        this.push(null);
        return;
      }
      piece.then(
        (data) => this.push(data),
        (error: unknown) => this.destroy(target.toError(error)),
      );
    },
    destroy(error, done) {
      // Whoever gives the stream up need not wait for what is still under way.
      void Promise.allSettled(ahead)
        .then(() => connection.closeHandle(handle))
        .finally(target.onClose);
      done(error);
    },
  });
}

async function readPiece(connection: SftpConnection, handle: Buffer, offset: number, length: number): Promise<Buffer> {
  const piece = Buffer.allocUnsafe(length);
  for (let got = 0; got < length; ) {
    // A server may answer with less than it was asked for.
    const bytes = await connection.raw<number>((sftp, done) => sftp.read(handle, piece, got, length - got, offset + got, done)).catch((error: unknown) => {
      if (isStatus(error, STATUS.endOfFile)) return 0;
      throw error;
    });
    if (bytes === 0) throw new Error(`the file ended at byte ${offset + got}, where there was more of it a moment ago`);
    got += bytes;
  }
  return piece;
}
