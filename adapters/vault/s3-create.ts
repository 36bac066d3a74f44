/** Create-if-absent in a bucket: by If-None-Match, or by claims where the server does not know it. */
import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { CompleteMultipartUploadCommand, CreateMultipartUploadCommand, GetObjectCommand, HeadObjectCommand, PutObjectCommand, type CompletedPart, type HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import { DrydockError } from '../../domain/errors';
import { nameTaken } from './probe';
import { CHECKSUM_HEADER } from './s3-checksums';
import { withClaim } from './s3-claims';
import type { S3Connection } from './s3-client';
import { digestOf, signedBody } from './s3-digest';
import { isAnswer, isNoHead, notS3, statusOf } from './s3-errors';
import type { ObjectLock } from './s3-lock';
import { CONFLICT_ATTEMPTS, isTaken, Prober, type Abilities, type Condition } from './s3-probe';

/** In each object's metadata: tells a writer whose answer got lost that the object under the name is its own. */
const NONCE = 'drydock-nonce';

/** A multipart upload that has all its parts. */
export interface Multipart {
  uploadId: string;
  nonce: string;
  parts: CompletedPart[];
}

/** What a server says about an object that it has written. */
interface Written {
  ETag?: string;
}

export class Creator {
  private readonly prober: Prober;
  /** Null while nobody has asked. */
  private abilities: Abilities | null = null;

  constructor(
    private readonly connection: S3Connection,
    private readonly lock: ObjectLock,
  ) {
    this.prober = new Prober(connection, lock);
  }

  /** Asks the server what it takes, once; `again`: anew, as a check does. To be done before anything is written. */
  async learn(again = false): Promise<Abilities> {
    return (this.abilities = await this.prober.learn(again));
  }

  /** In words, what the server was found to lack; empty while nobody has asked, and when that is nothing. */
  get lacks(): string {
    if (!this.abilities) return '';
    const { conditional, checksums, smallestPart } = this.abilities;
    const found = [
      ...(conditional ? [] : ['whose conditional writes cannot be relied on: each name is claimed first']),
      ...(checksums === 'sha256' ? [] : [`which takes no ${CHECKSUM_HEADER}: ${checksums === 'md5' ? 'Content-MD5 is sent instead' : 'signatures alone protect what is sent'}`]),
      ...(smallestPart >= 8 << 20 ? [] : ['which takes no bodies of 8 MiB: parts have 5 MiB']),
    ];
    return found.length === 0 ? '' : ` (${found.join('; ')})`;
  }

  /** Throws Conflict when the name exists. */
  async put(name: string, body: Buffer): Promise<void> {
    // Before the lock's end is worked out: asking takes a while.
    await this.learn();
    const digest = await digestOf(body);
    const nonce = newNonce();
    const retention = await this.lock.forNew(name);
    await this.create(name, nonce, true, (condition, abortSignal) => {
      const command = new PutObjectCommand({ ...this.object(name), ...condition, ...retention, Body: body, ContentLength: body.length, ChecksumSHA256: digest.base64, Metadata: { [NONCE]: nonce } });
      return this.connection.calls.send(signedBody(command, digest), { abortSignal });
    });
  }

  /** Begins a multipart upload. */
  async begin(name: string): Promise<{ uploadId: string; nonce: string }> {
    const nonce = newNonce();
    const retention = await this.lock.forNew(name);
    const { UploadId: uploadId } = await this.connection.run(`write ${name}`, () =>
      this.connection.calls.send(new CreateMultipartUploadCommand({ ...this.object(name), ...retention, ChecksumAlgorithm: 'SHA256', Metadata: { [NONCE]: nonce } })));
    if (uploadId === undefined) throw notS3(this.connection.description, `write ${name}`, 'an upload without id');
    return { uploadId, nonce };
  }

  /** Gives a multipart upload its name. Throws Conflict when the name exists; the upload itself is then left to be aborted. */
  async complete(name: string, { uploadId, nonce, parts }: Multipart): Promise<void> {
    await this.create(name, nonce, false, (condition, abortSignal) =>
      this.connection.calls.send(new CompleteMultipartUploadCommand({ ...this.object(name), ...condition, UploadId: uploadId, MultipartUpload: { Parts: parts } }), { abortSignal }));
  }

  /** `replayable`: the same call can be made again after a race with another writer. */
  private async create(name: string, nonce: string, replayable: boolean, write: (condition: Condition, signal?: AbortSignal) => Promise<Written>): Promise<void> {
    const { conditional } = await this.learn();
    if (conditional) return this.writeOnce(name, nonce, replayable, () => write({ IfNoneMatch: '*' }));
    const { connection } = this;
    const refuseTaken = async (): Promise<void> => {
      if ((await this.nonceAt(name)) !== null) throw nameTaken(name);
    };
    return withClaim(name, { connection, refuseTaken, putClaim: (key) => this.prober.putTemporary(key) }, (signal) => this.writeOnce(name, nonce, replayable, () => write({}, signal)));
  }

  /** Whatever the answer says: what lies under the name afterwards, with our mark, is ours, and has been written. */
  private async writeOnce(name: string, nonce: string, replayable: boolean, write: () => Promise<Written>): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const failure = await write().then(
        ({ ETag }) => (ETag === undefined ? notS3(this.connection.description, `write ${name}`, 'it says that it is done, and nothing else') : null),
        (error: unknown) => this.inWords(error, name),
      );
      if (failure === null) return;
      const isRace = statusOf(failure.cause) === 409;
      const found = await this.nonceAt(name).catch((error: DrydockError) => error);
      if (found === nonce) return;
      if (!isTaken(failure.cause) && !isRace && !isAnswer(failure.cause, 'NoSuchUpload')) throw failure;
      if (found instanceof DrydockError) throw found;
      if (found !== null) throw nameTaken(name);
      if (isAnswer(failure.cause, 'NoSuchUpload')) throw failure;
      if (!isRace || !replayable || attempt === CONFLICT_ATTEMPTS) throw this.lostRace(name, failure.cause);
      await sleep(50 * 2 ** attempt * Math.random());
    }
  }

  private inWords(error: unknown, name: string): DrydockError {
    return this.connection.toError(error, `write ${name}`);
  }

  /** What S3 asks for then is the whole upload again, which only whoever has the bytes can do. */
  private lostRace(name: string, cause: unknown): DrydockError {
    return new DrydockError('VaultUnavailable', `another writer was at ${name} in ${this.connection.description} at the same moment, and nothing was written`, { remedy: 'write it again', cause });
  }

  /** The writer's mark of the object under a name: empty when it has none; null when there is no object. */
  private async nonceAt(name: string): Promise<string | null> {
    try {
      const found = await this.lookAt(name);
      if (found.ETag === undefined && found.LastModified === undefined) throw notS3(this.connection.description, `look at ${name}`, found.ContentType);
      return found.Metadata?.[NONCE] ?? '';
    } catch (error) {
      if (statusOf(error) === 404) return null;
      throw this.connection.toError(error, `look at ${name}`);
    }
  }

  private async lookAt(name: string): Promise<HeadObjectCommandOutput> {
    const { calls } = this.connection;
    try {
      return await calls.send(new HeadObjectCommand(this.object(name)));
    } catch (error) {
      if (!isNoHead(error)) throw error;
      // A gateway that lets no HEAD through: the beginning of the object comes with the same headers.
      const { Body, ...found } = await calls.send(new GetObjectCommand(this.object(name)));
      (Body as Readable).destroy();
      return found;
    }
  }

  private object(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.connection.bucket, Key: this.connection.key(name) };
  }
}

function newNonce(): string {
  return randomBytes(16).toString('hex');
}
