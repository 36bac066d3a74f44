import { AbortMultipartUploadCommand, UploadPartCommand, type CompletedPart } from '@aws-sdk/client-s3';
import type { S3Connection } from './s3-client';
import type { Creator } from './s3-create';
import { digestOf, signedBody } from './s3-digest';
import { notS3 } from './s3-errors';
import { firstPartSize, partsAtOnce, partSize } from './s3-parts';
import type { UploadSink } from './upload';
import type { UploadOptions } from './vault';

/** An object on its way: one call when it is small, else parts, which nobody sees until they are put together at the end. */
export class S3Sink implements UploadSink {
  private readonly first: number;
  /** The part being filled. Copied into, since the giver of the bytes uses their memory again. */
  private part: Buffer;
  private filled = 0;
  private readonly spare: Buffer[] = [];
  private multipart: Promise<{ uploadId: string; nonce: string }> | null = null;
  private readonly parts: CompletedPart[] = [];
  private parted = 0;
  private failure: unknown;
  private readonly underWay = new Set<Promise<void>>();
  private readonly cancel = new AbortController();

  constructor(
    private readonly connection: S3Connection,
    private readonly creator: Creator,
    private readonly name: string,
    { expectedBytes }: UploadOptions = {},
  ) {
    this.first = firstPartSize(expectedBytes, connection.smallestPart);
    this.part = Buffer.allocUnsafeSlow(this.first);
  }

  async write(chunks: Buffer[]): Promise<void> {
    for (const chunk of chunks) await this.take(chunk);
  }

  /** What fits into one part needs none: it is written by `keep`. */
  async flush(): Promise<void> {
    if (!this.multipart) return;
    if (this.filled > 0) await this.sendPart();
    await Promise.all(this.underWay);
    this.throwFailure();
  }

  async keep(): Promise<void> {
    if (this.multipart) {
      const parts = this.parts.sort((a, b) => a.PartNumber! - b.PartNumber!);
      await this.creator.complete(this.name, { ...(await this.multipart), parts });
    } else {
      await this.creator.put(this.name, this.part.subarray(0, this.filled));
    }
    this.release();
  }

  async discard(): Promise<void> {
    this.cancel.abort();
    // A part that arrives after the abort would stay on the server, unseen and paid for.
    await Promise.allSettled([...this.underWay]);
    const begun = await this.multipart?.catch(() => null);
    if (begun) {
      const { bucket: Bucket, calls } = this.connection;
      await calls.send(new AbortMultipartUploadCommand({ Bucket, Key: this.connection.key(this.name), UploadId: begun.uploadId })).catch(() => undefined);
    }
    this.release();
  }

  private async take(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      if (this.filled === this.part.length) await this.sendPart();
      const copied = chunk.copy(this.part, this.filled, at);
      this.filled += copied;
      at += copied;
    }
  }

  /** Returns when there is memory for the next part. */
  private async sendPart(): Promise<void> {
    this.multipart ??= this.creator.begin(this.name);
    const { uploadId } = await this.multipart;
    const number = (this.parted += 1);
    const buffer = this.part;
    const sent: Promise<void> = this.upload(uploadId, number, buffer.subarray(0, this.filled))
      .then(
        () => void this.spare.push(buffer),
        (error: unknown) => void (this.failure ??= error),
      )
      .finally(() => this.underWay.delete(sent));
    this.underWay.add(sent);
    this.filled = 0;
    const size = partSize(number + 1, this.first);
    while (this.underWay.size >= partsAtOnce(size)) await Promise.race(this.underWay);
    this.throwFailure();
    const again = this.spare.pop();
    this.part = again?.length === size ? again : Buffer.allocUnsafeSlow(size);
  }

  private async upload(uploadId: string, number: number, body: Buffer): Promise<void> {
    const digest = await digestOf(body);
    const command = new UploadPartCommand({
      Bucket: this.connection.bucket, Key: this.connection.key(this.name), UploadId: uploadId, PartNumber: number, Body: body, ContentLength: body.length, ChecksumSHA256: digest.base64,
    });
    const { ETag } = await this.connection.run(`write ${this.name}`, () => this.connection.calls.send(signedBody(command, digest), { abortSignal: this.cancel.signal }));
    if (ETag === undefined) throw notS3(this.connection.description, `write ${this.name}`, 'a part without ETag');
    this.parts.push({ ETag, PartNumber: number, ...(this.connection.checksums === 'sha256' ? { ChecksumSHA256: digest.base64 } : {}) });
  }

  private throwFailure(): void {
    if (this.failure !== undefined) throw this.failure as Error;
  }

  private release(): void {
    this.part = Buffer.alloc(0);
    this.spare.length = 0;
  }
}
