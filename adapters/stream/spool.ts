import { randomUUID } from 'node:crypto';
import { mkdir, open, unlink, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { Duplex } from 'node:stream';

export interface SpoolOptions {
  /** Where the file is made when memory does not suffice; it has no name once it is open, so a killed process leaves nothing. */
  directory: string;
  /** Kept in memory before the file is used. Default 8 MiB. */
  memoryBytes?: number;
}

const MEMORY_BYTES = 8 << 20;
const READ_BYTES = 1 << 20;

/**
 * Takes bytes at once however slow its reader is, and hands them on unchanged: what waits stands in memory, beyond that in a file. For
 * senders that must not be held back. Where the disk takes no more, the sender waits after all.
 *
 * The file holds the bytes as they are: put it behind the encryption.
 */
export class Spool extends Duplex {
  private memory: Buffer[] = [];
  private inMemory = 0;
  private file: FileHandle | undefined;
  /** The part of the file that is still to be read. */
  private readAt = 0;
  private writtenTo = 0;
  private diskRefused = false;
  private ended = false;
  /** The reader waits for bytes. */
  private hungry = false;
  private moving = false;
  /** Called when the reader has taken something. */
  private onRoom: (() => void) | undefined;

  constructor(private readonly options: SpoolOptions) {
    super({ readableHighWaterMark: READ_BYTES, writableHighWaterMark: READ_BYTES });
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.accept(chunk).then(() => done(), done);
  }

  override _final(done: () => void): void {
    this.ended = true;
    this.serve();
    done();
  }

  override _read(): void {
    this.hungry = true;
    this.serve();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.memory = [];
    this.onRoom?.();
    const closing = this.file?.close() ?? Promise.resolve();
    closing.then(() => done(error), () => done(error));
  }

  private async accept(chunk: Buffer): Promise<void> {
    while (!this.destroyed) {
      const room = this.inMemory === 0 || this.inMemory + chunk.length <= (this.options.memoryBytes ?? MEMORY_BYTES);
      // Order: while the file holds something, all that comes later goes there, too.
      if (this.writtenTo === this.readAt && room) {
        this.memory.push(chunk);
        this.inMemory += chunk.length;
        break;
      }
      if (this.diskRefused) await new Promise<void>((resolve) => (this.onRoom = resolve));
      else if (await this.append(chunk)) break;
    }
    this.serve();
  }

  /** False where the disk does not take it. */
  private async append(chunk: Buffer): Promise<boolean> {
    try {
      this.file ??= await this.makeFile();
      // Read to its end: from the beginning again, so that it never grows beyond what waits at one time.
      if (this.readAt === this.writtenTo) this.readAt = this.writtenTo = 0;
      let written = 0;
      // At a place of our own: what a write that failed half-way has left there is written over.
      while (written < chunk.length) written += (await this.file.write(chunk, written, chunk.length - written, this.writtenTo + written)).bytesWritten;
      this.writtenTo += chunk.length;
      return true;
    } catch {
      this.diskRefused = true;
      return false;
    }
  }

  private async makeFile(): Promise<FileHandle> {
    await mkdir(this.options.directory, { recursive: true, mode: 0o700 });
    const name = path.join(this.options.directory, `spool-${randomUUID()}`);
    const file = await open(name, 'wx+', 0o600);
    await unlink(name);
    return file;
  }

  /** Gives the waiting reader what there is, memory first: it is older. */
  private serve(): void {
    if (!this.hungry || this.moving || this.destroyed) return;
    const chunk = this.memory.shift();
    if (chunk !== undefined) {
      this.inMemory -= chunk.length;
      return this.give(chunk);
    }
    if (this.writtenTo > this.readAt) return this.readFile();
    if (this.ended) {
      this.hungry = false;
      this.push(null);
    }
  }

  private readFile(): void {
    this.moving = true;
    this.fromFile().then(
      (chunk) => {
        this.moving = false;
        this.give(chunk);
      },
      (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  }

  private async fromFile(): Promise<Buffer> {
    const { buffer, bytesRead } = await this.file!.read(Buffer.allocUnsafe(Math.min(READ_BYTES, this.writtenTo - this.readAt)), 0, null, this.readAt);
    if (bytesRead === 0) throw new Error('the spool file became shorter');
    this.readAt += bytesRead;
    return buffer.subarray(0, bytesRead);
  }

  private give(chunk: Buffer): void {
    this.hungry = false;
    this.push(chunk);
    const resume = this.onRoom;
    this.onRoom = undefined;
    resume?.();
  }
}
