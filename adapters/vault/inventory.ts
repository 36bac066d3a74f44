/** All names of a vault, each put where it belongs by the format. One listing; nothing is read. */
import { backupIdSchema } from '../../domain/contract';
import { isProbe } from './probe';
import type { Vault, VaultEntry } from './vault';

export interface ClusterFiles {
  /** By segment, then by what stands behind its id: `tar.gpg`, `index`, `<key id>.keys`. */
  segments: Map<string, Map<string, VaultEntry>>;
  /** By backup, then by the name in its folder. */
  backups: Map<string, Map<string, VaultEntry>>;
  verdicts: { id: string; entry: VaultEntry }[];
  tombstones: { id: string; entry: VaultEntry }[];
  operations: VaultEntry[];
}

export interface Inventory {
  clusters: Map<string, ClusterFiles>;
  hasVaultFile: boolean;
  /** Names that the format does not know. */
  unknown: VaultEntry[];
  names: number;
  bytes: number;
}

const SEGMENT = /^([0-9A-Za-z][0-9A-Za-z-]*)\.(tar\.gpg|index|(?:passphrase-[0-9a-f]{16}|[0-9A-F]{40})\.keys)$/;
const ARTIFACT = /^(?:manifest\.json|manifest\.json\.asc|SHA256SUMS|RESTORE\.md|[A-Za-z0-9._-]+\.(?:gpg|jsonl|keys))$/;
const VERDICT = /^[0-9TZ.]+\.(?:json|findings\.jsonl\.gz\.gpg|segments\.jsonl)$/;
const CHANGE = /^(?:freeze|stop|hold|restore)-[0-9a-f]{16}\.[1-9][0-9]*\.json$/;
const TOMBSTONE = /^([0-9A-Za-z][0-9A-Za-z-]*)\.[0-9TZ]+\.json$/;

/** What only Drydock writes: a time and random digits, alone or before what stands behind a segment's id. */
const STAMPED = /^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}(?:[0-9a-f]{6})?(?:$|\.)/;

export async function takeInventory(vault: Vault, signal?: AbortSignal): Promise<Inventory> {
  const inventory: Inventory = { clusters: new Map(), hasVaultFile: false, unknown: [], names: 0, bytes: 0 };
  for await (const entry of vault.list('')) {
    signal?.throwIfAborted();
    inventory.names += 1;
    inventory.bytes += entry.size;
    if (entry.name === 'vault.json') inventory.hasVaultFile = true;
    else if (!place(inventory, entry)) inventory.unknown.push(entry);
  }
  return inventory;
}

/** False for a name that the format does not know. */
function place(inventory: Inventory, entry: VaultEntry): boolean {
  const [cluster = '', kind = '', id = '', file = '', ...deeper] = entry.name.split('/');
  if (deeper.length > 0) return false;
  const files = (): ClusterFiles => clusterOf(inventory, cluster);
  if (kind === 'segments' && file === '') {
    const match = SEGMENT.exec(id);
    if (match) into(files().segments, match[1]!).set(match[2]!, entry);
    return match !== null;
  }
  if (kind === 'tombstones' && file === '') {
    const match = TOMBSTONE.exec(id);
    if (match) files().tombstones.push({ id: match[1]!, entry });
    return match !== null;
  }
  if (kind === 'operations' && file === '' && CHANGE.test(id)) {
    files().operations.push(entry);
    return true;
  }
  if (!backupIdSchema.safeParse(id).success) return false;
  if (kind === 'backups' && ARTIFACT.test(file)) {
    into(files().backups, id).set(file, entry);
    return true;
  }
  if (kind === 'verdicts' && VERDICT.test(file)) {
    files().verdicts.push({ id, entry });
    return true;
  }
  return false;
}

/**
 * Whether a name is beyond doubt one that Drydock wrote: in a bucket that others use as well, only such a one may be removed. Records of changes could be
 * another's, so their cluster must be among `known`, where the clusters of other names are added; names come in order, those of backups first.
 */
export function isSurelyOurs(name: string, known: Set<string>): boolean {
  if (name === 'vault.json' || isProbe(name) || name.startsWith('.drydock-tmp/')) return true;
  const nothing: Inventory = { clusters: new Map(), hasVaultFile: false, unknown: [], names: 0, bytes: 0 };
  if (!place(nothing, { name, size: 0, modified: new Date(0) })) return false;
  const [cluster = '', kind = '', id = ''] = name.split('/');
  if (kind === 'operations') return known.has(cluster);
  if (!STAMPED.test(id)) return false;
  known.add(cluster);
  return true;
}

function clusterOf(inventory: Inventory, cluster: string): ClusterFiles {
  const known = inventory.clusters.get(cluster) ?? { segments: new Map(), backups: new Map(), verdicts: [], tombstones: [], operations: [] };
  inventory.clusters.set(cluster, known);
  return known;
}

function into(map: Map<string, Map<string, VaultEntry>>, key: string): Map<string, VaultEntry> {
  const known = map.get(key) ?? new Map<string, VaultEntry>();
  map.set(key, known);
  return known;
}
