/** A mark in the vault from the point of no return until the end of a restore, so that the same restore can be started again without force. */
import { z } from 'zod';
import { DrydockError } from '../../domain/errors';
import type { RestoreDecisions } from '../../domain/plan';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';

const MAX_BYTES = 1024 * 1024;
const mark = z.looseObject({ fences: z.array(z.string()).default([]) });

/** Twice is as good as once; hosts that an earlier attempt took out of the Swarm stay in the mark. */
export async function markUnfinished(cluster: Cluster, { operation, decisions }: { operation: string; decisions: RestoreDecisions }): Promise<void> {
  const name = vaultPaths.unfinishedRestore(cluster.name);
  const before = await unfinishedFences(cluster);
  const fences = [...new Set([...before, ...decisions.fences])].sort();
  const written = await isUnfinished(cluster);
  if (written && fences.length === before.length) return;
  // A vault never overwrites; until the new mark stands, this step is not done and is repeated.
  if (written) await cluster.vault.remove(name);
  await cluster.vault.put(name, `${JSON.stringify({ operation, backupId: decisions.backupId, fences })}\n`);
}

export async function markFinished({ vault, name }: Cluster): Promise<void> {
  await vault.remove(vaultPaths.unfinishedRestore(name));
}

/** True when a restore of this cluster passed the point of no return and did not end. */
export async function isUnfinished({ vault, name }: Cluster): Promise<boolean> {
  return (await vault.stat(vaultPaths.unfinishedRestore(name))) !== null;
}

/** Hosts that the attempts of this restore took out of the Swarm. */
export async function unfinishedFences({ vault, name }: Cluster): Promise<string[]> {
  try {
    return mark.parse(JSON.parse((await vault.readAll(vaultPaths.unfinishedRestore(name), MAX_BYTES)).toString('utf8'))).fences;
  } catch (error) {
    // No mark, or one that says nothing of hosts.
    if (error instanceof DrydockError && error.kind === 'VaultUnavailable') throw error;
    return [];
  }
}
