/** Lists of segments of backups that tests seal or forge. */
import { writeClear } from '../../adapters/vault/artifacts';
import type { Vault } from '../../adapters/vault/vault';
import type { Manifest, SegmentRef } from '../../domain/manifest';
import { formatSegments } from '../../domain/manifest-segments';
import { vaultPaths } from '../../domain/vault-format';

/** A manifest, and at hand, but no part of its JSON, the list that it names. */
export type SealedManifest = Manifest & { readonly segments: SegmentRef[] };

export function withSegments(manifest: Manifest, segments: SegmentRef[]): SealedManifest {
  return Object.defineProperty({ ...manifest }, 'segments', { value: segments, enumerable: false }) as SealedManifest;
}

/** Writes a backup's list, in place of the one that stands there. */
export async function putSegments(vault: Vault, cluster: string, id: string, segments: readonly SegmentRef[]): Promise<Manifest['artifacts']['segments']> {
  const name = vaultPaths.artifact(cluster, id, 'segments.jsonl');
  await vault.remove(name);
  return { ...(await writeClear(vault, name, formatSegments(segments))), needed: true };
}

/** The same manifest with another list, which is written. */
export async function forgeSegments(vault: Vault, manifest: SealedManifest, change: (segments: SegmentRef[]) => SegmentRef[]): Promise<SealedManifest> {
  const segments = change(manifest.segments);
  const record = await putSegments(vault, manifest.cluster, manifest.backupId, segments);
  return withSegments({ ...manifest, artifacts: { ...manifest.artifacts, segments: record } }, segments);
}
