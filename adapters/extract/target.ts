/** A directory that is there as a whole or not at all: written aside, renamed at the end. */
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { DrydockError } from '../../domain/errors';

export class Target {
  private constructor(
    private readonly directory: string,
    private readonly aside: string,
  ) {}

  /** Nothing may stand there yet, what is above it must. Throws InvalidInput, NotPermitted. */
  static async create(directory: string): Promise<Target> {
    const wanted = path.resolve(directory);
    if (await lstat(wanted).catch(() => null)) {
      throw new DrydockError('InvalidInput', `${wanted} exists already`, { remedy: 'name a directory that does not exist yet: nothing is ever written over' });
    }
    const aside = path.join(path.dirname(wanted), `.${path.basename(wanted)}.drydock-${randomBytes(4).toString('hex')}`);
    try {
      await mkdir(aside, { mode: 0o700 });
    } catch (error) {
      throw fileError(error, `create ${wanted}`);
    }
    return new Target(wanted, aside);
  }

  /**
   * Writes one new file; its name is relative and safe. `data` may fail at its end, then nothing of the whole directory is kept.
   * Throws what `data` throws, IntegrityMismatch for a name that leads elsewhere or comes twice, NoSpace.
   */
  async write(name: string, data: AsyncIterable<Buffer> | Buffer | string): Promise<void> {
    const file = path.join(this.aside, ...safeParts(name));
    await makeFolder(path.dirname(file));
    const handle = await attempt(name, () => open(file, 'wx', 0o600));
    try {
      if (typeof data === 'string' || Buffer.isBuffer(data)) await attempt(name, () => handle.writeFile(data));
      else for await (const chunk of data) await attempt(name, () => handle.writeFile(chunk));
    } finally {
      await handle.close();
    }
  }

  async makeFolder(name: string): Promise<void> {
    await makeFolder(path.join(this.aside, ...safeParts(name)));
  }

  /** From here on it is there under its name. */
  async commit(): Promise<void> {
    await attempt(this.directory, () => rename(this.aside, this.directory));
  }

  /** Leaves nothing; safe after commit. */
  async abort(): Promise<void> {
    await rm(this.aside, { recursive: true, force: true });
  }
}

async function makeFolder(folder: string): Promise<void> {
  await attempt(folder, () => mkdir(folder, { recursive: true, mode: 0o700 }));
}

/** Names come from a vault, which a foreign hand may have written. */
function safeParts(name: string): string[] {
  const parts = name.split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..' || part.includes('\0'))) {
    throw new DrydockError('IntegrityMismatch', `the backup holds the name ${JSON.stringify(name.slice(0, 200))}, which leads elsewhere`, { remedy: 'use another backup, and find out who wrote this one' });
  }
  return parts;
}

async function attempt<T>(name: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw fileError(error, `write ${name}`);
  }
}

function fileError(error: unknown, doing: string): DrydockError {
  const { code } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new DrydockError('NoSpace', `cannot ${doing}: the disk is full`, { remedy: 'make room, or name a directory on another disk', cause: error });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new DrydockError('NotPermitted', `cannot ${doing}: permission denied`, { remedy: 'name a directory in a place where you may write', cause: error });
    case 'ENOENT':
      return new DrydockError('InvalidInput', `cannot ${doing}: what is above it does not exist`, { remedy: 'create the directory above it first', cause: error });
    case 'EEXIST':
    case 'ENOTDIR':
    case 'EISDIR':
    case 'ENAMETOOLONG':
      return new DrydockError('IntegrityMismatch', `cannot ${doing}: the backup holds this name twice, or in a form that no file can have`, { remedy: 'use another backup', cause: error });
    default:
      return new DrydockError('NotPermitted', `cannot ${doing}: ${error instanceof Error ? error.message : String(error)}`, { remedy: 'check the disk', cause: error });
  }
}
