/** Sizes of a backup's images, from its list of blobs and from what the indexes in clear say that manifests refer to: no content is read. */
import { ImageSizes } from '../../domain/image-sizes';
import { readIndexes } from '../vault/segment-index';
import type { SealedBackup } from '../vault/sealed-backup';

/** Throws as the backup's lists do. An index that cannot be used is passed by; `onDamaged` gets a sentence, since sizes may then be too small. */
export async function readSizes(backup: SealedBackup, onDamaged: (sentence: string) => void): Promise<ImageSizes> {
  const sizes = new ImageSizes();
  /** By digests of other algorithms, the SHA-256 of the same content. */
  const aliases = new Map<string, string>();
  for await (const { sha256, size, aliases: others = [] } of backup.blobs()) {
    sizes.addBlob(sha256, size);
    for (const other of others) aliases.set(other, sha256);
  }
  const damaged = (name: string, error: Error): void => onDamaged(`${name} cannot be used, so sizes may be too small: ${error.message}`);
  for await (const { blobs } of readIndexes(backup.vault, backup.cluster, { onDamaged: damaged })) {
    for (const { sha256, refs, void: isVoid } of blobs) {
      if (!refs || isVoid || !sizes.has(sha256)) continue;
      const named = [...(refs.config === undefined ? [] : [refs.config]), ...(refs.layers ?? []), ...(refs.foreign ?? []), ...(refs.manifests ?? [])];
      sizes.addManifest(sha256, aliases.size === 0 ? named : named.map((digest) => aliases.get(digest) ?? digest));
    }
  }
  return sizes;
}
