/**
 * Giving a written file its name, so that of several writers exactly one wins. The sure way is a hard link, which fails when the name exists.
 * Where server or file system has none, the writer first creates a claim file for the name with O_EXCL: only its holder looks whether
 * the name is free and renames. A claim lives for seconds; one that its writer left behind is removed by a later check of the vault.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DrydockError } from '../../domain/errors';
import { nameTaken } from './probe';
import type { SftpConnection } from './sftp-connection';
import { isStatus, sftpError, STATUS } from './sftp-errors';

export interface CommitTarget {
  /** Name in the vault, for messages. */
  name: string;
  temporaryPath: string;
  finalPath: string;
  /** Where claims lie. */
  temporaryDirectory: string;
  description: string;
}

const CLAIM_TRIES = 40;
const CLAIM_WAIT_MS = 250;

/** Throws Conflict when the name is taken, Busy when another writer's claim on it does not go away. The temporary file is gone afterwards, or left where this throws. */
export async function giveName(connection: SftpConnection, target: CommitTarget): Promise<void> {
  if (await linked(connection, target)) {
    await connection.raw<void>((sftp, done) => sftp.unlink(target.temporaryPath, (error) => done(error, undefined))).catch(() => undefined);
    return;
  }
  await renameUnderClaim(connection, target);
}

/** False where there are no hard links. */
async function linked(connection: SftpConnection, { name, temporaryPath, finalPath, description }: CommitTarget): Promise<boolean> {
  try {
    await connection.raw<void>((sftp, done) => sftp.ext_openssh_hardlink(temporaryPath, finalPath, (error) => done(error, undefined)));
    return true;
  } catch (error) {
    if (error instanceof DrydockError) throw error;
    if (await connection.lstat(finalPath, `write ${name}`)) throw nameTaken(name);
    // ssh2's own error has no status: the server does not know the request at all.
    if (!isStatus(error) || isStatus(error, STATUS.permissionDenied, STATUS.failure, STATUS.unsupported)) return false;
    throw sftpError(error, description, `write ${name}`);
  }
}

async function renameUnderClaim(connection: SftpConnection, target: CommitTarget): Promise<void> {
  const { name, temporaryPath, finalPath } = target;
  const doing = `write ${name}`;
  const claim = `${target.temporaryDirectory}/claim-${createHash('sha256').update(name).digest('hex')}`;
  await takeClaim(connection, claim, target);
  try {
    if (await connection.lstat(finalPath, doing)) throw nameTaken(name);
    await connection.call<void>(doing, (sftp, done) => sftp.rename(temporaryPath, finalPath, (error) => done(error, undefined)));
  } finally {
    await connection.raw<void>((sftp, done) => sftp.unlink(claim, (error) => done(error, undefined))).catch(() => undefined);
  }
}

async function takeClaim(connection: SftpConnection, claim: string, { name, finalPath, description }: CommitTarget): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await connection.closeHandle(await connection.raw<Buffer>((sftp, done) => sftp.open(claim, 'wx', 0o600, done)));
      return;
    } catch (error) {
      if (await connection.lstat(finalPath, `write ${name}`)) throw nameTaken(name);
      // "Failure" is all that SFTP says of a file that exists already.
      if (!isStatus(error, STATUS.failure)) throw sftpError(error, description, `write ${name}`);
    }
    if (attempt === CLAIM_TRIES) {
      throw new DrydockError('Busy', `another writer has claimed ${name} in ${description} and does not finish`, { remedy: 'if no other Drydock runs, its claim is removed by a check of the vault one hour after it was made' });
    }
    await sleep(CLAIM_WAIT_MS);
  }
}
