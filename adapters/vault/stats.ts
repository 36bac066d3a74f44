/** What the clusters in a vault take up, by its names and manifests. */
import { DrydockError } from '../../domain/errors';
import { clusterStats, type ClusterStats, type FolderSize, type SealedStats } from '../../domain/vault-stats';
import { readAhead } from '../stream/at-once';
import { takeInventory, type ClusterFiles } from './inventory';
import { tryManifest } from './read-manifests';
import { SegmentLists } from './segment-lists';
import type { Vault, VaultEntry } from './vault';

const READS_AHEAD = 16;

export interface VaultStats {
  names: number;
  bytes: number;
  clusters: ClusterStats[];
}

/** Of one cluster, or of all. */
export async function vaultStats(vault: Vault, only?: string, signal?: AbortSignal): Promise<VaultStats> {
  const { clusters, names, bytes } = await takeInventory(vault, signal);
  const stats: ClusterStats[] = [];
  for (const [cluster, files] of clusters) if (only === undefined || cluster === only) stats.push(await statsOf(vault, cluster, files, signal));
  return { names, bytes, clusters: stats };
}

async function statsOf(vault: Vault, cluster: string, files: ClusterFiles, signal?: AbortSignal): Promise<ClusterStats> {
  const backups: SealedStats[] = [];
  const lists = new SegmentLists();
  let unreadable = 0;
  const sealed = [...files.backups].flatMap(([id, folder]) => (folder.has('manifest.json') ? [id] : []));
  for await (const manifest of readAhead(sealed, READS_AHEAD, (id) => tryManifest(vault, cluster, id))) {
    signal?.throwIfAborted();
    if (manifest === null) continue;
    const segments = typeof manifest === 'string' ? null : await lists.of(vault, manifest.artifacts.segments, signal).catch(unlessDamaged);
    if (typeof manifest === 'string' || segments === null) unreadable += 1;
    else backups.push({ manifest, segments });
  }
  const marked = new Set(files.tombstones.map(({ id }) => id));
  return clusterStats({
    cluster,
    backups,
    unreadable,
    segments: [...files.segments].map(([id, parts]) => ({ id, bytes: sizeOf(parts.values()), isMarked: marked.has(id) })),
    folders: new Map([...files.backups].map(([id, folder]) => [id, folderSize(folder)])),
    otherBytes: sizeOf([...files.verdicts, ...files.tombstones].map(({ entry }) => entry)) + sizeOf(files.operations),
  });
}

function unlessDamaged(error: unknown): null {
  if (error instanceof DrydockError && !error.retryable) return null;
  throw error;
}

function folderSize(folder: Map<string, VaultEntry>): FolderSize {
  const size: FolderSize = { metadata: 0, lists: 0, other: 0 };
  for (const [file, entry] of folder) size[/^(metadata|tree)\./.test(file) ? 'metadata' : file.includes('.jsonl') ? 'lists' : 'other'] += entry.size;
  return size;
}

function sizeOf(entries: Iterable<VaultEntry>): number {
  let sum = 0;
  for (const { size } of entries) sum += size;
  return sum;
}
