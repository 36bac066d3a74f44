import { link, mkdir, open, unlink, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { DrydockError } from '../../domain/errors';
import { hasCode } from './fs-errors';
import { nameTaken, uploadOver } from './probe';
import type { VaultUpload } from './vault';

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
export class DirectoryUpload implements VaultUpload {
  readonly stream: Writable;
  private state: 'open' | 'committed' | 'aborted' = 'open';
  private bytesWritten = 0;

  private constructor(
    private readonly target: UploadTarget,
    private readonly file: FileHandle,
  ) {
    this.stream = new Writable({
      highWaterMark: 4 << 20,
      write: (chunk: Buffer, _encoding, done) => this.append([chunk], done),
      writev: (chunks: { chunk: Buffer }[], done) => this.append(chunks.map((entry) => entry.chunk), done),
    });
    // Whoever pipes into the stream sees its error; without a listener an aborted upload would end the process.
    this.stream.on('error', () => undefined);
  }

  static async start(target: UploadTarget): Promise<DirectoryUpload> {
    try {
      await mkdir(dirname(target.temporaryPath), { recursive: true, mode: 0o700 });
      return new DirectoryUpload(target, await open(target.temporaryPath, 'wx', 0o600));
    } catch (error) {
      throw await target.toError(error, `write ${target.name}`, 0);
    }
  }

  async commit(): Promise<void> {
    if (this.state !== 'open') throw uploadOver(this.target.name, this.state);
    const { temporaryPath, finalPath, root, name } = this.target;
    try {
      if (!this.stream.writableEnded) this.stream.end();
      await finished(this.stream);
      await this.file.sync();
      await this.file.close();
      await makeDirectories(root, dirname(finalPath));
      await link(temporaryPath, finalPath);
      await syncDirectory(dirname(finalPath));
      this.state = 'committed';
    } catch (error) {
      await this.abort();
      if (hasCode(error, 'EEXIST')) throw nameTaken(name);
      throw await this.target.toError(error, `write ${name}`, this.bytesWritten);
    }
    await unlink(temporaryPath).catch(() => undefined);
  }

  async abort(): Promise<void> {
    if (this.state !== 'open') return;
    this.state = 'aborted';
    this.stream.destroy();
    await this.file.close().catch(() => undefined);
    await unlink(this.target.temporaryPath).catch(() => undefined);
  }

  private append(chunks: Buffer[], done: (error?: Error | null) => void): void {
    this.writeAll(chunks).then(
      () => done(),
      (error: unknown) => {
        this.target.toError(error, `write ${this.target.name}`, this.bytesWritten).then(done, done);
      },
    );
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
