/** `vault.json`: says that a place is a vault, of which format, and which one. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { DrydockError, noVault } from '../../domain/errors';
import { FORMAT_VERSION, vaultPaths } from '../../domain/vault-format';
import type { Vault } from './vault';

export const VAULT_FILE_MAX_BYTES = 64 * 1024;

const vaultHead = z.object({ kind: z.literal('drydock-vault'), format: z.int().min(1) });
const vaultFile = z.object({
  kind: z.literal('drydock-vault'),
  /** Version of the format of everything in the vault. */
  format: z.int().min(1),
  id: z.uuid(),
  created: z.iso.datetime(),
});
export type VaultFile = z.infer<typeof vaultFile>;

export function newVaultFile(): string {
  const content: VaultFile = { kind: 'drydock-vault', format: FORMAT_VERSION, id: randomUUID(), created: new Date().toISOString() };
  return `${JSON.stringify(content)}\n`;
}

/**
 * Before a vault is read or something in it is removed. Throws VersionMismatch when a newer Drydock wrote it; a `vault.json` that is gone or damaged keeps nobody from
 * the backups beside it.
 */
export async function refuseNewer(vault: Vault): Promise<void> {
  try {
    checkVaultFile(await vault.readAll(vaultPaths.vaultFile, VAULT_FILE_MAX_BYTES), vault.description);
  } catch (error) {
    if (error instanceof DrydockError && !error.retryable && error.kind !== 'VersionMismatch') return;
    throw error;
  }
}

/** Before something is taken for gone: throws NotFound, about the vault, where no `vault.json` stands. A disk that is not mounted is an empty folder. */
export async function refuseNone(vault: Vault): Promise<void> {
  if ((await vault.stat(vaultPaths.vaultFile)) !== null) return;
  throw noVault(`${vault.description} is no vault: it has no vault.json`, { remedy: 'if it held backups before, look at its mount' });
}

/** Throws IntegrityMismatch when it is not readable, VersionMismatch when a newer Drydock wrote it. */
export function checkVaultFile(content: Buffer, description: string): VaultFile {
  let parsed: unknown;
  try {
    parsed = JSON.parse(content.toString('utf8'));
  } catch (cause) {
    throw new DrydockError('IntegrityMismatch', `vault.json in ${description} is not JSON`, { remedy: 'put it back from a copy of the vault', cause });
  }
  // First of all: a later format may look different in all else.
  const head = vaultHead.safeParse(parsed);
  if (head.success && head.data.format > FORMAT_VERSION) {
    throw new DrydockError('VersionMismatch', `${description} has format ${head.data.format}; this Drydock knows format ${FORMAT_VERSION} at most`, { remedy: 'use the newer Drydock that wrote it' });
  }
  const result = vaultFile.safeParse(parsed);
  if (!result.success) {
    throw new DrydockError('IntegrityMismatch', `vault.json in ${description} is not that of a Drydock vault`, { remedy: 'choose another directory, or put the file back from a copy of the vault' });
  }
  return result.data;
}
