/** What a person forgot in one vault must not come back out of another: its mark outlives it there. */
import { readForgotten } from '../../adapters/vault/marks';
import { sealedIds } from '../../adapters/vault/read-manifests';
import type { Vault } from '../../adapters/vault/vault';
import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';

/**
 * Names of the tombstones by which a person gave up some of these backups, and which stay although the backups go: as long as another vault of the
 * cluster holds such a backup, or cannot be asked, a copy would bring it back.
 */
export async function standingMarks(cluster: Cluster, backups: readonly string[]): Promise<Set<string>> {
  const forgotten = await readForgotten(cluster.vault, cluster.name, new Set(backups));
  if (forgotten.size === 0) return new Set();
  const held = await heldElsewhere(cluster);
  return new Set([...forgotten].flatMap(([id, names]) => (held(id) ? names : [])));
}

/** Whether another vault of the cluster holds a backup, for all that can be known now. */
export async function heldElsewhere(cluster: Cluster): Promise<(id: string) => boolean> {
  const held = new Set<string>();
  for (const { vault } of cluster.otherVaults()) {
    const ids = await idsIn(vault, cluster.name);
    if (ids === null) return () => true;
    for (const id of ids) held.add(id);
  }
  return (id) => held.has(id);
}

/** Null when nobody can say: it does not answer, or is no vault, as a disk that is not mounted. */
async function idsIn(vault: Vault, cluster: string): Promise<string[] | null> {
  try {
    return (await vault.stat(vaultPaths.vaultFile)) === null ? null : await sealedIds(vault, cluster);
  } catch (error) {
    if (error instanceof DrydockError) return null;
    throw error;
  }
}
