/** A vault on an SFTP server: an ordinary account, no program of ours at the far end. */
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import type { Stats } from 'ssh2';
import type { SftpConfig } from '../../domain/config';
import { DrydockError, noVault } from '../../domain/errors';
import { checkVaultName, isVaultName } from './names';
import { ensureVaultFile, tooLarge, tryProbe } from './probe';
import { SftpConnection } from './sftp-connection';
import { isStatus, sftpError, STATUS } from './sftp-errors';
import { pipelinedRead } from './sftp-transfer';
import { startSftpUpload } from './sftp-upload';
import type { Vault, VaultEntry, VaultUpload } from './vault';

/** Half-written files and claims; starts with a dot, so no name of the vault can reach it. */
const TEMPORARY = '.drydock-tmp';
/** Every stream here is given up after minutes without a byte, so a file untouched for this long has no writer any more. */
const STALE_MS = 60 * 60 * 1000;
/** An unused connection is closed after this, so that a command that forgets to close can still end. */
const IDLE_MS = 2_000;

/** Opens the vault. Nothing is connected yet; a lost connection is opened again by the next call. */
export function openSftpVault(settings: SftpConfig): Vault {
  return new SftpVault(settings);
}

class SftpVault implements Vault {
  readonly description: string;
  readonly lockDays = null;
  private current: { connection: SftpConnection; root: string | null } | null = null;
  private connecting: Promise<unknown> | null = null;
  private users = 0;
  private idle: NodeJS.Timeout | undefined;

  constructor(private readonly settings: SftpConfig) {
    this.description = `sftp ${settings.user}@${settings.address}:${settings.port}:${settings.path}`;
  }

  async *list(prefix: string): AsyncIterable<VaultEntry> {
    const release = this.enter();
    try {
      const { connection, root } = await this.open();
      // Only whole directories can be skipped, so the walk starts at the last `/` of the prefix.
      const start = prefix.slice(0, prefix.lastIndexOf('/') + 1);
      if (start !== '') {
        checkVaultName(start.slice(0, -1));
        await this.look(connection, root, start.slice(0, -1), 'list');
      }
      yield* this.walk(connection, root, start, prefix);
    } finally {
      release();
    }
  }

  stat(name: string): Promise<VaultEntry | null> {
    return this.use(name, async (connection, root) => {
      const found = await this.look(connection, root, name, `look at ${name}`);
      return found?.isFile() ? entryOf(name, found) : null;
    });
  }

  async read(name: string, range: { offset: number; length?: number } = { offset: 0 }): Promise<Readable> {
    checkVaultName(name);
    const release = this.enter();
    try {
      const { connection, root } = await this.open();
      const { handle, size } = await this.openFile(connection, root, name);
      const end = range.length === undefined ? size : Math.min(size, range.offset + range.length);
      return pipelinedRead({ connection, handle, offset: range.offset, end, toError: (error) => sftpError(error, this.description, `read ${name}`), onClose: release });
    } catch (error) {
      release();
      throw error;
    }
  }

  async readAll(name: string, maxBytes: number): Promise<Buffer> {
    const stored = await this.stat(name);
    if (stored && stored.size > maxBytes) throw tooLarge(name, stored.size, maxBytes);
    const parts: Buffer[] = [];
    for await (const part of (await this.read(name)) as AsyncIterable<Buffer>) parts.push(part);
    return Buffer.concat(parts);
  }

  async upload(name: string): Promise<VaultUpload> {
    checkVaultName(name);
    const release = this.enter();
    try {
      const { connection, root } = await this.open();
      await this.look(connection, root, name, `write ${name}`);
      const temporaryDirectory = posix.join(root, TEMPORARY);
      return await startSftpUpload(connection, {
        name, root, temporaryDirectory,
        temporaryPath: posix.join(temporaryDirectory, randomBytes(12).toString('hex')),
        finalPath: posix.join(root, name),
        description: this.description,
        freeBytes: () => this.freeBytes(),
        onClose: release,
      });
    } catch (error) {
      release();
      throw error;
    }
  }

  async put(name: string, content: Buffer | string): Promise<void> {
    const upload = await this.upload(name);
    upload.stream.end(content);
    await upload.commit();
  }

  remove(name: string): Promise<void> {
    return this.use(name, async (connection, root) => {
      if (!(await this.look(connection, root, name, `remove ${name}`))) return;
      try {
        await connection.raw<void>((sftp, done) => sftp.unlink(posix.join(root, name), (error) => done(error, undefined)));
      } catch (error) {
        if (!isStatus(error, STATUS.noSuchFile)) throw sftpError(error, this.description, `remove ${name}`);
      }
    });
  }

  removeFolder(name: string): Promise<void> {
    return this.use(name, async (connection, root) => {
      if (!(await this.look(connection, root, name, `remove ${name}`))?.isDirectory()) return;
      try {
        await connection.raw<void>((sftp, done) => sftp.rmdir(posix.join(root, name), (error) => done(error, undefined)));
      } catch (error) {
        // SFTP has no status of its own for a folder that is not empty.
        if (!isStatus(error, STATUS.noSuchFile) && !isStatus(error, STATUS.failure)) throw sftpError(error, this.description, `remove ${name}`);
      }
    });
  }

  async extendRetention(): Promise<null> {
    return null;
  }

  async removeExpired(): Promise<number> {
    return 0;
  }

  async freeBytes(): Promise<number | null> {
    const release = this.enter();
    try {
      const { connection, root } = await this.open();
      const found = await connection.raw<{ f_blocks: number; f_bavail: number; f_frsize: number }>((sftp, done) => sftp.ext_openssh_statvfs(root, done));
      // Some say nought of everything, which is not known rather than full.
      return found.f_blocks === 0 ? null : found.f_bavail * found.f_frsize;
    } catch {
      return null;
    } finally {
      release();
    }
  }

  async clock(): Promise<Date> {
    const release = this.enter();
    try {
      const { connection, root } = await this.open();
      const directory = posix.join(root, TEMPORARY);
      const path = posix.join(directory, `clock-${randomBytes(8).toString('hex')}`);
      await connection.makeDirectories(root, directory, 'ask for the time');
      const handle = await connection.call<Buffer>('ask for the time', (sftp, done) => sftp.open(path, 'wx', 0o600, done));
      try {
        const { mtime } = await connection.call<Stats>('ask for the time', (sftp, done) => sftp.fstat(handle, done));
        if (!Number.isFinite(mtime)) throw new DrydockError('Refused', `${this.description} does not say when a file was written`, { remedy: 'use a server that tells the times of files: what may be removed depends on them' });
        return new Date(mtime * 1000);
      } finally {
        await connection.closeHandle(handle);
        await connection.raw<void>((sftp, done) => sftp.unlink(path, (error) => done(error, undefined))).catch(() => undefined);
      }
    } finally {
      release();
    }
  }

  async check(): Promise<void> {
    const release = this.enter();
    try {
      await this.makeRoot();
      await this.removeStale();
      await ensureVaultFile(this);
      await tryProbe(this);
    } finally {
      release();
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.idle);
    await this.connecting?.catch(() => undefined);
    this.current?.connection.close();
    this.current = null;
  }

  private async use<T>(name: string, work: (connection: SftpConnection, root: string) => Promise<T>): Promise<T> {
    checkVaultName(name);
    const release = this.enter();
    try {
      const { connection, root } = await this.open();
      return await work(connection, root);
    } finally {
      release();
    }
  }

  /** Counts a call or stream that needs the connection; the answer ends it, however often it is called. */
  private enter(): () => void {
    this.users += 1;
    clearTimeout(this.idle);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.users -= 1;
      if (this.users === 0) this.idle = setTimeout(() => void this.close(), IDLE_MS);
    };
  }

  private async open(): Promise<{ connection: SftpConnection; root: string }> {
    const current = await this.connect();
    current.root ??= await this.findRoot(current.connection);
    return { connection: current.connection, root: current.root };
  }

  private async connect(): Promise<NonNullable<SftpVault['current']>> {
    while (!this.current || this.current.connection.isLost) {
      this.connecting ??= SftpConnection.open(this.settings, this.description)
        .then((connection) => (this.current = { connection, root: null }))
        .finally(() => (this.connecting = null));
      await this.connecting;
    }
    return this.current;
  }

  private async findRoot(connection: SftpConnection): Promise<string> {
    const root = await connection.raw<string>((sftp, done) => sftp.realpath(this.settings.path, done)).catch((error: unknown) => {
      throw isStatus(error, STATUS.noSuchFile) ? this.rootMissing(error) : sftpError(error, this.description, 'open it');
    });
    // It resolves as well when only its last part is missing.
    if (!(await connection.lstat(root, 'open it'))) throw this.rootMissing();
    return root;
  }

  private rootMissing(cause?: unknown): DrydockError {
    return noVault(`the directory of ${this.description} does not exist`, { remedy: 'mount or create it there, or correct vaults.*.sftp.path in drydock.yaml', cause });
  }

  private async makeRoot(): Promise<void> {
    const { connection } = await this.connect();
    const { path } = this.settings;
    const found = await connection.raw<Stats>((sftp, done) => sftp.stat(path, done)).catch((error: unknown) => {
      if (isStatus(error, STATUS.noSuchFile)) return null;
      throw sftpError(error, this.description, 'open it');
    });
    if (found?.isDirectory()) return;
    if (found) throw new DrydockError('InvalidInput', `${path} of ${this.description} is not a directory`, { remedy: 'correct vaults.*.sftp.path in drydock.yaml' });
    try {
      // What is above is never made: a vault on a disk that is not mounted must not come to stand on the system's own.
      await connection.raw<void>((sftp, done) => sftp.mkdir(path, { mode: 0o700 }, (error) => done(error, undefined)));
    } catch (error) {
      throw isStatus(error, STATUS.noSuchFile) ? this.rootMissing(error) : sftpError(error, this.description, 'create its directory');
    }
  }

  private async removeStale(): Promise<void> {
    const { connection, root } = await this.open();
    const now = (await this.clock()).getTime();
    for (const { filename, attrs } of await connection.readDirectory(posix.join(root, TEMPORARY), 'look for leftovers')) {
      // What has no time that we know is not old.
      if (filename.startsWith('.') || !(now - attrs.mtime * 1000 >= STALE_MS)) continue;
      await connection.raw<void>((sftp, done) => sftp.unlink(posix.join(root, TEMPORARY, filename), (error) => done(error, undefined))).catch(() => undefined);
    }
  }

  private async openFile(connection: SftpConnection, root: string, name: string): Promise<{ handle: Buffer; size: number }> {
    const doing = `read ${name}`;
    const found = await this.look(connection, root, name, doing);
    if (found && !found.isFile()) throw foreign(name, this.description, 'not a plain file');
    const handle = await connection.call<Buffer>(doing, (sftp, done) => sftp.open(posix.join(root, name), 'r', done));
    try {
      const { size } = await connection.call<Stats>(doing, (sftp, done) => sftp.fstat(handle, done));
      if (!Number.isFinite(size)) throw new DrydockError('Refused', `${this.description} does not say how large a file is`, { remedy: 'use a server that tells the sizes of files' });
      return { handle, size };
    } catch (error) {
      await connection.closeHandle(handle);
      throw error;
    }
  }

  /** What is at a name, or null. A link among the directories of a name would lead out of the vault, so any is refused. */
  private async look(connection: SftpConnection, root: string, name: string, doing: string): Promise<Stats | null> {
    const parts = name.split('/');
    // All at once: together they cost one round trip.
    const found = await Promise.all(parts.map((_part, depth) => connection.lstat(posix.join(root, ...parts.slice(0, depth + 1)), doing)));
    const link = found.findIndex((stats) => stats?.isSymbolicLink());
    if (link >= 0) throw foreign(parts.slice(0, link + 1).join('/'), this.description, 'a symbolic link');
    return found.at(-1) ?? null;
  }

  /** Names in order: a directory stands where its name with a `/` belongs. */
  private async *walk(connection: SftpConnection, root: string, directory: string, prefix: string): AsyncGenerator<VaultEntry> {
    const entries = await connection.readDirectory(posix.join(root, directory), `list ${directory === '' ? 'the vault' : directory}`);
    const ordered = entries
      .filter(({ filename, attrs }) => isVaultName(filename) && !filename.includes('/') && (attrs.isDirectory() || attrs.isFile()))
      .map(({ filename, attrs }) => ({ name: directory + filename + (attrs.isDirectory() ? '/' : ''), attrs }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const { name, attrs } of ordered) {
      if (attrs.isDirectory()) {
        if (name.startsWith(prefix) || prefix.startsWith(name)) yield* this.walk(connection, root, name, prefix);
      } else if (name.startsWith(prefix)) {
        yield entryOf(name, attrs);
      }
    }
  }
}

function entryOf(name: string, stats: Stats): VaultEntry {
  return { name, size: stats.size, modified: new Date(stats.mtime * 1000) };
}

function foreign(name: string, vault: string, what: string): DrydockError {
  return new DrydockError('Refused', `${name} in ${vault} is ${what}`, { remedy: 'a vault holds plain files only; find out who put it there' });
}
