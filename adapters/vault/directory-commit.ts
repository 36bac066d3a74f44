/**
 * Giving a written file its name, so that of several writers exactly one wins. The sure way is link(2), which fails when the name exists. Where a file
 * system has no hard links (CIFS, FAT, many in user space), the writer first creates a claim file for the name with O_EXCL: only its holder looks whether
 * the name is free and renames. A claim lives for moments; one that its writer left behind is removed by a later check of the vault.
 */
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DrydockError } from '../../domain/errors';
import { answered, isSameFile, lookAt, makeDirectories, type VaultFiles } from './directory-files';
import { hasCode } from './fs-errors';
import { nameTaken } from './probe';

export interface NameTarget {
  /** Name in the vault, for messages. */
  name: string;
  /** For messages. */
  description: string;
  temporaryPath: string;
  finalPath: string;
  /** Directories below this one are made as needed. */
  root: string;
}

/** How a name was given. */
export type Naming = 'link' | 'claim';

const NO_HARD_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL', 'EMLINK', 'EXDEV'];
/** A prune may take an empty folder away just after it was made; not again and again. */
const FOLDER_TRIES = 5;
const CLAIM_TRIES = 40;
const CLAIM_WAIT_MS = 250;

/** The temporary file is gone afterwards, or left where this throws. Throws Conflict when the name is taken, Busy when another writer's claim does not go away. */
export async function giveName(files: VaultFiles, target: NameTarget): Promise<Naming> {
  try {
    await inFolder(files, target, () => linkTo(files, target));
    return 'link';
  } catch (error) {
    if (!hasCode(error, ...NO_HARD_LINKS)) throw error;
  }
  await underClaim(files, target, () => inFolder(files, target, () => renameTo(files, target)));
  return 'claim';
}

async function inFolder(files: VaultFiles, { root, temporaryPath, finalPath }: NameTarget, act: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    await makeDirectories(files, root, dirname(finalPath));
    try {
      return await act();
    } catch (error) {
      if (!hasCode(error, 'ENOENT') || attempt === FOLDER_TRIES || (await lookAt(files, temporaryPath)) === null) throw error;
    }
  }
}

/** A server that is asked again, because its answer got lost, says that the name exists: it is our own file then (open(2) tells to look). */
async function linkTo(files: VaultFiles, { name, temporaryPath, finalPath }: NameTarget): Promise<void> {
  try {
    await answered(files.link(temporaryPath, finalPath));
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    if (!(await isSameFile(files, temporaryPath, finalPath))) throw nameTaken(name);
  }
}

/** Only for who holds the claim: rename(2) writes over what is there. */
async function renameTo(files: VaultFiles, { name, temporaryPath, finalPath }: NameTarget): Promise<void> {
  if ((await lookAt(files, finalPath)) !== null) throw nameTaken(name);
  try {
    await answered(files.rename(temporaryPath, finalPath));
  } catch (error) {
    // Asked again likewise: what was to be renamed is gone, and nobody else could have made the name meanwhile.
    if (!hasCode(error, 'ENOENT') || (await lookAt(files, finalPath)) === null) throw error;
  }
}

async function underClaim(files: VaultFiles, target: NameTarget, act: () => Promise<void>): Promise<void> {
  const claim = join(dirname(target.temporaryPath), `claim-${createHash('sha256').update(target.name).digest('hex')}`);
  await takeClaim(files, claim, target);
  try {
    await act();
  } finally {
    await files.unlink(claim).catch(() => undefined);
  }
}

async function takeClaim(files: VaultFiles, claim: string, { name, finalPath, description }: NameTarget): Promise<void> {
  for (let attempt = 1; attempt <= CLAIM_TRIES; attempt += 1) {
    try {
      const file = await answered(files.open(claim, 'wx', 0o600));
      await file.close();
      return;
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
      if ((await lookAt(files, finalPath)) !== null) throw nameTaken(name);
    }
    await sleep(CLAIM_WAIT_MS);
  }
  throw new DrydockError('Busy', `another writer has claimed ${name} in ${description} and does not finish`, { remedy: 'if no other Drydock runs, its claim is removed by a check of the vault one hour after it was made' });
}
