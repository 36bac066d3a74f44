/** One SSH connection with one SFTP channel on it: calls as promises that always end, whatever becomes of the server. */
import { posix } from 'node:path';
import type { Client, FileEntryWithStats, SFTPWrapper, Stats } from 'ssh2';
import type { HostConfig, SftpConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { loginLimitMs, openConnection } from '../host/ssh-connect';
import { openSftpChannel } from './sftp-channel';
import { isStatus, sftpError, STATUS } from './sftp-errors';

/** A server on which a request is out and nothing has come back for this long has stalled. */
const STALL_MS = 120_000;
const END_OF_LIST = STATUS.endOfFile;

type Done<T> = (error: Error | null | undefined, value: T) => void;

export class SftpConnection {
  private lost: DrydockError | null = null;
  private readonly waiting = new Set<(error: Error) => void>();
  private lastAnswer = Date.now();
  private readonly stallTimer: NodeJS.Timeout;

  private constructor(
    private readonly description: string,
    private readonly clients: Client[],
    private readonly sftp: SFTPWrapper,
  ) {
    const lose = (why: string, cause?: Error): void => this.lose(why, cause);
    // The last hop carries the channel; losing any of them loses it.
    for (const client of clients) client.on('error', (error) => lose(error.message, error)).on('close', () => lose('it was closed'));
    sftp.on('error', (error: Error) => lose(error.message, error)).on('close', () => lose('the server ended SFTP'));
    this.stallTimer = setInterval(() => {
      if (this.waiting.size === 0 || Date.now() - this.lastAnswer < STALL_MS) return;
      this.lose(`nothing came back for ${STALL_MS / 1000} s`);
    }, 5_000);
  }

  /** Throws what connecting over SSH throws; a server that cannot be reached is VaultUnavailable. */
  static async open(settings: SftpConfig, description: string): Promise<SftpConnection> {
    const { jump, knownHosts, path: _path, ...server } = settings;
    const host: HostConfig = { ...server, ...(jump === undefined ? {} : { jump: JUMP }) };
    const clients = await openConnection('the SFTP server', host, { knownHosts, hosts: jump === undefined ? {} : { [JUMP]: jump }, place }).catch((error: unknown) => {
      throw unreachable(error);
    });
    try {
      return new SftpConnection(description, clients, await openSftpChannel(clients[0]!, description, host.user, loginLimitMs(host)));
    } catch (error) {
      for (const client of clients) client.end();
      throw error;
    }
  }

  get isLost(): boolean {
    return this.lost !== null;
  }

  /** Requests that have no answer yet. */
  get underWay(): number {
    return this.waiting.size;
  }

  /** Runs one request. `doing` is a verb phrase for the error, as in `sftpError`. Throws VaultUnavailable when the connection goes. */
  async call<T>(doing: string, request: (sftp: SFTPWrapper, done: Done<T>) => void): Promise<T> {
    try {
      return await this.raw(request);
    } catch (error) {
      throw sftpError(error, this.description, doing);
    }
  }

  /** Like `call`, with the server's own error; VaultUnavailable when the connection goes. */
  raw<T>(request: (sftp: SFTPWrapper, done: Done<T>) => void): Promise<T> {
    if (this.lost) return Promise.reject(this.lost);
    return new Promise<T>((resolve, reject) => {
      if (this.waiting.size === 0) this.lastAnswer = Date.now();
      this.waiting.add(reject);
      const done: Done<T> = (error, value) => {
        this.waiting.delete(reject);
        this.lastAnswer = Date.now();
        // What broke the channel breaks every request; the sentence about the connection says more.
        if (error) reject(isStatus(error) ? error : (this.lost ?? error));
        else resolve(value);
      };
      try {
        request(this.sftp, done);
      } catch (error) {
        // Never sent, since the server does not know it: nothing is waited for.
        this.waiting.delete(reject);
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  /** Null when it is not there. Links are not followed. */
  async lstat(path: string, doing: string): Promise<Stats | null> {
    try {
      return await this.raw<Stats>((sftp, done) => sftp.lstat(path, done));
    } catch (error) {
      if (isStatus(error, STATUS.noSuchFile)) return null;
      throw sftpError(error, this.description, doing);
    }
  }

  /** The entries of a directory in the server's order; empty when it is not there. */
  async readDirectory(path: string, doing: string): Promise<FileEntryWithStats[]> {
    let handle: Buffer;
    try {
      handle = await this.raw<Buffer>((sftp, done) => sftp.opendir(path, done));
    } catch (error) {
      if (isStatus(error, STATUS.noSuchFile)) return [];
      throw sftpError(error, this.description, doing);
    }
    const entries: FileEntryWithStats[] = [];
    try {
      for (;;) entries.push(...(await this.raw<FileEntryWithStats[]>((sftp, done) => sftp.readdir(handle, done))));
    } catch (error) {
      if (!isStatus(error, END_OF_LIST)) throw sftpError(error, this.description, doing);
      return entries;
    } finally {
      await this.closeHandle(handle);
    }
  }

  /** Makes `path` and what is missing above it, below `root`; there already is success. */
  async makeDirectories(root: string, path: string, doing: string): Promise<void> {
    if (path === root) return;
    const found = await this.lstat(path, doing);
    if (found?.isDirectory()) return;
    await this.makeDirectories(root, posix.dirname(path), doing);
    try {
      await this.raw<void>((sftp, done) => sftp.mkdir(path, { mode: 0o700 }, (error) => done(error, undefined)));
    } catch (error) {
      // Another writer made it at the same moment: SFTP has no status of its own for that.
      if ((await this.lstat(path, doing))?.isDirectory()) return;
      throw sftpError(error, this.description, doing);
    }
  }

  async closeHandle(handle: Buffer): Promise<void> {
    await this.raw<void>((sftp, done) => sftp.close(handle, (error) => done(error, undefined))).catch(() => undefined);
  }

  close(): void {
    this.lose('it was closed');
  }

  private lose(why: string, cause?: Error): void {
    if (this.lost) return;
    this.lost = new DrydockError('VaultUnavailable', `the connection to ${this.description} was lost: ${why}`, { remedy: 'check the SFTP server and the network; the step is tried again by itself', cause });
    clearInterval(this.stallTimer);
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const reject of waiting) reject(this.lost);
    for (const client of this.clients) client.end();
    // A server that does not answer a polite end must not keep this process alive.
    setTimeout(() => this.clients.forEach((client) => client.destroy()), 500).unref();
  }
}

const JUMP = 'jump';

function place(name: string): string {
  return name === JUMP ? 'vaults.*.sftp.jump' : 'vaults.*.sftp';
}

function unreachable(error: unknown): unknown {
  if (!(error instanceof DrydockError) || error.kind !== 'HostUnreachable') return error;
  return new DrydockError('VaultUnavailable', error.message, { ...(error.remedy === undefined ? {} : { remedy: error.remedy }), cause: error });
}
