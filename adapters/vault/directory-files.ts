/** What a vault in a directory asks of a file system, and what some file systems lack. */
import { constants, type BigIntStats } from 'node:fs';
import promises from 'node:fs/promises';
import { dirname } from 'node:path';
import { DrydockError } from '../../domain/errors';
import { hasCode } from './fs-errors';

/** The calls themselves. Tests put those of a file system in their place that refuses some of them. */
export type VaultFiles = Pick<typeof promises, 'link' | 'lstat' | 'mkdir' | 'open' | 'opendir' | 'readdir' | 'realpath' | 'rename' | 'rm' | 'rmdir' | 'statfs' | 'unlink'>;

export const systemFiles: VaultFiles = promises;

/** A call to a file system that answers neither yes nor no for this long: the server of a mount is gone. */
const SILENCE_MS = 120_000;
/** What was written may have to go to the disk first. */
const SYNC_SILENCE_MS = 900_000;

/** What file systems answer that cannot sync a directory. */
const NO_SYNC = ['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EBADF', 'EISDIR', 'EPERM'];
/** What they answer to opening a directory to that end; whoever may write in one need not be allowed to read it. */
const NO_OPEN = ['EACCES', ...NO_SYNC];

/** Throws Stalled when `work` does not end within `ms`. It goes on behind our back: nothing can end a call that hangs in the system. */
export async function answered<T>(work: Promise<T>, ms = SILENCE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new DrydockError('Stalled', `the file system of the vault has not answered for ${Math.round(ms / 1000)} s`, { remedy: 'look at the mount and at the server behind it; what hangs there ends when the server is back or the mount is taken away' })), ms);
  });
  try {
    return await Promise.race([work, silence]);
  } finally {
    clearTimeout(timer);
  }
}

export function syncing(work: Promise<void>): Promise<void> {
  return answered(work, SYNC_SILENCE_MS);
}

/** Makes the entries of a directory durable, as far as its file system knows such a thing: several network and FUSE file systems do not, and write entries through at once. */
export async function syncDirectory(files: VaultFiles, path: string): Promise<void> {
  const directory = await answered(files.open(path, 'r')).catch((error: unknown) => {
    if (hasCode(error, ...NO_OPEN)) return null;
    throw error;
  });
  if (!directory) return;
  try {
    await syncing(directory.sync());
  } catch (error) {
    if (!hasCode(error, ...NO_SYNC)) throw error;
  } finally {
    await directory.close().catch(() => undefined);
  }
}

/** Makes `path` and what is missing above it, below `root`, and makes each new entry durable. */
export async function makeDirectories(files: VaultFiles, root: string, path: string): Promise<void> {
  if (path === root) return;
  try {
    await answered(files.mkdir(path, { mode: 0o700 }));
    await syncDirectory(files, dirname(path));
  } catch (error) {
    // Made by another writer, or by a first try of ours whose answer got lost on the way from a server.
    if (hasCode(error, 'EEXIST')) return;
    if (!hasCode(error, 'ENOENT')) throw error;
    await makeDirectories(files, root, dirname(path));
    await makeDirectories(files, root, path);
  }
}

/** Null when nothing is there. Links are not followed. */
export async function lookAt(files: VaultFiles, path: string): Promise<Awaited<ReturnType<VaultFiles['lstat']>> | null> {
  try {
    return await answered(files.lstat(path));
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
}

/** Whether two names are names of one file. A client of a network file system keeps what it knew of a name, but asks anew when a file is opened. */
export async function isSameFile(files: VaultFiles, one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([identityOf(files, one), identityOf(files, other)]);
  // Some file systems make inode numbers up; none of those counts two names of a file.
  return a !== null && b !== null && a.nlink > 1n && a.ino === b.ino && a.dev === b.dev && a.size === b.size;
}

async function identityOf(files: VaultFiles, path: string): Promise<BigIntStats | null> {
  const file = await answered(files.open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES')) return null;
    throw error;
  });
  if (!file) return null;
  try {
    return await answered(file.stat({ bigint: true }));
  } finally {
    await file.close().catch(() => undefined);
  }
}
