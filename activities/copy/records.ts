/** Every object of a sealed backup with the size and digest that were sealed. */
import type { ObjectRecord } from '../../adapters/vault/copy-object';
import type { Manifest, SegmentRef } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';

/** Of `SHA256SUMS`. */
export const SUMS_MAX_BYTES = 64 * 1024 * 1024;

export type SealedRecord = Required<ObjectRecord>;

/** In the order in which they are written: the index says that the segment before it is whole. */
export function segmentRecords(cluster: string, { segment, bytes, sha256, index, wrapped }: SegmentRef): SealedRecord[] {
  const name = vaultPaths.segment(cluster, segment);
  return [
    { name, bytes, sha256 },
    ...(wrapped?.keys ?? []).map((key) => ({ name: vaultPaths.wrappedKeys(name, key.recipient), bytes: key.bytes, sha256: key.sha256 })),
    { name: vaultPaths.segmentIndex(cluster, segment), ...index },
  ];
}

export function artifactRecords({ artifacts }: Manifest): SealedRecord[] {
  return Object.values(artifacts).flatMap((artifact) => (artifact ? [{ name: artifact.name, bytes: artifact.bytes, sha256: artifact.sha256 }] : []));
}

/** Whether a backup's `SHA256SUMS` has the digest that was sealed for every object that the manifest names. */
export function checksumsAgree(cluster: string, manifest: Manifest, sums: ReadonlyMap<string, string>): boolean {
  const folder = `${vaultPaths.backup(cluster, manifest.backupId)}/`;
  return [...sealedRecords(cluster, manifest).values()].every(({ name, sha256 }) => sums.get(name.startsWith(folder) ? name.slice(folder.length) : `../../${name.slice(cluster.length + 1)}`) === sha256);
}

/** By name. */
export function sealedRecords(cluster: string, manifest: Manifest): Map<string, SealedRecord> {
  const all = [...manifest.segments.flatMap((ref) => segmentRecords(cluster, ref)), ...artifactRecords(manifest)];
  return new Map(all.map((record) => [record.name, record]));
}
