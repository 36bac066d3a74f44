/** Where blobs lie in a registry volume. Paths are relative to the volume's root, `/`-separated. */
import { isOtherDigest, partsOfDigest, readDigest } from './digest';
import { isSha256 } from './sha256';

/** `sha256`: classic Distribution, the name is the digest. `id`: DTR 2.6+, the digest stands in the metadata only. */
export type BlobLayout = 'sha256' | 'id';

export const REGISTRY_ROOT = 'docker/registry/v2';
export const BLOBS_ROOT = `${REGISTRY_ROOT}/blobs`;

const BY_DIGEST = `${BLOBS_ROOT}/sha256/`;
const BY_ID = `${BLOBS_ROOT}/id/`;
const DATA = '/data';

/** `other`: named by a digest of another algorithm, in our form; null where the name cannot be one. */
export type BlobPath = { layout: 'sha256'; sha256: string } | { layout: 'id'; id: string } | { layout: 'other'; digest: string | null };

/** What a path in the volume is; null when it is no blob's data file. */
export function parseBlobPath(path: string): BlobPath | null {
  if (!path.endsWith(DATA)) return null;
  // Cut by hand: a million of these are looked at again and again.
  if (path.startsWith(BY_ID)) {
    const id = nameIn(path, BY_ID.length);
    return id === null || !isBlobId(id) ? null : { layout: 'id', id };
  }
  if (!path.startsWith(BY_DIGEST)) return parseOtherPath(path);
  const sha256 = nameIn(path, BY_DIGEST.length);
  return sha256 !== null && isSha256(sha256) ? { layout: 'sha256', sha256 } : null;
}

/** `blobs/<algorithm>/<two letters>/<name>/data`, whatever the names are: what lies there is content, not part of the link tree. */
function parseOtherPath(path: string): BlobPath | null {
  const [algorithm = '', shard = '', name = '', ...more] = path.startsWith(`${BLOBS_ROOT}/`) ? path.slice(BLOBS_ROOT.length + 1, -DATA.length).split('/') : [];
  if (more.length > 0 || shard.length !== 2 || [algorithm, shard, name].some((part) => part === '' || part === '.' || part === '..' || part.includes('\0'))) return null;
  const digest = readDigest(`${algorithm}:${name}`);
  return { layout: 'other', digest: digest !== null && isOtherDigest(digest) && name.startsWith(shard) ? digest : null };
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

/** Where content lies that is named by this digest. */
export function digestBlobPath(digest: string): string {
  const { algorithm, encoded } = partsOfDigest(digest);
  return `${BLOBS_ROOT}/${algorithm}/${encoded.slice(0, 2)}/${encoded}/data`;
}

export function idBlobPath(id: string): string {
  return `${BLOBS_ROOT}/id/${id.slice(0, 2)}/${id}/data`;
}

/** Uploads in flight: never part of a backup. */
export function isUpload(path: string): boolean {
  return /(^|\/)_uploads(\/|$)/.test(path);
}
