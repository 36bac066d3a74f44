/**
 * Which vault this installation has used under each name of drydock.yaml: `<stateDir>/vaults/<name>.json`. A disk that is not mounted, and a folder that was
 * moved away, look like a place for a new vault; this memory tells them apart.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import { hasCode } from './fs-errors';
import type { Vault } from './vault';
import { checkVaultFile, VAULT_FILE_MAX_BYTES } from './vault-file';

const memory = z.object({ id: z.uuid() });

/** A vault under the name that drydock.yaml gives it. */
export interface NamedVault {
  vault: Vault;
  name: string;
  stateDir: string;
}

/**
 * Before anything is written to a vault or removed from it: throws Refused when it is another one than was last used under this name, or when none is there any
 * more. One that was never used is remembered as soon as it has an id; so call it again after the check that makes `vault.json`.
 */
export async function refuseOther(named: NamedVault): Promise<void> {
  const known = await knownId(named);
  if (known === null) {
    // A damaged `vault.json` has no id to keep; whether it is in the way is for the step to say.
    const first = await vaultId(named.vault).catch(unlessDamaged);
    if (first !== null) await remember(named, first);
    return;
  }
  const id = await vaultId(named.vault);
  if (id !== known) throw refusal(named, known, id);
}

/** For those who only look, and need no stateDir: what `refuseOther` would throw; null when nothing speaks against the vault. Keeps nothing. */
export async function findOther(named: NamedVault): Promise<DrydockError | null> {
  const known = await knownId(named).catch(() => null);
  if (known === null) return null;
  const id = await vaultId(named.vault).catch(unlessDamaged);
  return id === known ? null : refusal(named, known, id);
}

/** Id of the vault that was last used under this name; null when none was. Throws Refused when the memory cannot be read. */
export async function knownId({ name, stateDir }: NamedVault): Promise<string | null> {
  const file = fileOf(stateDir, name);
  try {
    return memory.parse(JSON.parse(await readFile(file, 'utf8'))).id;
  } catch (cause) {
    if (hasCode(cause, 'ENOENT')) return null;
    throw new DrydockError('Refused', `${file}, which says what vault was last used as "${name}", cannot be read`, {
      remedy: `mend its rights or its disk; or, when the vault is the right one, say so with \`drydock vault init ${name} --new\``, cause,
    });
  }
}

/** From now on this is the vault of that name. Written aside and renamed, so that two workers never read half of it. Throws NotPermitted. */
export async function remember({ name, stateDir }: NamedVault, id: string): Promise<void> {
  const file = fileOf(stateDir, name);
  const aside = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(aside, `${JSON.stringify({ id })}\n`, { mode: 0o600, flush: true });
    await rename(aside, file);
  } catch (cause) {
    await rm(aside, { force: true }).catch(() => undefined);
    throw new DrydockError('NotPermitted', `${file}, which keeps what vault is used as "${name}", cannot be written`, { remedy: 'check stateDir, its rights and its disk', cause });
  }
}

/** Null where no vault is. Throws IntegrityMismatch for a damaged `vault.json`, VersionMismatch, and what keeps us from looking. */
export async function vaultId(vault: Vault): Promise<string | null> {
  try {
    return checkVaultFile(await vault.readAll(vaultPaths.vaultFile, VAULT_FILE_MAX_BYTES), vault.description).id;
  } catch (error) {
    if (error instanceof DrydockError && error.kind === 'NotFound') return null;
    throw error;
  }
}

function unlessDamaged(error: unknown): null {
  if (error instanceof DrydockError && !error.retryable && error.kind !== 'VersionMismatch') return null;
  throw error;
}

function refusal({ vault, name }: NamedVault, known: string, id: string | null): DrydockError {
  const what = id === null ? 'is not there: it has no vault.json' : `is another vault (id ${id})`;
  return new DrydockError('Refused', `the vault "${name}" (${vault.description}) ${what}, and the one that was used here before has the id ${known}`, {
    remedy: `mount it, or correct vaults.${name} in drydock.yaml; when it is really to be a new one, say so where the worker runs with \`drydock vault init ${name} --new\``,
  });
}

function fileOf(stateDir: string, name: string): string {
  return join(stateDir, 'vaults', `${name}.json`);
}
