/** What a bucket's server takes and what it refuses: tried out on a probe, once a process and anew by each check. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CreateMultipartUploadCommand, DeleteObjectCommand, PutObjectCommand, UploadPartCommand, type CompletedPart } from '@aws-sdk/client-s3';
import { CHECKSUM_WAYS, type ChecksumWay } from './s3-checksums';
import { removeTemporary } from './s3-claims';
import type { S3Connection } from './s3-client';
import { digestOf, signedBody } from './s3-digest';
import { isAnswer, notS3, statusOf } from './s3-errors';
import type { ObjectLock } from './s3-lock';
import { LEAST_PART, SMALLEST_PART } from './s3-parts';

export const CONFLICT_ATTEMPTS = 6;

export type Condition = { IfNoneMatch?: '*' };

export interface Abilities {
  /** Whether it refuses to write a name that exists, in both ways that lead to a name. */
  conditional: boolean;
  checksums: ChecksumWay;
  smallestPart: number;
}

/** What servers were found to know, by place. */
const known = new Map<string, Promise<Abilities>>();

export class Prober {
  constructor(
    private readonly connection: S3Connection,
    private readonly lock: ObjectLock,
  ) {}

  /** What is known of the server, set on the connection. `again`: asks even if the answer is known, and tries out how large a body may be. */
  async learn(again = false): Promise<Abilities> {
    const place = this.connection.description;
    let answer = again ? undefined : known.get(place);
    if (!answer) {
      answer = this.probe(again);
      known.set(place, answer);
      answer.catch(() => known.delete(place));
    }
    const { checksums, smallestPart } = await answer;
    Object.assign(this.connection, { checksums, smallestPart });
    return answer;
  }

  /** Writes an empty object; returns its version, where the bucket has versions. */
  async putTemporary(key: string, condition: Condition = {}): Promise<string | undefined> {
    try {
      return await this.putAgain(key, condition);
    } catch (error) {
      // The probe wants to see these as they are.
      if (isTaken(error) || statusOf(error) === 501) throw error;
      throw this.connection.toError(error, 'write a probe');
    }
  }

  /** Again when another writer was at the same name. */
  private async putAgain(key: string, condition: Condition): Promise<string | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.putRaw(key, condition);
      } catch (error) {
        if (statusOf(error) !== 409 || attempt === CONFLICT_ATTEMPTS) throw error;
        await sleep(50 * 2 ** attempt * Math.random());
      }
    }
  }

  private async putRaw(key: string, condition: Condition): Promise<string | undefined> {
    const digest = await digestOf(Buffer.alloc(0));
    const retention = await this.lock.forTemporary();
    const command = new PutObjectCommand({ Bucket: this.connection.bucket, Key: key, ...condition, ...retention, Body: Buffer.alloc(0), ContentLength: 0, ChecksumSHA256: digest.base64 });
    return (await this.connection.calls.send(signedBody(command, digest))).VersionId;
  }

  private async probe(withSize: boolean): Promise<Abilities> {
    const { connection } = this;
    const key = connection.key(`.drydock-tmp/probe-${randomBytes(8).toString('hex')}`);
    const versions = [await this.putFirst(key)];
    try {
      const smallestPart = withSize ? await this.findPartSize(key) : connection.smallestPart;
      // A name that was removed must be free again, too, which in buckets with versions not all servers know.
      const conditional =
        (await this.refuses((condition) => this.putTemporary(key, condition))) && (await this.refusesParts(key)) && !(await this.removedIsTaken(key, versions));
      return { conditional, checksums: connection.checksums, smallestPart };
    } finally {
      for (const version of versions) await removeTemporary(connection, key, version);
    }
  }

  /** Finds out on the way which checksums the server takes. */
  private async putFirst(key: string): Promise<string | undefined> {
    let refusal: unknown;
    for (const way of CHECKSUM_WAYS) {
      this.connection.checksums = way;
      try {
        return await this.putAgain(key, {});
      } catch (error) {
        refusal ??= error;
        // A gateway that takes the header away spoils the signature.
        if (statusOf(error) !== 400 && statusOf(error) !== 501 && !isAnswer(error, 'SignatureDoesNotMatch')) break;
      }
    }
    this.connection.checksums = CHECKSUM_WAYS[0];
    throw this.connection.toError(refusal, 'write a probe');
  }

  /** Throws Refused when not even the smallest parts of S3 pass. */
  private async findPartSize(key: string): Promise<number> {
    try {
      await this.withUpload(key, (uploadId) => this.sendPart(key, uploadId, SMALLEST_PART));
      return SMALLEST_PART;
    } catch (error) {
      if (statusOf(error) !== 413 && !isAnswer(error, 'EntityTooLarge')) throw this.connection.toError(error, 'try a part of 8 MiB');
    }
    await this.connection.run('try a part of 5 MiB', () => this.withUpload(key, (uploadId) => this.sendPart(key, uploadId, LEAST_PART)));
    return LEAST_PART;
  }

  private refusesParts(key: string): Promise<boolean> {
    return this.connection.run('try a multipart upload', () =>
      this.withUpload(key, async (UploadId) => {
        const part = await this.sendPart(key, UploadId, 5);
        return this.refuses((condition) =>
          this.connection.calls.send(new CompleteMultipartUploadCommand({ Bucket: this.connection.bucket, Key: key, UploadId, ...condition, MultipartUpload: { Parts: [part] } })));
      }));
  }

  private async withUpload<T>(Key: string, work: (uploadId: string) => Promise<T>): Promise<T> {
    const { bucket: Bucket, calls } = this.connection;
    const { UploadId } = await calls.send(new CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm: 'SHA256', ...(await this.lock.forTemporary()) }));
    if (UploadId === undefined) throw notS3(this.connection.description, 'try a multipart upload', 'an upload without id');
    try {
      return await work(UploadId);
    } finally {
      await calls.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })).catch(() => undefined);
    }
  }

  private async sendPart(key: string, uploadId: string, bytes: number): Promise<CompletedPart> {
    const body = Buffer.alloc(bytes);
    const digest = await digestOf(body);
    const command = new UploadPartCommand({ Bucket: this.connection.bucket, Key: key, UploadId: uploadId, PartNumber: 1, Body: body, ContentLength: bytes, ChecksumSHA256: digest.base64 });
    const { ETag } = await this.connection.calls.send(signedBody(command, digest));
    return { ETag, PartNumber: 1, ...(this.connection.checksums === 'sha256' ? { ChecksumSHA256: digest.base64 } : {}) };
  }

  private async removedIsTaken(key: string, versions: (string | undefined)[]): Promise<boolean> {
    const { connection } = this;
    await connection.run('remove a probe', () => connection.calls.send(new DeleteObjectCommand({ Bucket: connection.bucket, Key: key })));
    return this.refuses(async (condition) => versions.push(await this.putTemporary(key, condition)));
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
}

/** Some servers have answered 304 where S3 says 412. */
export function isTaken(error: unknown): boolean {
  return statusOf(error) === 412 || statusOf(error) === 304 || isAnswer(error, 'PreconditionFailed');
}
