/** One sealed backup, opened with the keys at hand, without Temporal. */
import { loadDecryptionKeys } from '../adapters/openpgp/keyring';
import { openVault } from '../adapters/vault/open';
import { SealedBackup } from '../adapters/vault/sealed-backup';
import { backupIdSchema } from '../domain/contract';
import { DrydockError, noSuch } from '../domain/errors';
import { clusterOf, requiredConfig, type LoadedConfig } from './session';
import { clusterOfBackup, inVault, latestComplete, listBackups, newVaultNote } from './vaults';

export interface BackupChoice {
  config?: string;
  /** Needed for `latest` when several clusters are configured. */
  cluster?: string;
  /** Another vault than the cluster's own, such as a copy. */
  vault?: string;
}

/** Opens the backup (an id, or `latest`), and its vault until `work` is done. Throws NotFound, InvalidInput, AuthRejected, IntegrityMismatch. */
export async function withBackup<T>(id: string, choice: BackupChoice, work: (backup: SealedBackup) => Promise<T>, signal?: AbortSignal): Promise<T> {
  const loaded = await requiredConfig(choice.config);
  const local = inVault(loaded, choice.vault);
  const { cluster, backupId } = await find(local, id, choice.cluster);
  const { encryption, vault: name } = clusterOf(local, cluster);
  const vault = openVault(local.config.vaults[name]!);
  try {
    return await work(await SealedBackup.open(vault, cluster, backupId, await loadDecryptionKeys(encryption), signal));
  } finally {
    await vault.close();
  }
}

async function find(local: LoadedConfig, id: string, cluster: string | undefined): Promise<{ cluster: string; backupId: string }> {
  if (id === 'latest') return findLatest(local, cluster);
  if (!backupIdSchema.safeParse(id).success) {
    throw new DrydockError('InvalidInput', `"${id}" is not a backup's id`, { remedy: 'give an id like 20261123T020000Z-1a2b3c from `drydock list`, or latest' });
  }
  if (cluster === undefined) return { cluster: await clusterOfBackup(local, id), backupId: id };
  clusterOf(local, cluster);
  const only = { ...local, config: { ...local.config, clusters: { [cluster]: local.config.clusters[cluster]! } } };
  return { cluster: await clusterOfBackup(only, id), backupId: id };
}

async function findLatest(local: LoadedConfig, cluster: string | undefined): Promise<{ cluster: string; backupId: string }> {
  const names = Object.keys(local.config.clusters);
  const name = cluster ?? (names.length === 1 ? names[0] : undefined);
  if (name === undefined) throw new DrydockError('InvalidInput', 'latest of which cluster?', { remedy: `add --cluster, one of: ${names.join(', ')}` });
  const latest = latestComplete(await listBackups(local, name));
  if (!latest) throw noSuch(`there is no complete backup of ${name}`, { remedy: (await newVaultNote(local, name)) ?? 'see `drydock list`' });
  return { cluster: name, backupId: latest.id };
}
