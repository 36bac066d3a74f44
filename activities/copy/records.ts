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

/** `RESTORE.md` and `SHA256SUMS`, in the order in which they are written; none where an older manifest does not record them. */
export function besideRecords(cluster: string, { backupId, beside }: Pick<Manifest, 'backupId' | 'beside'>): SealedRecord[] {
  if (!beside) return [];
  return (['RESTORE.md', 'SHA256SUMS'] as const).map((file) => ({ name: vaultPaths.artifact(cluster, backupId, file), ...beside[file] }));
}

/** Whether a backup's `SHA256SUMS` has the digest that was sealed for every segment and artifact that the manifest names. */
export function checksumsAgree(cluster: string, manifest: Manifest, sums: ReadonlyMap<string, string>): boolean {
  const folder = `${vaultPaths.backup(cluster, manifest.backupId)}/`;
  return [...manifest.segments.flatMap((ref) => segmentRecords(cluster, ref)), ...artifactRecords(manifest)].every(({ name, sha256 }) => sums.get(name.startsWith(folder) ? name.slice(folder.length) : `../../${name.slice(cluster.length + 1)}`) === sha256);
}

/** By name. */
export function sealedRecords(cluster: string, manifest: Manifest): Map<string, SealedRecord> {
  const all = [...manifest.segments.flatMap((ref) => segmentRecords(cluster, ref)), ...artifactRecords(manifest), ...besideRecords(cluster, manifest)];
  return new Map(all.map((record) => [record.name, record]));
}
