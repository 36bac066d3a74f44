/** What the check of every kind of vault has in common: the vault file, and one small object written, read and removed. */
import { randomBytes } from 'node:crypto';
import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import { checkVaultFile, newVaultFile, VAULT_FILE_MAX_BYTES } from './vault-file';
import type { Vault, VaultEntry } from './vault';

/** Creates vault.json in a new vault. Throws IntegrityMismatch or VersionMismatch for one that this Drydock must not use. */
export async function ensureVaultFile(vault: Vault): Promise<void> {
  if (!(await vault.stat(vaultPaths.vaultFile))) {
    try {
      await vault.put(vaultPaths.vaultFile, newVaultFile());
      return;
    } catch (error) {
      // Another worker made it at the same moment.
      if (!isConflict(error)) throw error;
    }
  }
  checkVaultFile(await vault.readAll(vaultPaths.vaultFile, VAULT_FILE_MAX_BYTES), vault.description);
}

const PREFIX = 'probe-';
/** In a bucket that others use as well, theirs may be called so, too. */
const PROBE = /^probe-[0-9a-f]{16}$/;
/** No look at a vault takes so long: what is older was left by a worker that died. */
const LEFT_MS = 3_600_000;

/** The name of a probe; where whoever wrote it died, a later check of the vault removes it. */
export function newProbe(): string {
  return `${PREFIX}${randomBytes(8).toString('hex')}`;
}

export function isProbe(name: string): boolean {
  return PROBE.test(name);
}

/** Removes what dead workers left, by the vault's own time, and says whether `own` is listed. */
async function sweepProbes(vault: Vault, own: VaultEntry): Promise<boolean> {
  let isListed = false;
  const left: string[] = [];
  for await (const { name, modified } of vault.list(PREFIX)) {
    isListed ||= name === own.name;
    if (isProbe(name) && own.modified.getTime() - modified.getTime() > LEFT_MS) left.push(name);
  }
  for (const name of left) await vault.remove(name);
  return isListed;
}

/**
 * Writes a probe, reads it whole and in part, looks at it and for it, writes it a second time, which must be refused, and removes it whatever happens. Throws
 * VaultUnavailable when it does not come back as it was, Refused when the vault cannot do what backups rest on.
 */
export async function tryProbe(vault: Vault): Promise<void> {
  const name = newProbe();
  await vault.put(name, name);
  try {
    await comesBack(vault, name);
    await isRefused(vault, name);
  } finally {
    await vault.remove(name);
  }
  if ((await vault.stat(name)) !== null) throw cannot(vault, 'still shows what was removed', 'nothing can be pruned there');
}

async function comesBack(vault: Vault, name: string): Promise<void> {
  if ((await vault.readAll(name, 1024)).toString() !== name) throw otherBytes(vault);
  const found = await vault.stat(name);
  if (found?.size !== name.length) throw cannot(vault, `says that a file of ${name.length} bytes has ${found === null ? 'none' : found.size}`, 'sizes tell a whole file from a torn one');
  const part: Buffer[] = [];
  for await (const piece of (await vault.read(name, { offset: 3, length: 5 })) as AsyncIterable<Buffer>) part.push(piece);
  if (Buffer.concat(part).toString() !== name.slice(3, 8)) throw cannot(vault, 'gives another part of a file than was asked for', 'single images are read by ranges');
  if (!(await sweepProbes(vault, found))) throw cannot(vault, 'does not list what was written', 'what is not listed would be taken for gone');
}

/** Of two writers of one name exactly one may win. */
async function isRefused(vault: Vault, name: string): Promise<void> {
  const isTwice = await vault.put(name, name).then(() => true, (error: unknown) => {
    if (isConflict(error)) return false;
    throw error;
  });
  if (isTwice) throw cannot(vault, 'writes over a name that exists', 'two workers could write one backup');
}

function otherBytes(vault: Vault): DrydockError {
  return new DrydockError('VaultUnavailable', `${vault.description} gives back other bytes than were written`, { remedy: 'check the disk, the mount or the server of the vault' });
}

function cannot(vault: Vault, what: string, why: string): DrydockError {
  return new DrydockError('Refused', `${vault.description} ${what}, and ${why}`, { remedy: 'use another server or file system for the vault, or look at what stands between it and the worker' });
}

export function isConflict(error: unknown): boolean {
  return error instanceof DrydockError && error.kind === 'Conflict';
}

/** For `readAll` of any kind. */
export function tooLarge(name: string, size: number, maxBytes: number): DrydockError {
  return new DrydockError('IntegrityMismatch', `${name} has ${size} bytes, more than the ${maxBytes} it can have`, { remedy: 'the file is damaged or foreign; use another backup' });
}

/** For an upload that is committed twice, or after it was aborted. */
export function uploadOver(name: string, state: 'committed' | 'aborted'): DrydockError {
  return new DrydockError('Conflict', `the upload of ${name} was already ${state}`, { remedy: 'start a new one' });
}

/** The name is taken: of several writers exactly one wins. */
export function nameTaken(name: string): DrydockError {
  return new DrydockError('Conflict', `${name} exists already and is never rewritten`, { remedy: 'another writer was first; look whether two workers run the same operation' });
}
