/** Copies that a vault holds, for a million and more: some fifty octets each, beside the numbers of their names. Void copies are none of them. */
import { Column, NONE, SizeColumn } from './column';
import { ContentNumbers } from './content-numbers';
import type { BlobLine } from './manifest';
import { RefsByDigest } from './manifest-refs';
import { NameNumbers } from './name-numbers';
import type { ManifestRefs } from './vault-format';

/** A copy in the vault that is not void. */
export interface StoredCopy {
  path: string;
  size: number;
  sha256: string;
  segment: string;
  refs?: ManifestRefs;
}

export class CopyList {
  /** What manifests refer to, as the indexes have it. */
  readonly refs: RefsByDigest;
  private readonly segments = new NameNumbers();
  /** By blob, then by copy: the copies of one path. */
  private readonly firstOf = new Column();
  private readonly nextOf = new Column();
  private readonly blobOf = new Column();
  private readonly digestOf = new Column();
  private readonly segmentOf = new Column();
  private readonly sizes = new SizeColumn();
  /** By copy, 0 where it was chosen. */
  private readonly isChosen = new Column();
  length = 0;
  private groups: Map<number, number[]> | null = null;

  constructor(readonly numbers: ContentNumbers = new ContentNumbers()) {
    this.refs = new RefsByDigest(numbers.digests);
  }

  /** Returns the copy's number. Of several with the same path and digest the last one counts. */
  add({ path, size, sha256, refs }: { path: string; size: number; sha256: string; refs?: ManifestRefs }, segment: string): number {
    const digest = this.numbers.digests.add(sha256);
    if (refs) this.refs.set(digest, refs);
    return this.put(this.numbers.blobs.add(path), digest, size, segment);
  }

  /** As `add`, by numbers. */
  put(blob: number, digest: number, size: number, segment: string): number {
    let copy = this.find(blob, digest);
    if (copy === NONE) {
      copy = this.length;
      this.length += 1;
      this.blobOf.set(copy, blob);
      this.digestOf.set(copy, digest);
      this.nextOf.set(copy, this.firstOf.get(blob));
      this.firstOf.set(blob, copy);
    }
    this.groups = null;
    this.sizes.set(copy, size);
    this.segmentOf.set(copy, this.segments.add(segment));
    return copy;
  }

  /** Whether there is a copy of this blob with this digest, both as numbers. */
  holds(blob: number, digest: number): boolean {
    return this.find(blob, digest) !== NONE;
  }

  /** The number of a copy of this blob with this digest; NONE where there is none. */
  copyOf(blob: number, digest: number): number {
    return this.find(blob, digest);
  }

  /** The digest, by number, of the newest copy of this blob; NONE where there is none. */
  digestAt(blob: number): number {
    const copy = this.firstOf.get(blob);
    return copy === NONE ? NONE : this.digestOf.get(copy);
  }

  /** Of a copy, in bytes. */
  sizeAt(copy: number): number {
    return this.sizes.get(copy);
  }

  good(path: string, sha256: string): StoredCopy | undefined {
    const blob = this.numbers.blobs.find(path);
    const digest = this.numbers.digests.find(sha256);
    const copy = blob === undefined || digest === undefined ? NONE : this.find(blob, digest);
    if (copy === NONE || digest === undefined) return undefined;
    const refs = this.refs.get(digest);
    return { ...this.line(copy), ...(refs ? { refs } : {}) };
  }

  /** Whether there is a copy of this blob with this size. */
  hasSize(blob: number, size: number): boolean {
    for (let copy = this.firstOf.get(blob); copy !== NONE; copy = this.nextOf.get(copy)) if (this.sizes.get(copy) === size) return true;
    return false;
  }

  /** Whether there is any copy of this blob. */
  hasBlob(blob: number): boolean {
    return this.firstOf.get(blob) !== NONE;
  }

  /** Puts a copy, if there is one, among those that `chosen` yields. */
  choose(blob: number, digest: number): void {
    const copy = this.find(blob, digest);
    if (copy !== NONE) this.isChosen.set(copy, 0);
  }

  /** All chosen copies, by segment as they are read back, each made when it is asked for. */
  *chosen(): Generator<BlobLine> {
    const segments = [...this.grouped()].map(([segment, copies]) => ({ segment: this.segments.text(segment), copies })).sort((a, b) => (a.segment < b.segment ? -1 : 1));
    for (const { copies } of segments) for (const copy of copies) if (this.isChosen.get(copy) !== NONE) yield this.line(copy);
  }

  /** All copies in a segment. */
  inSegment(segment: string): BlobLine[] {
    const number = this.segments.find(segment);
    return (number === undefined ? [] : (this.grouped().get(number) ?? [])).map((copy) => this.line(copy));
  }

  get segmentNames(): string[] {
    return Array.from({ length: this.segments.count }, (_, number) => this.segments.text(number));
  }

  /** A copy by its number. */
  line(copy: number): BlobLine {
    return { path: this.numbers.blobs.path(this.blobOf.get(copy)), size: this.sizes.get(copy), sha256: this.numbers.digests.digest(this.digestOf.get(copy)), segment: this.segments.text(this.segmentOf.get(copy)) };
  }

  /** Numbers of copies by the number of their segment; made when it is asked for. */
  private grouped(): Map<number, number[]> {
    if (this.groups) return this.groups;
    this.groups = new Map();
    for (let copy = 0; copy < this.length; copy += 1) {
      const segment = this.segmentOf.get(copy);
      const known = this.groups.get(segment);
      if (known) known.push(copy);
      else this.groups.set(segment, [copy]);
    }
    return this.groups;
  }

  private find(blob: number, digest: number): number {
    let copy = this.firstOf.get(blob);
    while (copy !== NONE && this.digestOf.get(copy) !== digest) copy = this.nextOf.get(copy);
    return copy;
  }
}
