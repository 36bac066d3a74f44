/** Blobs that are to be moved, for a million of them: a path is made again when it is asked for. */
import { Column, NONE } from './column';
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
  private readonly sizes: number[] = [];

  get length(): number {
    return this.sizes.length;
  }

  push({ path, size, sha256 }: WantedFile): void {
    const at = this.sizes.length;
    this.blobOf.set(at, this.numbers.blobs.add(path));
    this.sizes.push(size);
    if (sha256 !== undefined) this.digestOf.set(at, this.numbers.digests.add(sha256));
  }

  at(at: number): WantedFile {
    const digest = this.digestOf.get(at);
    return { path: this.numbers.blobs.path(this.blobOf.get(at)), size: this.sizes[at]!, ...(digest === NONE ? {} : { sha256: this.numbers.digests.digest(digest) }) };
  }
}
