/** A vault in a directory: a disk, or a mount of one that other machines share. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { DrydockError, noVault } from '../../domain/errors';
import type { Naming } from './directory-commit';
import { answered, lookAt, systemFiles, type VaultFiles } from './directory-files';
import { walk } from './directory-list';
import { readRange } from './directory-read';
import { startDirectoryUpload } from './directory-upload';
import { hasCode, vaultError } from './fs-errors';
import { checkVaultName } from './names';
import { ensureVaultFile, tooLarge, tryProbe } from './probe';
import type { Vault, VaultEntry, VaultUpload } from './vault';

/** Half-written files; starts with a dot, so no name of the vault can reach it. */
const TEMPORARY = '.drydock-tmp';
/** Every stream here is given up after minutes without a byte, so a file untouched for this long has no writer any more. */
const STALE_MS = 60 * 60 * 1000;

/**
 * Opens the vault in `path`. Nothing is created or checked yet: `check()` makes the directory (not what is above it) and `vault.json`.
 */
export function openDirectoryVault(path: string, files: VaultFiles = systemFiles): Vault {
  return new DirectoryVault(resolve(path), files);
}

class DirectoryVault implements Vault {
  readonly lockDays = null;
  /** How names were given last; null while none was. */
  private naming: Naming | null = null;

  constructor(
    private readonly configuredPath: string,
    private readonly files: VaultFiles,
  ) {}

  get description(): string {
    return `directory ${this.configuredPath}${this.naming === 'claim' ? ' (without hard links: each name is claimed first)' : ''}`;
  }

  async *list(prefix: string): AsyncIterable<VaultEntry> {
    const root = await this.root();
    // Only whole directories can be skipped, so the walk starts at the last `/` of the prefix.
    const start = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    if (start !== '') {
      checkVaultName(start.slice(0, -1));
      await this.run('list it', () => this.refuseLinks(root, start.slice(0, -1)));
    }
    yield* walk({ files: this.files, root, toError: (error, doing) => this.toError(error, doing) }, start, prefix);
  }

  async stat(name: string): Promise<VaultEntry | null> {
    checkVaultName(name);
    const root = await this.root();
    return this.run(`look at ${name}`, async () => {
      await this.refuseLinks(root, name);
      const found = await lookAt(this.files, join(root, name));
      return found?.isFile() ? { name, size: Number(found.size), modified: found.mtime } : null;
    });
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
      const { size } = await answered(file.stat());
      if (size > maxBytes) throw tooLarge(name, size, maxBytes);
      return await answered(file.readFile());
    } catch (error) {
      throw await this.toError(error, `read ${name}`);
    } finally {
      await file.close().catch(() => undefined);
    }
  }

  async upload(name: string): Promise<VaultUpload> {
    checkVaultName(name);
    const root = await this.root();
    await this.run(`write ${name}`, () => this.refuseLinks(root, name));
    return startDirectoryUpload({
      files: this.files, name, root,
      description: this.description,
      temporaryPath: join(root, TEMPORARY, randomBytes(12).toString('hex')),
      finalPath: join(root, name),
      onNamed: (way) => (this.naming = way),
      toError: (error, doing, bytesWritten) => this.toError(error, doing, bytesWritten),
    });
  }

  async put(name: string, content: Buffer | string): Promise<void> {
    const upload = await this.upload(name);
    upload.stream.end(content);
    await upload.commit();
  }

  async remove(name: string): Promise<void> {
    // Gone already, or by a first try of ours whose answer got lost on the way from a server.
    await this.take(name, ['ENOENT', 'ENOTDIR'], (path) => this.files.unlink(path));
  }

  async removeFolder(name: string): Promise<void> {
    await this.take(name, ['ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST'], (path) => this.files.rmdir(path));
  }

  async freeBytes(): Promise<number | null> {
    return (await this.room()).freeBytes;
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
    return this.run('ask for the time', async () => {
      await answered(this.files.mkdir(join(root, TEMPORARY), { recursive: true, mode: 0o700 }));
      // On a mount of another machine, the time of a new file is that machine's.
      const file = await answered(this.files.open(path, 'wx', 0o600));
      try {
        return (await answered(file.stat())).mtime;
      } finally {
        await file.close().catch(() => undefined);
        await this.files.unlink(path).catch(() => undefined);
      }
    });
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
      return await answered(this.files.realpath(this.configuredPath));
    } catch (error) {
      throw hasCode(error, 'ENOENT')
        ? noVault(`the vault's directory ${this.configuredPath} does not exist`, { remedy: 'mount or create it, or correct vaults.*.directory in drydock.yaml', cause: error })
        : await this.toError(error, 'open it');
    }
  }

  private async makeRoot(): Promise<void> {
    try {
      await answered(this.files.mkdir(this.configuredPath, { mode: 0o700 }));
    } catch (error) {
      // Before anything else: where nobody may write above, a directory that is there is all the same.
      if (await this.isDirectory()) return;
      if (hasCode(error, 'EEXIST')) throw new DrydockError('InvalidInput', `${this.configuredPath} is not a directory`, { remedy: 'correct vaults.*.directory in drydock.yaml' });
      // What is above is never made: a vault on a disk that is not mounted must not come to stand on the system's own.
      throw hasCode(error, 'ENOENT')
        ? noVault(`the directory above ${this.configuredPath} does not exist`, { remedy: 'mount or create it, or correct vaults.*.directory in drydock.yaml', cause: error })
        : await this.toError(error, 'create it');
    }
  }

  private async isDirectory(): Promise<boolean> {
    return this.run('open it', async () => {
      const path = await answered(this.files.realpath(this.configuredPath)).catch((error: unknown) => {
        if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
        throw error;
      });
      return path !== null && (await lookAt(this.files, path))?.isDirectory() === true;
    });
  }

  /** What others left half-written. What cannot be removed harms nobody. */
  private async removeStale(): Promise<void> {
    const directory = join(await this.root(), TEMPORARY);
    const now = (await this.clock()).getTime();
    const names = await answered(this.files.readdir(directory)).catch(() => []);
    for (const name of names) {
      const path = join(directory, name);
      const found = await lookAt(this.files, path).catch(() => null);
      if (found && now - Number(found.mtimeMs) > STALE_MS) await answered(this.files.rm(path, { force: true })).catch(() => undefined);
    }
  }

  private async open(name: string): Promise<FileHandle> {
    checkVaultName(name);
    const root = await this.root();
    return this.run(`read ${name}`, async () => {
      await this.refuseLinks(root, name);
      const file = await answered(this.files.open(join(root, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK));
      const isFile = await answered(file.stat()).then((found) => found.isFile()).catch(async (error: unknown) => {
        await file.close().catch(() => undefined);
        throw error;
      });
      if (isFile) return file;
      await file.close();
      throw new DrydockError('Refused', `${name} in ${this.description} is not a plain file`, { remedy: 'a vault holds plain files only; find out who put it there' });
    });
  }

  /** Removes something; the codes in `fine` mean that there is nothing to do. */
  private async take(name: string, fine: string[], act: (path: string) => Promise<void>): Promise<void> {
    checkVaultName(name);
    const root = await this.root();
    await this.run(`remove ${name}`, async () => {
      await this.refuseLinks(root, name);
      await answered(act(join(root, name))).catch((error: unknown) => {
        if (!hasCode(error, ...fine)) throw error;
      });
    });
  }

  /** A link among the directories of a name would lead out of the vault. */
  private async refuseLinks(root: string, name: string): Promise<void> {
    const parts = name.split('/');
    for (let depth = 1; depth <= parts.length; depth += 1) {
      const found = await lookAt(this.files, join(root, ...parts.slice(0, depth)));
      if (!found) return;
      if (found.isSymbolicLink()) {
        throw new DrydockError('Refused', `${parts.slice(0, depth).join('/')} in ${this.description} is a symbolic link`, { remedy: 'a vault holds plain files only; find out who put the link there' });
      }
    }
  }

  /** Null where the file system does not say: some in user space say of everything that it is nought. */
  private async room(): Promise<{ freeBytes: number | null; freeFiles: number | null }> {
    try {
      const { blocks, bavail, bsize, files, ffree } = await answered(this.files.statfs(this.configuredPath));
      return { freeBytes: blocks === 0 ? null : bavail * bsize, freeFiles: files === 0 ? null : ffree };
    } catch {
      return { freeBytes: null, freeFiles: null };
    }
  }

  /** Makes every error of the work readable. `doing` is a verb phrase. */
  private async run<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw await this.toError(error, doing);
    }
  }

  private async toError(error: unknown, doing: string, bytesWritten?: number): Promise<DrydockError> {
    const room = hasCode(error, 'ENOSPC', 'EDQUOT') ? await this.room() : {};
    return vaultError(error, this.description, doing, { ...room, ...(bytesWritten === undefined ? {} : { bytesWritten }) });
  }
}
