/** `<cluster>/operations/` of a vault. */
import { DrydockError, noVault } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import type { Vault } from '../../adapters/vault/vault';
import { findOther, knownId, vaultId, type NamedVault } from '../../adapters/vault/known-vaults';
import { newProbe } from '../../adapters/vault/probe';
import { RECORD_MAX_BYTES, RECORD_NAME, type ChangePlace } from './place';

/**
 * `cleanUp`: the same vault as it may be used when the step was cancelled. A vault that is not the known one (a disk that is not mounted looks like that) cannot be looked at; where none was ever made or used, nothing lies and nothing is put.
 */
export function vaultPlace(named: NamedVault, cluster: string, cleanUp: Vault = named.vault): ChangePlace {
  const { vault, name } = named;
  const folder = vaultPaths.operations(cluster);
  /** False where there is no vault yet. */
  const isThere = async (): Promise<boolean> => {
    const other = await findOther(named);
    if (other) throw other;
    return (await knownId(named).catch(() => null)) !== null || (await vaultId(vault)) !== null;
  };
  const mustBeThere = async (): Promise<void> => {
    if (await isThere()) return;
    throw noVault(`the vault "${name}" (${vault.description}) has no vault.json`, { remedy: `make it with \`drydock vault init ${name}\`` });
  };
  return {
    name: `vault ${name}`,
    kind: 'vault',
    async list() {
      if (!(await isThere())) return [];
      const found: { name: string; text: string }[] = [];
      for await (const entry of vault.list(folder)) {
        const file = entry.name.slice(folder.length);
        if (!RECORD_NAME.test(file)) continue;
        const content = await vault.readAll(entry.name, RECORD_MAX_BYTES).catch(unlessGone);
        if (content !== null) found.push({ name: file, text: content.toString('utf8') });
      }
      return found;
    },
    async put(file, text) {
      await mustBeThere();
      try {
        await vault.put(vaultPaths.operation(cluster, file), text);
      } catch (error) {
        if (!(error instanceof DrydockError && error.kind === 'Conflict')) throw error;
        // Another attempt of the same step came before us, or our own answer was lost.
        if ((await vault.readAll(vaultPaths.operation(cluster, file), RECORD_MAX_BYTES)).toString('utf8') !== text) throw error;
      }
    },
    async remove(file) {
      if (await isThere()) await vault.remove(vaultPaths.operation(cluster, file));
    },
    async tryOut() {
      await mustBeThere();
      const probe = newProbe();
      await vault.put(probe, '');
      await cleanUp.remove(probe);
    },
  };
}

/** Removed while we were listing. */
function unlessGone(error: unknown): null {
  if (error instanceof DrydockError && error.kind === 'NotFound') return null;
  throw error;
}
