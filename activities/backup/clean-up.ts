import { rm } from 'node:fs/promises';
import { vaultPaths } from '../../domain/vault-format';
import { removeDeadAttempts } from '../bootstrapper';
import type { Cluster } from '../cluster';
import type { BackupStep } from '../contract';

/** Removes working files of this operation and, of an abandoned backup without a seal, what it stored under its id. Segments stay: the next backup uses them. */
export async function cleanUp(cluster: Cluster, step: BackupStep, abandoned: boolean): Promise<void> {
  await rm(await cluster.workDir(step.operation), { recursive: true, force: true });
  const { vault, name } = cluster;
  if (!abandoned) return;
  if ((await vault.stat(vaultPaths.manifest(name, step.backupId))) === null) {
    for await (const entry of vault.list(`${vaultPaths.backup(name, step.backupId)}/`)) await vault.remove(entry.name);
  }
  await removeDeadAttempts(await cluster.engine(), step.operation);
}
