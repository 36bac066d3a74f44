/** Names of a backup's files while it is not sealed. Several attempts of one step may live at once: one that lost its server goes on until it notices. */
import { randomBytes } from 'node:crypto';
import { writeClear } from '../../adapters/vault/artifacts';
import { hasDigest } from '../../adapters/vault/copy-object';
import { isConflict } from '../../adapters/vault/probe';
import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import type { BackupStep } from '../contract';
import { sha256Of } from '../sha256';

/** A name that no other attempt writes, so that none can take another's file away: `tags.jsonl.gz.gpg` becomes `tags-1a2b3c4d.jsonl.gz.gpg`. The manifest names what counts. */
export function ownArtifact(cluster: Cluster, { backupId }: BackupStep, file: string): string {
  const [stem, ...ends] = file.split('.');
  return vaultPaths.artifact(cluster.name, backupId, [`${stem}-${randomBytes(4).toString('hex')}`, ...ends].join('.'));
}

/** Takes back what this attempt itself has stored under a name of its own. What cannot be removed is left to the clean-up. */
export async function withdraw({ vault, name }: Cluster, { backupId }: BackupStep, artifact: string): Promise<void> {
  try {
    if ((await vault.stat(vaultPaths.manifest(name, backupId))) === null) await vault.remove(artifact);
  } catch {
    // The reason why it is taken back matters more.
  }
}

/**
 * Writes one of the files whose names people know, in place of what another attempt left there. Throws Conflict when the backup is sealed: nothing of it
 * may change any more; Busy when another attempt writes the same at this moment.
 */
export async function writeKnown(cluster: Cluster, { backupId }: BackupStep, file: string, content: string): Promise<void> {
  const { vault } = cluster;
  await refuseSealed(cluster, backupId);
  const name = vaultPaths.artifact(cluster.name, backupId, file);
  if (await stands(vault, name, content)) return;
  await vault.remove(name);
  try {
    await writeClear(vault, name, content);
  } catch (error) {
    if (!isConflict(error)) throw error;
    throw new DrydockError('Busy', `another attempt of this backup writes ${name}`, { remedy: 'it is tried again', cause: error });
  }
}

/** Puts such a file back that the sealed manifest records and another attempt took away or replaced. */
export async function mendKnown({ vault, name: cluster }: Cluster, { backupId }: BackupStep, file: string, content: string): Promise<void> {
  const name = vaultPaths.artifact(cluster, backupId, file);
  if (await stands(vault, name, content)) return;
  await vault.remove(name);
  await writeClear(vault, name, content).catch((error: unknown) => {
    // The other attempt mends as well.
    if (!isConflict(error)) throw error;
  });
}

async function stands(vault: Cluster['vault'], name: string, content: string): Promise<boolean> {
  return (await vault.stat(name)) !== null && hasDigest(vault, { name, bytes: Buffer.byteLength(content), sha256: sha256Of(content) });
}

async function refuseSealed({ vault, name }: Cluster, backupId: string): Promise<void> {
  if ((await vault.stat(vaultPaths.manifest(name, backupId))) === null) return;
  throw new DrydockError('Conflict', `the backup ${backupId} of ${name} is sealed already`, { remedy: 'start another backup' });
}
