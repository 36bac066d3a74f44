/** Where blobs lie in a registry volume. Paths are relative to the volume's root, `/`-separated. */
import { isSha256 } from './sha256';

/** `sha256`: classic Distribution, the name is the digest. `id`: DTR 2.6+, the digest stands in the metadata only. */
export type BlobLayout = 'sha256' | 'id';

export const REGISTRY_ROOT = 'docker/registry/v2';
export const BLOBS_ROOT = `${REGISTRY_ROOT}/blobs`;

const BY_DIGEST = `${BLOBS_ROOT}/sha256/`;
const BY_ID = `${BLOBS_ROOT}/id/`;
const DATA = '/data';

export type BlobPath = { layout: 'sha256'; sha256: string } | { layout: 'id'; id: string };

/** What a path in the volume is; null when it is no blob's data file. */
export function parseBlobPath(path: string): BlobPath | null {
  if (!path.endsWith(DATA)) return null;
  // Cut by hand: a million of these are looked at again and again.
  if (path.startsWith(BY_ID)) {
    const id = nameIn(path, BY_ID.length);
    return id === null || !isBlobId(id) ? null : { layout: 'id', id };
  }
  const sha256 = path.startsWith(BY_DIGEST) ? nameIn(path, BY_DIGEST.length) : null;
  return sha256 !== null && isSha256(sha256) ? { layout: 'sha256', sha256 } : null;
}

/** Whether an id can be a blob's: a hostile list must not lead out of the volume. */
export function isBlobId(id: string): boolean {
  return id.length >= 2 && !id.startsWith('..') && !id.includes('/') && !id.includes('\0');
}

/** What stands behind `<its first two letters>/`, up to `/data`; null for anything else. */
function nameIn(path: string, start: number): string | null {
  const end = path.length - DATA.length;
  const name = path.slice(start + 3, end);
  return path[start + 2] === '/' && name.length >= 2 && !name.includes('/') && name[0] === path[start] && name[1] === path[start + 1] && name[0] !== '/' ? name : null;
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
