/** Where blobs lie in a registry volume. Paths are relative to the volume's root, `/`-separated. */

/** `sha256`: classic Distribution, the name is the digest. `id`: DTR 2.6+, the digest stands in the metadata only. */
export type BlobLayout = 'sha256' | 'id';

export const REGISTRY_ROOT = 'docker/registry/v2';
export const BLOBS_ROOT = `${REGISTRY_ROOT}/blobs`;

const SHA256_BLOB = /^docker\/registry\/v2\/blobs\/sha256\/([0-9a-f]{2})\/([0-9a-f]{64})\/data$/;
const ID_BLOB = /^docker\/registry\/v2\/blobs\/id\/([^/]{2})\/([^/]+)\/data$/;

export type BlobPath = { layout: 'sha256'; sha256: string } | { layout: 'id'; id: string };

/** What a path in the volume is; null when it is no blob's data file. */
export function parseBlobPath(path: string): BlobPath | null {
  const classic = SHA256_BLOB.exec(path);
  if (classic) return classic[2]!.startsWith(classic[1]!) ? { layout: 'sha256', sha256: classic[2]! } : null;
  const byId = ID_BLOB.exec(path);
  // A hostile list must not lead out of the volume.
  if (byId) return byId[2]!.startsWith(byId[1]!) && byId[1] !== '..' && !byId[2]!.includes('\0') ? { layout: 'id', id: byId[2]! } : null;
  return null;
}

export function sha256BlobPath(hex: string): string {
  return `${BLOBS_ROOT}/sha256/${hex.slice(0, 2)}/${hex}/data`;
}

export function idBlobPath(id: string): string {
  return `${BLOBS_ROOT}/id/${id.slice(0, 2)}/${id}/data`;
}

/** Uploads in flight: never part of a backup. */
export function isUpload(path: string): boolean {
  return /(^|\/)_uploads(\/|$)/.test(path);
}
