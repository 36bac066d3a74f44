/** The manifests of one cluster, for looks over all of a vault. */
import { backupIdSchema } from '../../domain/contract';
import { DrydockError } from '../../domain/errors';
import type { Manifest } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';
import { readManifest } from './manifest-file';
import type { Vault } from './vault';

/** Ids of the cluster's sealed backups, in order. A folder without a manifest is an unfinished backup: it does not exist. */
export async function sealedIds(vault: Vault, cluster: string): Promise<string[]> {
  const ids: string[] = [];
  const prefix = vaultPaths.backups(cluster);
  for await (const { name } of vault.list(prefix)) {
    const id = name.slice(prefix.length).split('/', 1)[0] ?? '';
    if (name === vaultPaths.manifest(cluster, id) && backupIdSchema.safeParse(id).success) ids.push(id);
  }
  return ids;
}

/** A manifest, or one sentence why it cannot be used; null when it has just gone. */
export async function tryManifest(vault: Vault, cluster: string, id: string): Promise<Manifest | string | null> {
  try {
    return (await readManifest(vault, cluster, id)).manifest;
  } catch (error) {
    if (!(error instanceof DrydockError) || error.retryable) throw error;
    return error.kind === 'NotFound' ? null : error.message;
  }
}
