/** Create-if-absent in a bucket: by If-None-Match, or by claims where the server does not know it. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CreateMultipartUploadCommand, DeleteObjectCommand, HeadObjectCommand, PutObjectCommand, UploadPartCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { DrydockError } from '../../domain/errors';
import { nameTaken } from './probe';
import { removeTemporary, withClaim } from './s3-claims';
import type { S3Connection } from './s3-client';
import { digestOf, signedBody } from './s3-digest';
import { isAnswer, statusOf } from './s3-errors';
import type { ObjectLock, Retention } from './s3-lock';

/** In each object's metadata: tells a writer whose answer got lost that the object under the name is its own. */
const NONCE = 'drydock-nonce';
const CONFLICT_ATTEMPTS = 6;

/** What servers were found to know, by place; asked once a process, and anew by each check. */
const known = new Map<string, Promise<boolean>>();

/** A multipart upload that has all its parts. */
export interface Multipart {
  uploadId: string;
  nonce: string;
  parts: CompletedPart[];
}

type Condition = { IfNoneMatch?: '*' };

export class Creator {
  constructor(
    private readonly connection: S3Connection,
    private readonly lock: ObjectLock,
  ) {}

  /** Null while nobody has asked. */
  conditional: boolean | null = null;

  /** Whether the server refuses to write a name that exists. `again`: asks even if the answer is known. */
  async isConditional(again = false): Promise<boolean> {
    const place = this.connection.description;
    let answer = again ? undefined : known.get(place);
    if (!answer) {
      answer = this.probe();
      known.set(place, answer);
      answer.catch(() => known.delete(place));
    }
    return (this.conditional = await answer);
  }

  /** Throws Conflict when the name exists. */
  async put(name: string, body: Buffer): Promise<void> {
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
    if (uploadId === undefined) throw new DrydockError('VaultUnavailable', `${this.connection.description} gave an upload no id`, { remedy: 'look at the health and the logs of the server' });
    return { uploadId, nonce };
  }

  /** Gives a multipart upload its name. Throws Conflict when the name exists; the upload itself is then left to be aborted. */
  async complete(name: string, { uploadId, nonce, parts }: Multipart): Promise<void> {
    await this.create(name, nonce, false, (condition, abortSignal) =>
      this.connection.calls.send(new CompleteMultipartUploadCommand({ ...this.object(name), ...condition, UploadId: uploadId, MultipartUpload: { Parts: parts } }), { abortSignal }));
  }

  /** `replayable`: the same call can be made again after a race with another writer. */
  private async create(name: string, nonce: string, replayable: boolean, write: (condition: Condition, signal?: AbortSignal) => Promise<unknown>): Promise<void> {
    if (await this.isConditional()) return this.writeOnce(name, nonce, replayable, () => write({ IfNoneMatch: '*' }));
    const { connection } = this;
    const refuseTaken = async (): Promise<void> => {
      if ((await this.nonceAt(name)) !== null) throw nameTaken(name);
    };
    return withClaim(name, { connection, refuseTaken, putClaim: (key) => this.putTemporary(key) }, (signal) => this.writeOnce(name, nonce, replayable, () => write({}, signal)));
  }

  private async writeOnce(name: string, nonce: string, replayable: boolean, write: () => Promise<unknown>): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await write();
        return;
      } catch (error) {
        const isRace = statusOf(error) === 409;
        // An upload is gone as well when it was completed by a try whose answer got lost.
        if (!isTaken(error) && !isRace && !isAnswer(error, 'NoSuchUpload')) throw this.connection.toError(error, `write ${name}`);
        const found = await this.nonceAt(name);
        if (found === nonce) return;
        if (found !== null) throw nameTaken(name);
        if (!isRace || !replayable || attempt === CONFLICT_ATTEMPTS) throw this.lostRace(name, error);
        await sleep(50 * 2 ** attempt * Math.random());
      }
    }
  }

  /** What S3 asks for then is the whole upload again, which only whoever has the bytes can do. */
  private lostRace(name: string, cause: unknown): DrydockError {
    return new DrydockError('VaultUnavailable', `another writer was at ${name} in ${this.connection.description} at the same moment, and nothing was written`, { remedy: 'write it again', cause });
  }

  /** The writer's mark of the object under a name: empty when it has none; null when there is no object. */
  private async nonceAt(name: string): Promise<string | null> {
    try {
      const found = await this.connection.calls.send(new HeadObjectCommand(this.object(name)));
      return found.Metadata?.[NONCE] ?? '';
    } catch (error) {
      if (statusOf(error) === 404) return null;
      throw this.connection.toError(error, `look at ${name}`);
    }
  }

  /** Two ways lead to a name, and the server must know the condition on both; and a name that was removed must be free again, which in buckets with versions not all of them know. */
  private async probe(): Promise<boolean> {
    const { connection } = this;
    const key = connection.key(`.drydock-tmp/probe-${randomBytes(8).toString('hex')}`);
    const versions = [await this.putTemporary(key)];
    try {
      if (!(await this.refuses((condition) => this.putTemporary(key, condition))) || !(await this.refusesParts(key))) return false;
      await connection.run('remove a probe', () => connection.calls.send(new DeleteObjectCommand({ Bucket: connection.bucket, Key: key })));
      return !(await this.refuses(async (condition) => versions.push(await this.putTemporary(key, condition))));
    } finally {
      for (const version of versions) await removeTemporary(connection, key, version);
    }
  }

  private async refusesParts(key: string): Promise<boolean> {
    const { bucket: Bucket, calls } = this.connection;
    return this.connection.run('try a multipart upload', async () => {
      const { UploadId } = await calls.send(new CreateMultipartUploadCommand({ Bucket, Key: key, ChecksumAlgorithm: 'SHA256', ...(await this.lock.forTemporary()) }));
      const body = Buffer.from('probe');
      const digest = await digestOf(body);
      const { ETag } = await calls.send(signedBody(new UploadPartCommand({ Bucket, Key: key, UploadId, PartNumber: 1, Body: body, ChecksumSHA256: digest.base64 }), digest));
      const isRefused = await this.refuses((condition) =>
        calls.send(new CompleteMultipartUploadCommand({ Bucket, Key: key, UploadId, ...condition, MultipartUpload: { Parts: [{ ETag, PartNumber: 1, ChecksumSHA256: digest.base64 }] } })));
      await calls.send(new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId })).catch(() => undefined);
      return isRefused;
    });
  }

  private async refuses(write: (condition: Condition) => Promise<unknown>): Promise<boolean> {
    try {
      await write({ IfNoneMatch: '*' });
      return false;
    } catch (error) {
      if (isTaken(error)) return true;
      // A server that does not take the header at all.
      if (statusOf(error) === 501 || isAnswer(error, 'NotImplemented')) return false;
      throw error;
    }
  }

  /** Returns the version, where the bucket has versions. */
  private async putTemporary(key: string, condition: Condition = {}): Promise<string | undefined> {
    const digest = await digestOf(Buffer.alloc(0));
    const retention: Retention = await this.lock.forTemporary();
    const command = signedBody(new PutObjectCommand({ Bucket: this.connection.bucket, Key: key, ...condition, ...retention, Body: Buffer.alloc(0), ContentLength: 0, ChecksumSHA256: digest.base64 }), digest);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return (await this.connection.calls.send(command)).VersionId;
      } catch (error) {
        // The probe wants to see these as they are.
        if (isTaken(error) || statusOf(error) === 501) throw error;
        if (statusOf(error) !== 409 || attempt === CONFLICT_ATTEMPTS) throw this.connection.toError(error, 'write a probe');
        await sleep(50 * 2 ** attempt * Math.random());
      }
    }
  }

  private object(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.connection.bucket, Key: this.connection.key(name) };
  }
}

function newNonce(): string {
  return randomBytes(16).toString('hex');
}

/** Some servers have answered 304 where S3 says 412. */
function isTaken(error: unknown): boolean {
  return statusOf(error) === 412 || statusOf(error) === 304 || isAnswer(error, 'PreconditionFailed');
}
