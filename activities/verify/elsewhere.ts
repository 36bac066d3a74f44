/** Whether another vault still holds what a verification found damaged. */
import { readManifest } from '../../adapters/vault/manifest-file';
import { DrydockError } from '../../domain/errors';
import type { Manifest, SegmentRef } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';
import type { Finding } from '../../domain/verify';
import type { Cluster } from '../cluster';
import { sealedRecords } from '../copy/records';
import { Elsewhere } from '../intact';

/** So many are looked for: each is read as a whole. */
const MOST = 100;

/** `segments`: none where their list is damaged. Adds `intactIn` where a copy (or, for a copy, the first vault) has the file as it was sealed. */
export async function findElsewhere(cluster: Cluster, manifest: Manifest, segments: readonly SegmentRef[], findings: Finding[]): Promise<Finding[]> {
  if (findings.length === 0 || cluster.otherVaults().length === 0) return findings;
  const records = sealedRecords(cluster.name, manifest, segments);
  const elsewhere = new Elsewhere(cluster);
  const found: Finding[] = [];
  for (const [at, finding] of findings.entries()) {
    const name = finding.file ?? (finding.segment === null ? null : vaultPaths.segment(cluster.name, finding.segment));
    const record = name === null || at >= MOST ? undefined : records.get(name);
    const intactIn = record && (await elsewhere.find(record));
    found.push(typeof intactIn === 'string' ? { ...finding, intactIn } : finding);
  }
  return found;
}

/** Another vault that has a manifest of this backup which can be read; undefined when none is known to. */
export async function manifestElsewhere(cluster: Cluster, backupId: string): Promise<string | undefined> {
  for (const { name, vault } of cluster.otherVaults()) {
    try {
      await readManifest(vault, cluster.name, backupId);
      return name;
    } catch (error) {
      if (!(error instanceof DrydockError)) throw error;
    }
  }
  return undefined;
}
