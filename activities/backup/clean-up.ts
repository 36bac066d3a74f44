import { rm } from 'node:fs/promises';
import type { Vault } from '../../adapters/vault/vault';
import { readManifest } from '../../adapters/vault/manifest-file';
import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import type { BackupStep } from '../contract';
import { artifactRecords, besideRecords } from '../copy/records';
import { removeDeadAttempts } from '../operation-label';

/**
 * Removes working files of this operation and, of an abandoned backup without a seal, what it stored under its id; of a sealed one, what attempts left that
 * its manifest does not name. Segments stay: the next backup uses them.
 */
export async function cleanUp(cluster: Cluster, step: BackupStep, abandoned: boolean): Promise<void> {
  await rm(await cluster.workDir(step.operation), { recursive: true, force: true });
  const { vault, name } = cluster;
  try {
    await (abandoned ? removeUnsealed : removeUnnamed)(vault, name, step.backupId);
  } catch (error) {
    // A backup that the check refused may have come before its vault, and one that has been forgotten since its seal has no manifest.
    if (!(error instanceof DrydockError && error.kind === 'NotFound')) throw error;
  }
  if (!abandoned && cluster.config.images !== 'docker') return;
  await removeDeadAttempts(await cluster.engine(), step.operation);
}

/** Whoever cannot read the manifest knows of nothing that it does not name. */
async function removeUnnamed(vault: Vault, cluster: string, backupId: string): Promise<void> {
  const { manifest } = await readManifest(vault, cluster, backupId);
  const named = new Set([vaultPaths.manifest(cluster, backupId), vaultPaths.signature(cluster, backupId), ...[...artifactRecords(manifest), ...besideRecords(cluster, manifest)].map((record) => record.name)]);
  const unnamed: string[] = [];
  for await (const { name } of vault.list(`${vaultPaths.backup(cluster, backupId)}/`)) if (!named.has(name) && !name.endsWith('.keys')) unnamed.push(name);
  for (const name of unnamed) await vault.remove(name);
}

async function removeUnsealed(vault: Vault, cluster: string, backupId: string): Promise<void> {
  const manifest = vaultPaths.manifest(cluster, backupId);
  for await (const { name } of vault.list(`${vaultPaths.backup(cluster, backupId)}/`)) {
    // Asked each time: a worker that was given up may have sealed the backup in this very moment, and then all of it stays.
    if ((await vault.stat(manifest)) !== null) return;
    await vault.remove(name);
  }
  await vault.removeFolder(vaultPaths.backup(cluster, backupId));
}
