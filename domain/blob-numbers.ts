/** Numbers for the paths of blobs, of which only the id or the digest is kept: even ones by id, odd ones by digest. */
import type { DigestNumbers } from './digest-numbers';
import { digestBlobPath, idBlobPath, isBlobId, parseBlobPath, sha256BlobPath } from './layout';
import { NameNumbers } from './name-numbers';

export class BlobNumbers {
  /** Ids, and whole paths of any other layout; these have a `/`. */
  private readonly names = new NameNumbers();

  constructor(private readonly digests: DigestNumbers) {}

  find(path: string): number | undefined {
    const parsed = parseBlobPath(path);
    const number = parsed?.layout === 'sha256' ? this.digests.find(parsed.sha256) : this.names.find(parsed?.layout === 'id' ? parsed.id : path);
    return number === undefined ? undefined : 2 * number + (parsed?.layout === 'sha256' ? 1 : 0);
  }

  /** The path's number; a new one for a path that was not there. */
  add(path: string): number {
    const parsed = parseBlobPath(path);
    return parsed?.layout === 'sha256' ? this.named(this.digests.add(parsed.sha256)) : 2 * this.names.add(parsed?.layout === 'id' ? parsed.id : path);
  }

  /** As `add`, of the blob with this id. */
  byId(id: string): number {
    return 2 * this.names.add(isBlobId(id) ? id : idBlobPath(id));
  }

  /** As `add`, of the blob with the id that stands in octets, all of them ASCII and none of them `/`. */
  addId(octets: Uint8Array, start: number, end: number): number {
    return 2 * this.names.addOctets(octets, start, end);
  }

  /** The blob that is named by the digest with this number. */
  named(digest: number): number {
    if (this.digests.isOther(digest)) return this.add(digestBlobPath(this.digests.digest(digest)));
    return 2 * digest + 1;
  }

  /** The number of the SHA-256 that stands in the blob's name; undefined where there is none. */
  digestInName(blob: number): number | undefined {
    return (blob & 1) === 1 ? blob >>> 1 : undefined;
  }

  path(number: number): string {
    const digest = this.digestInName(number);
    if (digest !== undefined) return sha256BlobPath(this.digests.digest(digest));
    const name = this.names.text(number >>> 1);
    return name.includes('/') ? name : idBlobPath(name);
  }
}
