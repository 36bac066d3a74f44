import { posix } from 'node:path';
import { DrydockError } from '../../domain/errors';
import { giveName, type CommitTarget } from './sftp-commit';
import type { SftpConnection } from './sftp-connection';
import { isStatus, noRoom, sftpError, STATUS } from './sftp-errors';
import { PipelinedWriter } from './sftp-transfer';
import { Upload, type UploadSink } from './upload';

export interface SftpUploadTarget extends CommitTarget {
  /** Directories below this one are made as needed. */
  root: string;
  freeBytes: () => Promise<number | null>;
  /** Called once, when the upload is over either way. */
  onClose: () => void;
}

/** A file written aside on the server and given its name at the end. */
export async function startSftpUpload(connection: SftpConnection, target: SftpUploadTarget): Promise<Upload> {
  const open = (): Promise<Buffer> => connection.raw((sftp, done) => sftp.open(target.temporaryPath, 'wx', 0o600, done));
  const doing = `write ${target.name}`;
  try {
    const handle = await open().catch(async (error: unknown) => {
      if (!isStatus(error, STATUS.noSuchFile)) throw error;
      await connection.makeDirectories(target.root, target.temporaryDirectory, doing);
      return open();
    });
    return new Upload(target.name, new SftpSink(connection, handle, target));
  } catch (error) {
    target.onClose();
    throw isStatus(error, STATUS.failure) ? noRoom(error, target.description, target.name, 0, await target.freeBytes()) : sftpError(error, target.description, doing);
  }
}

class SftpSink implements UploadSink {
  private readonly writer: PipelinedWriter;

  constructor(
    private readonly connection: SftpConnection,
    private readonly handle: Buffer,
    private readonly target: SftpUploadTarget,
  ) {
    this.writer = new PipelinedWriter(connection, handle);
  }

  async write(chunks: Buffer[]): Promise<void> {
    try {
      for (const chunk of chunks) await this.writer.write(chunk);
    } catch (error) {
      throw await this.readable(error);
    }
  }

  async flush(): Promise<void> {
    try {
      await this.writer.flush();
    } catch (error) {
      throw await this.readable(error);
    }
  }

  async keep(): Promise<void> {
    const { name, root, finalPath, onClose } = this.target;
    await this.sync();
    await this.connection.call<void>(`write ${name}`, (sftp, done) => sftp.close(this.handle, (error) => done(error, undefined)));
    await this.connection.makeDirectories(root, posix.dirname(finalPath), `write ${name}`);
    await giveName(this.connection, this.target);
    onClose();
  }

  async discard(): Promise<void> {
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
