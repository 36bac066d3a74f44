import { rm } from 'node:fs/promises';
import type { Vault } from '../../adapters/vault/vault';
import { readManifest } from '../../adapters/vault/manifest-file';
import { refuseNone } from '../../adapters/vault/vault-file';
import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import type { BackupStep } from '../contract';
import { artifactRecords, besideRecords } from '../copy/records';
import { removeDeadAttempts } from '../operation-label';

/** How the backup ended: without a seal; and before it stored anything, perhaps before it had a vault. */
export interface Ended {
  abandoned: boolean;
  nothingStored?: boolean;
}

/**
 * Removes working files of this operation and, of an abandoned backup without a seal, what it stored under its id; of a sealed one, what attempts left that
 * its manifest does not name. Segments stay: the next backup uses them. Throws what kept it from the vault, after all else is done.
 */
export async function cleanUp(cluster: Cluster, step: BackupStep, { abandoned, nothingStored = false }: Ended): Promise<void> {
  await rm(await cluster.workDir(step.operation), { recursive: true, force: true });
  try {
    if (!nothingStored) await cleanVault(cluster, step.backupId, abandoned);
  } finally {
    if (abandoned || cluster.config.images === 'docker') await removeDeadAttempts(await cluster.engine(), step.operation);
  }
}

/** What is not there counts as removed in the known vault alone: a disk that is not mounted shows nothing of what lies on it. */
async function cleanVault(cluster: Cluster, backupId: string, abandoned: boolean): Promise<void> {
  const { vault, name } = cluster;
  await cluster.refuseOtherVault();
  await refuseNone(vault);
  try {
    await (abandoned ? removeUnsealed : removeUnnamed)(vault, name, backupId);
  } catch (error) {
    if (!(error instanceof DrydockError && error.kind === 'NotFound')) throw error;
    // One that has been forgotten since its seal has no manifest.
    await refuseNone(vault);
  }
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
  let isBroken = false;
  for await (const { name } of vault.list(`${vaultPaths.backup(cluster, backupId)}/`)) {
    if (name === manifest) continue;
    // Asked each time: a worker that was given up may have sealed the backup in this very moment, and then all of it stays.
    if (!isBroken && (await vault.stat(manifest)) !== null) return;
    await vault.remove(name);
    isBroken = true;
  }
  // Sealed after the first of its files had gone: nobody may take this for a backup. Absent counts as removed.
  if (isBroken) await vault.remove(manifest);
  await vault.removeFolder(vaultPaths.backup(cluster, backupId));
}
