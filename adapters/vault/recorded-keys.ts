/** Digests of `.keys` files as sealed backups record them. */
import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import { tryManifest } from './read-manifests';
import { segmentsOf } from './segment-list';
import type { Vault } from './vault';

/** So many manifests are read: a backup records the files of all segments that it uses, so the newest few have nearly all. */
const MOST_MANIFESTS = 10;

/** By name, for those of `names` (all of one cluster) that a manifest records; the newest manifest counts. */
export async function recordedKeys(vault: Vault, cluster: string, names: readonly string[]): Promise<Map<string, string>> {
  const open = new Set(names);
  const found = new Map<string, string>();
  for (const id of open.size === 0 ? [] : await newestSealed(vault, cluster)) {
    const manifest = await tryManifest(vault, cluster, id);
    if (manifest === null || typeof manifest === 'string') continue;
    for (const { segment, wrapped } of await segmentsOf(vault, manifest).catch(unlessDamaged)) {
      for (const { recipient, sha256 } of wrapped?.keys ?? []) {
        const name = vaultPaths.wrappedKeys(vaultPaths.segment(cluster, segment), recipient);
        if (open.delete(name)) found.set(name, sha256);
      }
    }
    if (open.size === 0) break;
  }
  return found;
}

/** What cannot be read records nothing. */
function unlessDamaged(error: unknown): never[] {
  if (error instanceof DrydockError && !error.retryable) return [];
  throw error;
}

async function newestSealed(vault: Vault, cluster: string): Promise<string[]> {
  const prefix = vaultPaths.backups(cluster);
  const ids: string[] = [];
  for await (const { name } of vault.list(prefix)) {
    const [id = '', file, ...deeper] = name.slice(prefix.length).split('/');
    if (file === 'manifest.json' && deeper.length === 0) ids.push(id);
  }
  // Ids begin with their time.
  return ids.sort().reverse().slice(0, MOST_MANIFESTS);
}
