import { posix } from 'node:path';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { DrydockError } from '../../domain/errors';
import { uploadOver } from './probe';
import { giveName, type CommitTarget } from './sftp-commit';
import type { SftpConnection } from './sftp-connection';
import { isStatus, noRoom, sftpError, STATUS } from './sftp-errors';
import { PipelinedWriter } from './sftp-transfer';
import type { VaultUpload } from './vault';

export interface SftpUploadTarget extends CommitTarget {
  /** Directories below this one are made as needed. */
  root: string;
  freeBytes: () => Promise<number | null>;
  /** Called once, when the upload is over either way. */
  onClose: () => void;
}

/** A file written aside on the server and given its name at the end. */
export class SftpUpload implements VaultUpload {
  readonly stream: Writable;
  private state: 'open' | 'committed' | 'aborted' = 'open';
  private readonly writer: PipelinedWriter;

  private constructor(
    private readonly connection: SftpConnection,
    private readonly handle: Buffer,
    private readonly target: SftpUploadTarget,
  ) {
    this.writer = new PipelinedWriter(connection, handle);
    const pass = (work: Promise<void>, done: (error?: Error | null) => void): void => {
      work.then(() => done(), (error: unknown) => void this.readable(error).then(done, done));
    };
    this.stream = new Writable({
      highWaterMark: 1 << 20,
      write: (chunk: Buffer, _encoding, done) => pass(this.writer.write(chunk), done),
      final: (done) => pass(this.writer.flush(), done),
    });
    // Whoever pipes into the stream sees its error; without a listener an aborted upload would end the process.
    this.stream.on('error', () => undefined);
  }

  static async start(connection: SftpConnection, target: SftpUploadTarget): Promise<SftpUpload> {
    const open = (): Promise<Buffer> => connection.raw((sftp, done) => sftp.open(target.temporaryPath, 'wx', 0o600, done));
    const doing = `write ${target.name}`;
    try {
      const handle = await open().catch(async (error: unknown) => {
        if (!isStatus(error, STATUS.noSuchFile)) throw error;
        await connection.makeDirectories(target.root, target.temporaryDirectory, doing);
        return open();
      });
      return new SftpUpload(connection, handle, target);
    } catch (error) {
      target.onClose();
      throw isStatus(error, STATUS.failure) ? noRoom(error, target.description, target.name, 0, await target.freeBytes()) : sftpError(error, target.description, doing);
    }
  }

  async commit(): Promise<void> {
    if (this.state !== 'open') throw uploadOver(this.target.name, this.state);
    try {
      if (!this.stream.writableEnded) this.stream.end();
      await finished(this.stream);
      await this.sync();
      await this.connection.call<void>(`write ${this.target.name}`, (sftp, done) => sftp.close(this.handle, (error) => done(error, undefined)));
      await this.connection.makeDirectories(this.target.root, posix.dirname(this.target.finalPath), `write ${this.target.name}`);
      await giveName(this.connection, this.target);
      this.state = 'committed';
      this.target.onClose();
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  async abort(): Promise<void> {
    if (this.state !== 'open') return;
    this.state = 'aborted';
    this.stream.destroy();
    await this.connection.closeHandle(this.handle);
    await this.connection.raw<void>((sftp, done) => sftp.unlink(this.target.temporaryPath, (error) => done(error, undefined))).catch(() => undefined);
    this.target.onClose();
  }

  /** To the disk, where the server can. */
  private async sync(): Promise<void> {
    try {
      await this.connection.raw<void>((sftp, done) => sftp.ext_openssh_fsync(this.handle, (error) => done(error, undefined)));
    } catch (error) {
      if (error instanceof DrydockError) throw error;
      // A server that does not know or does not allow it; one that failed at it has no room.
      if (isStatus(error, STATUS.failure)) throw await this.readable(error);
    }
  }

  private async readable(error: unknown): Promise<DrydockError> {
    const { name, description } = this.target;
    if (!isStatus(error, STATUS.failure)) return sftpError(error, description, `write ${name}`);
    return noRoom(error, description, name, this.writer.bytesWritten, await this.target.freeBytes());
  }
}
