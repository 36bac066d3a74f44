import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import type { BackupStep } from '../contract';

/**
 * Name of an artifact of this backup, free to be written: what an earlier attempt left there is removed, since names are created once.
 * Throws Conflict when the backup is sealed: nothing of it may change any more.
 */
export async function clearArtifact(cluster: Cluster, { backupId }: BackupStep, file: string): Promise<string> {
  await refuseSealed(cluster, backupId);
  const name = vaultPaths.artifact(cluster.name, backupId, file);
  await cluster.vault.remove(name);
  return name;
}

export async function refuseSealed({ vault, name }: Cluster, backupId: string): Promise<void> {
  if ((await vault.stat(vaultPaths.manifest(name, backupId))) === null) return;
  throw new DrydockError('Conflict', `the backup ${backupId} of ${name} is sealed already`, { remedy: 'start another backup' });
}
