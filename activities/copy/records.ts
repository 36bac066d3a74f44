/** Every object of a sealed backup with the size and digest that were sealed. */
import type { ObjectRecord } from '../../adapters/vault/copy-object';
import type { Manifest, SegmentRef } from '../../domain/manifest';
import { artifactsOf } from '../../domain/manifest-artifacts';
import { vaultPaths } from '../../domain/vault-format';

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

/** Those of unknown kinds, too. */
export function artifactRecords(manifest: Manifest): SealedRecord[] {
  return artifactsOf(manifest).map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 }));
}

/** `RESTORE.md` and `SHA256SUMS`, in the order in which they are written. */
export function besideRecords(cluster: string, { backupId, beside }: Pick<Manifest, 'backupId' | 'beside'>): SealedRecord[] {
  return (['RESTORE.md', 'SHA256SUMS'] as const).map((file) => ({ name: vaultPaths.artifact(cluster, backupId, file), ...beside[file] }));
}

/** By name. `segments`: the backup's own list. */
export function sealedRecords(cluster: string, manifest: Manifest, segments: readonly SegmentRef[]): Map<string, SealedRecord> {
  const all = [...segments.flatMap((ref) => segmentRecords(cluster, ref)), ...artifactRecords(manifest), ...besideRecords(cluster, manifest)];
  return new Map(all.map((record) => [record.name, record]));
}
