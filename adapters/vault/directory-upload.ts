import { link, mkdir, open, unlink, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DrydockError } from '../../domain/errors';
import { hasCode } from './fs-errors';
import { nameTaken } from './probe';
import { Upload, type UploadSink } from './upload';

export interface UploadTarget {
  /** Name in the vault, for messages. */
  name: string;
  /** Where the bytes go first; must not exist. */
  temporaryPath: string;
  finalPath: string;
  /** Directories below this one are made as needed. */
  root: string;
  toError: (error: unknown, doing: string, bytesWritten: number) => Promise<DrydockError>;
}

/** A file written aside and linked into place: link(2) fails when the name exists, so of several writers exactly one wins. */
export async function startDirectoryUpload(target: UploadTarget): Promise<Upload> {
  try {
    await mkdir(dirname(target.temporaryPath), { recursive: true, mode: 0o700 });
    const file = await open(target.temporaryPath, 'wx', 0o600);
    return new Upload(target.name, new DirectorySink(target, file), 4 << 20);
  } catch (error) {
    throw await target.toError(error, `write ${target.name}`, 0);
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
    const { temporaryPath, finalPath, root, name } = this.target;
    try {
      await this.file.sync();
      await this.file.close();
      await makeDirectories(root, dirname(finalPath));
      await link(temporaryPath, finalPath);
      await syncDirectory(dirname(finalPath));
    } catch (error) {
      throw hasCode(error, 'EEXIST') ? nameTaken(name) : await this.readable(error);
    }
    await unlink(temporaryPath).catch(() => undefined);
  }

  async discard(): Promise<void> {
    await this.file.close().catch(() => undefined);
    await unlink(this.target.temporaryPath).catch(() => undefined);
  }

  private readable(error: unknown): Promise<DrydockError> {
    return this.target.toError(error, `write ${this.target.name}`, this.bytesWritten);
  }

  private async writeAll(chunks: Buffer[]): Promise<void> {
    let rest = chunks;
    // A write that meets a full disk is short first and fails only when it is repeated.
    while (rest.length > 0) {
      const { bytesWritten } = await this.file.writev(rest);
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

/** Makes `path` and what is missing above it, below `root`, and makes each new entry durable. */
async function makeDirectories(root: string, path: string): Promise<void> {
  if (path === root) return;
  try {
    await mkdir(path, { mode: 0o700 });
    await syncDirectory(dirname(path));
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return;
    if (!hasCode(error, 'ENOENT')) throw error;
    await makeDirectories(root, dirname(path));
    await makeDirectories(root, path);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
