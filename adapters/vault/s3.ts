/** A vault in an S3 bucket. */
import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand, DeleteObjectCommand, HeadObjectCommand, ListMultipartUploadsCommand, ListPartsCommand, type MultipartUpload,
} from '@aws-sdk/client-s3';
import type { S3Config } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { checkVaultName, isVaultName } from './names';
import { ensureVaultFile, tooLarge, tryProbe } from './probe';
import { S3Connection } from './s3-client';
import { Creator } from './s3-create';
import { isAnswer, isNoHead, notS3, statusOf } from './s3-errors';
import { objectsUnder } from './s3-list';
import { ObjectLock } from './s3-lock';
import { ObjectReader } from './s3-read';
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
  private readonly reader: ObjectReader;

  constructor(private readonly connection: S3Connection) {
    this.lock = new ObjectLock(connection);
    this.creator = new Creator(connection, this.lock);
    this.reader = new ObjectReader(connection, async (name) => (await this.stat(name))?.size ?? null);
    this.lockDays = this.lock.days;
  }

  get description(): string {
    return this.connection.description + this.creator.lacks;
  }

  async *list(prefix: string): AsyncIterable<VaultEntry> {
    const start = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    if (start !== '') checkVaultName(start.slice(0, -1));
    let last = '';
    const under = objectsUnder(this.connection, this.connection.key(prefix), `list ${prefix === '' ? 'the vault' : prefix}`);
    for await (const { Key = '', Size = 0, LastModified = new Date(0) } of under) {
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
      if (found.ETag === undefined && found.LastModified === undefined) throw notS3(this.connection.description, `look at ${name}`, found.ContentType);
      if (found.ContentLength !== undefined) return { name, size: found.ContentLength, modified: found.LastModified ?? new Date(0) };
    } catch (error) {
      if (statusOf(error) === 404) return null;
      if (!isNoHead(error)) throw this.connection.toError(error, `look at ${name}`);
    }
    // A gateway that keeps the size to itself, or lets no HEAD through: the listing says it, too.
    for await (const entry of this.list(name)) if (entry.name === name) return entry;
    return null;
  }

  async read(name: string, range: { offset: number; length?: number } = { offset: 0 }): Promise<Readable> {
    checkVaultName(name);
    return (await this.reader.open(name, range)).stream;
  }

  async readAll(name: string, maxBytes: number): Promise<Buffer> {
    checkVaultName(name);
    const { stream, size } = await this.reader.open(name, { offset: 0 });
    if (size !== undefined && size > maxBytes) {
      stream.destroy();
      throw tooLarge(name, size, maxBytes);
    }
    const parts: Buffer[] = [];
    let came = 0;
    for await (const part of stream as AsyncIterable<Buffer>) {
      came += part.length;
      if (came > maxBytes) throw tooLarge(name, came, maxBytes);
      parts.push(part);
    }
    return Buffer.concat(parts);
  }

  async upload(name: string, options?: UploadOptions): Promise<VaultUpload> {
    checkVaultName(name);
    await this.creator.learn();
    return new Upload(name, new S3Sink(this.connection, this.creator, name, options));
  }

  async put(name: string, content: Buffer | string): Promise<void> {
    checkVaultName(name);
    await this.creator.put(name, Buffer.from(content));
  }

  async remove(name: string): Promise<void> {
    checkVaultName(name);
    await this.connection.run(`remove ${name}`, () =>
      this.connection.calls.send(new DeleteObjectCommand(this.object(name))).catch((error: unknown) => {
        // S3 does not say that there was nothing; some servers do.
        if (statusOf(error) !== 404 || isAnswer(error, 'NoSuchBucket')) throw error;
      }));
  }

  async extendRetention(name: string, until: Date): Promise<Date | null> {
    checkVaultName(name);
    if (this.lockDays !== null) await this.creator.learn();
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
    await this.creator.learn(true);
    await tryProbe(this);
    await this.removeStale();
  }

  async close(): Promise<void> {
    this.connection.close();
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
