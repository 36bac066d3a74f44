import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DrydockError } from '../../domain/errors';
import { giveName, type NameTarget, type Naming } from './directory-commit';
import { answered, syncDirectory, syncing, type VaultFiles } from './directory-files';
import { hasCode } from './fs-errors';
import { Upload, type UploadSink } from './upload';

/** `temporaryPath`: where the bytes go first; must not exist. */
export interface UploadTarget extends NameTarget {
  files: VaultFiles;
  /** Called when the file has its name. */
  onNamed: (way: Naming) => void;
  toError: (error: unknown, doing: string, bytesWritten: number) => Promise<DrydockError>;
}

/** A file written aside, which gets its name at the end. */
export async function startDirectoryUpload(target: UploadTarget): Promise<Upload> {
  const { files, temporaryPath, name } = target;
  try {
    await answered(files.mkdir(dirname(temporaryPath), { recursive: true, mode: 0o700 }));
    const file = await answered(files.open(temporaryPath, 'wx', 0o600));
    return new Upload(name, new DirectorySink(target, file), 4 << 20);
  } catch (error) {
    throw await target.toError(error, `write ${name}`, 0);
  }
}

class DirectorySink implements UploadSink {
  private bytesWritten = 0;

  constructor(
    private readonly target: UploadTarget,
    private readonly file: FileHandle,
  ) {}

  async write(chunks: Buffer[]): Promise<void> {
    try {
      await this.writeAll(chunks);
    } catch (error) {
      throw await this.readable(error);
    }
  }

  async flush(): Promise<void> {}

  async keep(): Promise<void> {
    const { files, temporaryPath, onNamed } = this.target;
    try {
      await this.syncFile();
      await syncing(this.file.close());
      onNamed(await giveName(files, this.target));
      await this.syncName();
    } catch (error) {
      throw await this.readable(error);
    }
    await files.unlink(temporaryPath).catch(() => undefined);
  }

  async discard(): Promise<void> {
    // Not waited for where it hangs: whoever gives up has waited long enough.
    await answered(this.file.close()).catch(() => undefined);
    await answered(this.target.files.unlink(this.target.temporaryPath)).catch(() => undefined);
  }

  /** Here nothing is passed over: what the disk does not take now is lost with the next power cut. */
  private async syncFile(): Promise<void> {
    try {
      await syncing(this.file.sync());
    } catch (error) {
      if (!hasCode(error, 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS')) throw error;
      const { name, description } = this.target;
      throw new DrydockError('Refused', `cannot write ${name} in ${description}: its file system cannot put a file safely on its disk (fsync)`, { remedy: 'use another file system, or mount this one in another way', cause: error });
    }
  }

  /** A name that may be lost again is taken back: else the next try would meet its own file and take it for another writer's. */
  private async syncName(): Promise<void> {
    const { files, finalPath } = this.target;
    try {
      await syncDirectory(files, dirname(finalPath));
    } catch (error) {
      await answered(files.unlink(finalPath)).catch(() => undefined);
      throw error;
    }
  }

  private readable(error: unknown): Promise<DrydockError> {
    return this.target.toError(error, `write ${this.target.name}`, this.bytesWritten);
  }

  private async writeAll(chunks: Buffer[]): Promise<void> {
    let rest = chunks.filter(({ length }) => length > 0);
    // A write that meets a full disk is short first and fails only when it is repeated.
    while (rest.length > 0) {
      const { bytesWritten } = await answered(this.file.writev(rest));
      if (bytesWritten === 0) throw new Error('the file system takes no bytes, and does not say why');
      this.bytesWritten += bytesWritten;
      rest = dropBytes(rest, bytesWritten);
    }
  }
}

function dropBytes(chunks: Buffer[], bytes: number): Buffer[] {
  let left = bytes;
  let index = 0;
  while (index < chunks.length && left >= chunks[index]!.length) {
    left -= chunks[index]!.length;
    index += 1;
  }
  const rest = chunks.slice(index);
  if (left > 0) rest[0] = rest[0]!.subarray(left);
  return rest;
}
