/** Blobs that are to be moved, for a million of them: a path is made again when it is asked for. */
import { Column, NONE, SizeColumn } from './column';
import type { ContentNumbers } from './content-numbers';

interface WantedFile {
  path: string;
  size: number;
  /** Hex, where it is known what the blob must be. */
  sha256?: string;
}

export class BlobList {
  /** By place in the list. */
  private readonly blobOf = new Column();
  private readonly digestOf = new Column();
  private readonly sizes = new SizeColumn();
  /** By blob, 0 where it is in the list. */
  private readonly isListed = new Column();
  length = 0;

  constructor(private readonly numbers: ContentNumbers) {}

  /** By its number; `digest` is the number of what the blob must be, where that is known. */
  push(blob: number, size: number, digest: number | undefined): void {
    const at = this.length;
    this.length += 1;
    this.blobOf.set(at, blob);
    this.sizes.set(at, size);
    if (digest !== undefined) this.digestOf.set(at, digest);
    this.isListed.set(blob, 0);
  }

  has(blob: number): boolean {
    return this.isListed.get(blob) !== NONE;
  }

  at(at: number): WantedFile {
    const { blob, size, digest } = this.numbered(at);
    return { path: this.numbers.blobs.path(blob), size, ...(digest === undefined ? {} : { sha256: this.numbers.digests.digest(digest) }) };
  }

  /** As `at`, by numbers. */
  numbered(at: number): { blob: number; size: number; digest: number | undefined } {
    const digest = this.digestOf.get(at);
    return { blob: this.blobOf.get(at), size: this.sizes.get(at), digest: digest === NONE ? undefined : digest };
  }
}
