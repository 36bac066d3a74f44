/** How much of the images each repository needs, and how much of it no other one does. Digests are bare hex. Made for a million blobs. */
import { DigestNumbers } from './digest-numbers';

export interface RepositorySize {
  /** All content that the tags need, each blob once. */
  bytes: number;
  blobs: number;
  /** Of these, what no other repository needs. */
  exclusiveBytes: number;
  /** Of these, what others need as well. */
  sharedBytes: number;
}

const NOBODY = -1;
const SEVERAL = -2;

export class ImageSizes {
  private readonly numbers = new DigestNumbers();
  private readonly sizes: number[] = [];
  /** What a manifest refers to, by its number. */
  private readonly parts = new Map<number, Int32Array>();
  private readonly owners: number[] = [];
  /** The last question that met a blob. */
  private readonly met: number[] = [];
  private question = 0;

  addBlob(sha256: string, size: number): void {
    this.sizes[this.numberOf(sha256)] = size;
  }

  /** Whether the backup holds it. */
  has(sha256: string): boolean {
    const number = this.numbers.find(sha256);
    return number !== undefined && this.sizes[number]! >= 0;
  }

  /** A manifest or index, with all digests that it refers to and that need to be there. */
  addManifest(sha256: string, refers: readonly string[]): void {
    this.parts.set(this.numberOf(sha256), Int32Array.from(refers, (part) => this.numberOf(part)));
  }

  /** First for all repositories: who needs what. `repository` is its place in the caller's list. */
  claim(repository: number, manifests: Iterable<string>): void {
    for (const blob of this.closure(manifests)) {
      const owner = this.owners[blob]!;
      if (owner === NOBODY) this.owners[blob] = repository;
      else if (owner !== repository) this.owners[blob] = SEVERAL;
    }
  }

  /** After all claims. */
  measure(manifests: Iterable<string>): RepositorySize {
    const found: RepositorySize = { bytes: 0, blobs: 0, exclusiveBytes: 0, sharedBytes: 0 };
    for (const blob of this.closure(manifests)) {
      const size = this.sizes[blob]!;
      // A part that is not in the backup has no size.
      if (size < 0) continue;
      found.blobs += 1;
      found.bytes += size;
      if (this.owners[blob] === SEVERAL) found.sharedBytes += size;
      else found.exclusiveBytes += size;
    }
    return found;
  }

  /** Bytes of one image with all that it refers to, each blob once. */
  bytesOf(manifest: string): number {
    return this.measure([manifest]).bytes;
  }

  private *closure(manifests: Iterable<string>): Generator<number> {
    this.question += 1;
    const open: number[] = [];
    const meet = (blob: number): void => {
      if (this.met[blob] === this.question) return;
      this.met[blob] = this.question;
      open.push(blob);
    };
    for (const manifest of manifests) meet(this.numberOf(manifest));
    for (let blob = open.pop(); blob !== undefined; blob = open.pop()) {
      yield blob;
      for (const part of this.parts.get(blob) ?? []) meet(part);
    }
  }

  private numberOf(sha256: string): number {
    const number = this.numbers.add(sha256);
    if (number === this.sizes.length) {
      this.sizes.push(-1);
      this.owners.push(NOBODY);
      this.met.push(0);
    }
    return number;
  }
}
