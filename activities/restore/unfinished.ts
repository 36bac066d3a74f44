/** A mark in the vault from the point of no return until the end of a restore, so that the same restore can be started again without force. */
import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import type { RestoreDecisions } from '../../domain/plan';

/** Twice is as good as once. */
export async function markUnfinished({ vault, name }: Cluster, { operation, decisions }: { operation: string; decisions: RestoreDecisions }): Promise<void> {
  try {
    await vault.put(vaultPaths.unfinishedRestore(name), `${JSON.stringify({ operation, backupId: decisions.backupId })}\n`);
  } catch (error) {
    if (!(error instanceof DrydockError && error.kind === 'Conflict')) throw error;
  }
}

export async function markFinished({ vault, name }: Cluster): Promise<void> {
  await vault.remove(vaultPaths.unfinishedRestore(name));
}

/** True when a restore of this cluster passed the point of no return and did not end. */
export async function isUnfinished({ vault, name }: Cluster): Promise<boolean> {
  return (await vault.stat(vaultPaths.unfinishedRestore(name))) !== null;
}
