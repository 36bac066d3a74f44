/** What the check of every kind of vault has in common: the vault file, and one small object written, read and removed. */
import { randomBytes } from 'node:crypto';
import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import { checkVaultFile, newVaultFile, VAULT_FILE_MAX_BYTES } from './vault-file';
import type { Vault } from './vault';

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

/** Writes a probe, does something with it, and removes it whatever happens. Throws VaultUnavailable when it does not come back as it was. */
export async function tryProbe(vault: Vault, more: (name: string) => Promise<void> = () => Promise.resolve()): Promise<void> {
  const name = `probe-${randomBytes(8).toString('hex')}`;
  await vault.put(name, name);
  try {
    if ((await vault.readAll(name, 1024)).toString() !== name) {
      throw new DrydockError('VaultUnavailable', `${vault.description} gives back other bytes than were written`, { remedy: 'check the disk, the mount or the server of the vault' });
    }
    await more(name);
  } finally {
    await vault.remove(name);
  }
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
