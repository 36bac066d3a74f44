/** Blobs that are to be moved, for a million of them: a path is made again when it is asked for. */
import { Column, NONE, SizeColumn } from './column';
import { ContentNumbers } from './content-numbers';

export interface WantedFile {
  path: string;
  size: number;
  /** Hex, where it is known what the blob must be. */
  sha256?: string;
}

export class BlobList {
  private readonly numbers = new ContentNumbers();
  /** By place in the list. */
  private readonly blobOf = new Column();
  private readonly digestOf = new Column();
  private readonly sizes = new SizeColumn();
  length = 0;

  push({ path, size, sha256 }: WantedFile): void {
    const at = this.length;
    this.length += 1;
    this.blobOf.set(at, this.numbers.blobs.add(path));
    this.sizes.set(at, size);
    if (sha256 !== undefined) this.digestOf.set(at, this.numbers.digests.add(sha256));
  }

  has(path: string): boolean {
    return this.numbers.blobs.find(path) !== undefined;
  }

  at(at: number): WantedFile {
    const digest = this.digestOf.get(at);
    return { path: this.numbers.blobs.path(this.blobOf.get(at)), size: this.sizes.get(at), ...(digest === NONE ? {} : { sha256: this.numbers.digests.digest(digest) }) };
  }
}
