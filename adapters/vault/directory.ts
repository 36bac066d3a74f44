/** A vault in a directory: a disk, or a mount of one that other machines share. */
import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { lstat, mkdir, open, opendir, readdir, realpath, rm, rmdir, stat, statfs, unlink, type FileHandle } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { DrydockError } from '../../domain/errors';
import { startDirectoryUpload } from './directory-upload';
import { hasCode, vaultError } from './fs-errors';
import { checkVaultName, isVaultName } from './names';
import { ensureVaultFile, tooLarge, tryProbe } from './probe';
import type { Vault, VaultEntry, VaultUpload } from './vault';

/** Half-written files; starts with a dot, so no name of the vault can reach it. */
const TEMPORARY = '.drydock-tmp';
/** Every stream here is given up after minutes without a byte, so a file untouched for this long has no writer any more. */
const STALE_MS = 60 * 60 * 1000;
const READ_BYTES = 1 << 20;
/** Names of a listing that are looked at together. */
const LOOK_AHEAD = 128;

/**
 * Opens the vault in `path`. Nothing is created or checked yet: `check()` makes the directory (not what is above it) and `vault.json`.
 */
export function openDirectoryVault(path: string): Vault {
  return new DirectoryVault(resolve(path));
}

class DirectoryVault implements Vault {
  readonly description: string;
  readonly lockDays = null;

  constructor(private readonly configuredPath: string) {
    this.description = `directory ${configuredPath}`;
  }

  async *list(prefix: string): AsyncIterable<VaultEntry> {
    const root = await this.root();
    // Only whole directories can be skipped, so the walk starts at the last `/` of the prefix.
    const start = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    if (start !== '') {
      checkVaultName(start.slice(0, -1));
      await this.refuseLinks(root, start.slice(0, -1));
    }
    yield* this.walk(root, start, prefix);
  }

  async stat(name: string): Promise<VaultEntry | null> {
    checkVaultName(name);
    const root = await this.root();
    try {
      await this.refuseLinks(root, name);
      const found = await lstat(join(root, name));
      return found.isFile() ? { name, size: found.size, modified: found.mtime } : null;
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
      throw await this.toError(error, `look at ${name}`);
    }
  }

  async read(name: string, range: { offset: number; length?: number } = { offset: 0 }): Promise<Readable> {
    const file = await this.open(name);
    return readRange(file, range, (error) => this.toError(error, `read ${name}`));
  }

  openLocally(name: string): Promise<FileHandle> {
    return this.open(name);
  }

  async readAll(name: string, maxBytes: number): Promise<Buffer> {
    const file = await this.open(name);
    try {
      const { size } = await file.stat();
      if (size > maxBytes) throw tooLarge(name, size, maxBytes);
      return await file.readFile();
    } catch (error) {
      throw await this.toError(error, `read ${name}`);
    } finally {
      await file.close();
    }
  }

  async upload(name: string): Promise<VaultUpload> {
    checkVaultName(name);
    const root = await this.root();
    try {
      await this.refuseLinks(root, name);
    } catch (error) {
      throw await this.toError(error, `write ${name}`);
    }
    return startDirectoryUpload({
      name,
      root,
      temporaryPath: join(root, TEMPORARY, randomBytes(12).toString('hex')),
      finalPath: join(root, name),
      toError: (error, doing, bytesWritten) => this.toError(error, doing, bytesWritten),
    });
  }

  async put(name: string, content: Buffer | string): Promise<void> {
    const upload = await this.upload(name);
    upload.stream.end(content);
    await upload.commit();
  }

  async remove(name: string): Promise<void> {
    checkVaultName(name);
    const root = await this.root();
    try {
      await this.refuseLinks(root, name);
      await unlink(join(root, name));
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return;
      throw await this.toError(error, `remove ${name}`);
    }
  }

  async removeFolder(name: string): Promise<void> {
    checkVaultName(name);
    const root = await this.root();
    try {
      await this.refuseLinks(root, name);
      await rmdir(join(root, name));
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST')) return;
      throw await this.toError(error, `remove ${name}`);
    }
  }

  async freeBytes(): Promise<number | null> {
    try {
      const found = await statfs(this.configuredPath);
      return found.bavail * found.bsize;
    } catch {
      return null;
    }
  }

  async extendRetention(): Promise<null> {
    return null;
  }

  async removeExpired(): Promise<number> {
    return 0;
  }

  async clock(): Promise<Date> {
    const root = await this.root();
    const path = join(root, TEMPORARY, `clock-${randomBytes(8).toString('hex')}`);
    try {
      await mkdir(join(root, TEMPORARY), { recursive: true, mode: 0o700 });
      // On a mount of another machine, the time of a new file is that machine's.
      const file = await open(path, 'wx', 0o600);
      try {
        return (await file.stat()).mtime;
      } finally {
        await file.close();
        await unlink(path);
      }
    } catch (error) {
      throw await this.toError(error, 'ask for the time');
    }
  }

  async check(): Promise<void> {
    await this.makeRoot();
    await this.removeStale();
    await ensureVaultFile(this);
    await tryProbe(this);
  }

  async close(): Promise<void> {
    // Files are opened for one call or stream only.
  }

  private async root(): Promise<string> {
    try {
      return await realpath(this.configuredPath);
    } catch (error) {
      throw hasCode(error, 'ENOENT')
        ? new DrydockError('NotFound', `the vault's directory ${this.configuredPath} does not exist`, { remedy: 'mount or create it, or correct vaults.*.directory in drydock.yaml', cause: error })
        : await this.toError(error, 'open it');
    }
  }

  private async makeRoot(): Promise<void> {
    try {
      await mkdir(this.configuredPath, { mode: 0o700 });
    } catch (error) {
      if (hasCode(error, 'EEXIST')) {
        if ((await stat(this.configuredPath)).isDirectory()) return;
        throw new DrydockError('InvalidInput', `${this.configuredPath} is not a directory`, { remedy: 'correct vaults.*.directory in drydock.yaml' });
      }
      // What is above is never made: a vault on a disk that is not mounted must not come to stand on the system's own.
      throw hasCode(error, 'ENOENT')
        ? new DrydockError('NotFound', `the directory above ${this.configuredPath} does not exist`, { remedy: 'mount or create it, or correct vaults.*.directory in drydock.yaml', cause: error })
        : await this.toError(error, 'create it');
    }
  }

  private async removeStale(): Promise<void> {
    const directory = join(await this.root(), TEMPORARY);
    const now = (await this.clock()).getTime();
    const names = await readdir(directory).catch(() => []);
    for (const name of names) {
      const path = join(directory, name);
      const found = await lstat(path).catch(() => null);
      if (found && now - found.mtimeMs > STALE_MS) await rm(path, { force: true });
    }
  }

  private async open(name: string): Promise<FileHandle> {
    checkVaultName(name);
    const root = await this.root();
    let file: FileHandle;
    try {
      await this.refuseLinks(root, name);
      file = await open(join(root, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      throw await this.toError(error, `read ${name}`);
    }
    try {
      if ((await file.stat()).isFile()) return file;
    } catch (error) {
      await file.close();
      throw await this.toError(error, `read ${name}`);
    }
    await file.close();
    throw new DrydockError('Refused', `${name} in ${this.description} is not a plain file`, { remedy: 'a vault holds plain files only; find out who put it there' });
  }

  /** A link among the directories of a name would lead out of the vault. */
  private async refuseLinks(root: string, name: string): Promise<void> {
    const parts = name.split('/');
    for (let depth = 1; depth <= parts.length; depth += 1) {
      const found = await lstat(join(root, ...parts.slice(0, depth))).catch((error: unknown) => {
        if (hasCode(error, 'ENOENT')) return null;
        throw error;
      });
      if (!found) return;
      if (found.isSymbolicLink()) {
        throw new DrydockError('Refused', `${parts.slice(0, depth).join('/')} in ${this.description} is a symbolic link`, { remedy: 'a vault holds plain files only; find out who put the link there' });
      }
    }
  }

  /** Names in order: a directory stands where its name with a `/` belongs. */
  private async *walk(root: string, directory: string, prefix: string): AsyncGenerator<VaultEntry> {
    // Bare names only: a forged vault may hold a million.
    const ordered: string[] = [];
    try {
      for await (const entry of await opendir(join(root, directory), { bufferSize: LOOK_AHEAD })) {
        if ((entry.isFile() || entry.isDirectory()) && isVaultName(entry.name)) ordered.push(entry.isDirectory() ? `${entry.name}/` : entry.name);
      }
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return;
      throw await this.toError(error, `list ${directory === '' ? 'the vault' : directory}`);
    }
    ordered.sort();
    for (let at = 0; at < ordered.length; at += LOOK_AHEAD) {
      const some = ordered.slice(at, at + LOOK_AHEAD).map((name) => ({ name: directory + name, isDirectory: name.endsWith('/') }));
      // Several at once: on a mount of another machine each look costs a round trip.
      const found = await Promise.all(some.map(async ({ name, isDirectory }) => (isDirectory || !name.startsWith(prefix) ? null : this.look(root, name))));
      for (const [i, { name, isDirectory }] of some.entries()) {
        const file = found[i];
        if (isDirectory && (name.startsWith(prefix) || prefix.startsWith(name))) yield* this.walk(root, name, prefix);
        else if (file?.isFile()) yield { name, size: file.size, modified: file.mtime };
      }
    }
  }

  /** Null when it went meanwhile. What only cannot be looked at must not pass for gone: a backup would seem to be none. */
  private look(root: string, name: string): Promise<Stats | null> {
    return lstat(join(root, name)).catch(async (error: unknown) => {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
      throw await this.toError(error, `look at ${name}`);
    });
  }

  private async toError(error: unknown, doing: string, bytesWritten?: number): Promise<DrydockError> {
    const freeBytes = hasCode(error, 'ENOSPC', 'EDQUOT') ? await this.freeBytes() : undefined;
    return vaultError(error, this.description, doing, { ...(bytesWritten === undefined ? {} : { bytesWritten }), ...(freeBytes === undefined ? {} : { freeBytes }) });
  }
}

/** A stream over part of an open file; closes it when it ends, fails or is destroyed before it was read. */
function readRange(file: FileHandle, range: { offset: number; length?: number }, toError: (error: unknown) => Promise<DrydockError>): Readable {
  let at = range.offset;
  let left = range.length ?? Number.POSITIVE_INFINITY;
  return new Readable({
    highWaterMark: READ_BYTES,
    read() {
      const length = Math.min(READ_BYTES, left);
      if (length === 0) {
        this.push(null);
        return;
      }
      file.read(Buffer.allocUnsafe(length), 0, length, at).then(
        ({ bytesRead, buffer }) => {
          at += bytesRead;
          left -= bytesRead;
          this.push(bytesRead === 0 ? null : buffer.subarray(0, bytesRead));
        },
        (error: unknown) => {
          void toError(error).then((readable) => this.destroy(readable));
        },
      );
    },
    destroy(error, done) {
      file.close().then(
        () => done(error),
        () => done(error),
      );
    },
  });
}
