/** A vault in an S3 bucket. */
import { Readable, pipeline } from 'node:stream';
import {
  AbortMultipartUploadCommand, DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, ListPartsCommand, type MultipartUpload,
} from '@aws-sdk/client-s3';
import type { S3Config } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { GuardedStream, StallWatch } from '../stream/stall';
import { checkVaultName, isVaultName } from './names';
import { ensureVaultFile, tooLarge, tryProbe } from './probe';
import { S3Connection, STALL_MS } from './s3-client';
import { Creator } from './s3-create';
import { statusOf } from './s3-errors';
import { ObjectLock } from './s3-lock';
import { S3Sink } from './s3-upload';
import { removeExpiredVersions } from './s3-versions';
import { Upload } from './upload';
import type { UploadOptions, Vault, VaultEntry, VaultUpload } from './vault';

/** An upload of ours to which nothing was added for so long has no writer any more. */
const STALE_MS = 24 * 60 * 60 * 1000;
/** Only large files are uploaded in parts; in a shared bucket other programs' uploads are none of our business. */
const IN_PARTS = /\.gpg$/;

/** Opens the vault. Nothing is connected yet. The bucket must exist. */
export function openS3Vault(settings: S3Config): Vault {
  return new S3Vault(new S3Connection(settings));
}

class S3Vault implements Vault {
  readonly lockDays: number | null;
  private readonly lock: ObjectLock;
  private readonly creator: Creator;

  constructor(private readonly connection: S3Connection) {
    this.lock = new ObjectLock(connection);
    this.creator = new Creator(connection, this.lock);
    this.lockDays = this.lock.days;
  }

  get description(): string {
    return this.connection.description + (this.creator.conditional === false ? ' (whose conditional writes cannot be relied on: each name is claimed first)' : '');
  }

  async *list(prefix: string): AsyncIterable<VaultEntry> {
    const start = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    if (start !== '') checkVaultName(start.slice(0, -1));
    let last = '';
    for await (const { Key = '', Size = 0, LastModified = new Date(0) } of this.objects(prefix)) {
      const name = Key.slice(this.connection.prefix.length);
      if (!isVaultName(name)) continue;
      if (name <= last) throw new DrydockError('Refused', `${this.description} does not list names in order`, { remedy: 'use a general purpose bucket of S3, or a server that lists as S3 does' });
      last = name;
      yield { name, size: Size, modified: LastModified };
    }
  }

  async stat(name: string): Promise<VaultEntry | null> {
    checkVaultName(name);
    try {
      const found = await this.connection.calls.send(new HeadObjectCommand(this.object(name)));
      return { name, size: found.ContentLength ?? 0, modified: found.LastModified ?? new Date(0) };
    } catch (error) {
      if (statusOf(error) === 404) return null;
      throw this.connection.toError(error, `look at ${name}`);
    }
  }

  async read(name: string, range: { offset: number; length?: number } = { offset: 0 }): Promise<Readable> {
    checkVaultName(name);
    return (await this.open(name, range)).stream;
  }

  async readAll(name: string, maxBytes: number): Promise<Buffer> {
    checkVaultName(name);
    const { stream, size } = await this.open(name, { offset: 0 });
    if (size > maxBytes) {
      stream.destroy();
      throw tooLarge(name, size, maxBytes);
    }
    const parts: Buffer[] = [];
    for await (const part of stream as AsyncIterable<Buffer>) parts.push(part);
    return Buffer.concat(parts);
  }

  async upload(name: string, options?: UploadOptions): Promise<VaultUpload> {
    checkVaultName(name);
    return new Upload(name, new S3Sink(this.connection, this.creator, name, options));
  }

  async put(name: string, content: Buffer | string): Promise<void> {
    checkVaultName(name);
    await this.creator.put(name, Buffer.from(content));
  }

  async remove(name: string): Promise<void> {
    checkVaultName(name);
    await this.connection.run(`remove ${name}`, () => this.connection.calls.send(new DeleteObjectCommand(this.object(name))));
  }

  async extendRetention(name: string, until: Date): Promise<Date | null> {
    checkVaultName(name);
    return this.lock.extend(name, until);
  }

  async removeFolder(): Promise<void> {
    // A bucket has names only.
  }

  async removeExpired(signal?: AbortSignal): Promise<number> {
    return (await this.lock.isOn()) ? removeExpiredVersions(this.connection, this.lock, signal) : 0;
  }

  async freeBytes(): Promise<null> {
    return null;
  }

  clock(): Promise<Date> {
    return this.connection.clock();
  }

  async check(): Promise<void> {
    // A listing first: what it is refused for is told by name.
    await this.connection.clock();
    await this.lock.check();
    await ensureVaultFile(this);
    await this.creator.isConditional(true);
    await tryProbe(this);
    await this.removeStale();
  }

  async close(): Promise<void> {
    this.connection.close();
  }

  private async *objects(prefix: string): AsyncGenerator<{ Key?: string; Size?: number; LastModified?: Date }> {
    for (let ContinuationToken: string | undefined, isMore = true; isMore; ) {
      const page = await this.connection.run(`list ${prefix === '' ? 'the vault' : prefix}`, () =>
        this.connection.calls.send(new ListObjectsV2Command({ Bucket: this.connection.bucket, Prefix: this.connection.key(prefix), ContinuationToken })));
      yield* page.Contents ?? [];
      ({ NextContinuationToken: ContinuationToken, IsTruncated: isMore = false } = page);
    }
  }

  /** `size`: of the whole object, or of the range where one was asked for. */
  private async open(name: string, { offset, length }: { offset: number; length?: number }): Promise<{ stream: Readable; size: number }> {
    const doing = `read ${name}`;
    if (length === 0) return this.empty(name);
    const Range = offset === 0 && length === undefined ? undefined : `bytes=${offset}-${length === undefined ? '' : offset + length - 1}`;
    const head = new AbortController();
    let isStalled = false;
    const timer = setTimeout(() => head.abort((isStalled = true)), STALL_MS);
    try {
      const { Body, ContentLength = 0 } = await this.connection.reads.send(new GetObjectCommand({ ...this.object(name), Range }), { abortSignal: head.signal });
      return { stream: this.guard(Body as Readable, ContentLength, doing), size: ContentLength };
    } catch (error) {
      // A range may begin at the end.
      if (statusOf(error) === 416) return await this.empty(name);
      throw isStalled ? this.stalled(doing) : this.connection.toError(error, doing);
    } finally {
      clearTimeout(timer);
    }
  }

  private async empty(name: string): Promise<{ stream: Readable; size: number }> {
    if (!(await this.stat(name))) throw new DrydockError('NotFound', `cannot read ${name} in ${this.description}: it is not there`, { remedy: 'look with `drydock list` what the vault holds' });
    return { stream: Readable.from([]), size: 0 };
  }

  /** A stream that ends well only when all bytes came, is an error when nothing comes, and closes the connection when it is destroyed. */
  private guard(body: Readable, bytes: number, doing: string): Readable {
    let came = 0;
    const stream = new GuardedStream(
      () => watch.touch(),
      async () => {
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

  private stalled(doing: string): DrydockError {
    return new DrydockError('Stalled', `cannot ${doing} in ${this.description}: nothing came for ${STALL_MS / 1000} s`, { remedy: 'check the network between the worker and the server' });
  }

  private cut(doing: string, came: number, bytes: number): DrydockError {
    return new DrydockError('VaultUnavailable', `cannot ${doing} in ${this.description}: the connection ended after ${came} of ${bytes} bytes`, { remedy: 'check the network between the worker and the server' });
  }

  /** Uploads that their writers have left behind. Who may not list them has to let the bucket's own rules clear them away. */
  private async removeStale(): Promise<void> {
    const { bucket: Bucket, calls, prefix: Prefix } = this.connection;
    const now = (await this.connection.now()).getTime();
    for (let KeyMarker: string | undefined, UploadIdMarker: string | undefined, isMore = true; isMore; ) {
      const page = await calls.send(new ListMultipartUploadsCommand({ Bucket, Prefix, KeyMarker, UploadIdMarker })).catch(() => null);
      for (const { Key, UploadId, Initiated } of page?.Uploads ?? []) {
        if (Key === undefined || !IN_PARTS.test(Key) || !isVaultName(Key.slice(Prefix.length))) continue;
        if (now - (await this.lastTouched({ Key, UploadId, Initiated })) > STALE_MS) await calls.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })).catch(() => undefined);
      }
      isMore = page?.IsTruncated ?? false;
      ({ NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page ?? {});
    }
  }

  private async lastTouched({ Key, UploadId, Initiated }: MultipartUpload): Promise<number> {
    let last = Initiated?.getTime() ?? Number.POSITIVE_INFINITY;
    for (let PartNumberMarker: string | undefined, isMore = true; isMore; ) {
      const page = await this.connection.calls.send(new ListPartsCommand({ Bucket: this.connection.bucket, Key, UploadId, PartNumberMarker })).catch(() => null);
      // Not known: then it is left alone.
      if (!page) return Number.POSITIVE_INFINITY;
      for (const { LastModified } of page.Parts ?? []) last = Math.max(last, LastModified?.getTime() ?? 0);
      ({ NextPartNumberMarker: PartNumberMarker, IsTruncated: isMore = false } = page);
    }
    return last;
  }

  private object(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.connection.bucket, Key: this.connection.key(name) };
  }
}
