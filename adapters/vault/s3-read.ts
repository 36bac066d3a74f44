/** Bytes of objects, also from servers and gateways that do not say how many, or send more than was asked for. */
import { Readable, pipeline } from 'node:stream';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { DrydockError } from '../../domain/errors';
import { GuardedStream, StallWatch } from '../stream/stall';
import { STALL_MS, type S3Connection } from './s3-client';
import { notS3, statusOf } from './s3-errors';

export interface ByteRange {
  offset: number;
  length?: number;
}

/** `size`: of the whole object, or of the range where one was asked for; undefined where the server does not say. */
export interface OpenedObject {
  stream: Readable;
  size: number | undefined;
}

/** `sizeOf`: how large the whole object is; null when it is not there. */
export class ObjectReader {
  constructor(
    private readonly connection: S3Connection,
    private readonly sizeOf: (name: string) => Promise<number | null>,
  ) {}

  /** Throws NotFound. */
  async open(name: string, range: ByteRange): Promise<OpenedObject> {
    const { offset, length } = range;
    const doing = `read ${name}`;
    if (length === 0) return this.empty(name);
    const isPart = offset !== 0 || length !== undefined;
    const Range = isPart ? `bytes=${offset}-${length === undefined ? '' : offset + length - 1}` : undefined;
    const head = new AbortController();
    let isStalled = false;
    const timer = setTimeout(() => head.abort((isStalled = true)), STALL_MS);
    try {
      const object = { Bucket: this.connection.bucket, Key: this.connection.key(name) };
      const answer = await this.connection.reads.send(new GetObjectCommand({ ...object, Range }), { abortSignal: head.signal });
      const body = answer.Body as Readable;
      if (answer.ETag === undefined && answer.LastModified === undefined) {
        body.destroy();
        throw notS3(this.connection.description, doing, answer.ContentType);
      }
      const isWhole = isPart && answer.ContentRange === undefined && answer.$metadata.httpStatusCode === 200;
      if (isWhole) return { stream: cutOut(this.guard(body, name, { offset: 0 }, answer.ContentLength), range), size: undefined };
      const size = answer.ContentLength ?? sizeIn(answer.ContentRange);
      return { stream: this.guard(body, name, range, size), size };
    } catch (error) {
      // A range may begin at the end.
      if (statusOf(error) === 416) return await this.empty(name);
      throw isStalled ? this.stalled(doing) : this.connection.toError(error, doing);
    } finally {
      clearTimeout(timer);
    }
  }

  private async empty(name: string): Promise<OpenedObject> {
    if ((await this.sizeOf(name)) === null) throw this.gone(name);
    return { stream: Readable.from([]), size: 0 };
  }

  /** A stream that ends well only when all bytes came, is an error when nothing comes, and closes the connection when it is destroyed. */
  private guard(body: Readable, name: string, range: ByteRange, size: number | undefined): Readable {
    const doing = `read ${name}`;
    let came = 0;
    const stream = new GuardedStream(
      () => watch.touch(),
      async () => {
        const bytes = size ?? (await this.expected(name, range));
        if (came !== bytes) throw this.cut(doing, came, bytes);
      },
    );
    const watch = new StallWatch(STALL_MS, () => stream.destroy(this.stalled(doing)), () => stream.unread);
    body.on('data', (chunk: Buffer) => (came += chunk.length));
    body.once('error', (error) => stream.destroy(this.connection.toError(error, doing)));
    pipeline(body, stream, () => undefined);
    stream.once('close', () => watch.stop());
    return stream;
  }

  /** What a range of the object holds, by its size: an answer without a length can be cut off unseen. */
  private async expected(name: string, { offset, length }: ByteRange): Promise<number> {
    const size = await this.sizeOf(name);
    if (size === null) throw this.gone(name);
    return Math.max(0, Math.min(length ?? Number.POSITIVE_INFINITY, size - offset));
  }

  private gone(name: string): DrydockError {
    return new DrydockError('NotFound', `cannot read ${name} in ${this.connection.description}: it is not there`, { remedy: 'look with `drydock list` what the vault holds' });
  }

  private stalled(doing: string): DrydockError {
    return new DrydockError('Stalled', `cannot ${doing} in ${this.connection.description}: nothing came for ${STALL_MS / 1000} s`, { remedy: 'check the network between the worker and the server' });
  }

  private cut(doing: string, came: number, bytes: number): DrydockError {
    return new DrydockError('VaultUnavailable', `cannot ${doing} in ${this.connection.description}: the connection ended after ${came} of ${bytes} bytes`, { remedy: 'check the network between the worker and the server' });
  }
}

/** Length of the part in `bytes 5-9/20`. */
function sizeIn(contentRange: string | undefined): number | undefined {
  const [, from, to] = /^bytes (\d+)-(\d+)\//.exec(contentRange ?? '') ?? [];
  return from === undefined ? undefined : Number(to) - Number(from) + 1;
}

/** The part that was asked for, out of a whole object that a server sent instead. */
function cutOut(whole: Readable, { offset, length = Number.POSITIVE_INFINITY }: ByteRange): Readable {
  return Readable.from(piecesOf(whole, offset, offset + length), { objectMode: false });
}

async function* piecesOf(whole: Readable, from: number, to: number): AsyncGenerator<Buffer> {
  let at = 0;
  for await (const chunk of whole as AsyncIterable<Buffer>) {
    const piece = chunk.subarray(Math.max(0, from - at), Math.max(0, Math.min(chunk.length, to - at)));
    at += chunk.length;
    if (piece.length > 0) yield piece;
    if (at >= to) return;
  }
}
