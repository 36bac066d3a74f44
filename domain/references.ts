/** All references of one metadata archive, collected row by row; made for a million blobs. Digests are in our form (digest.ts). */
import { Column, NONE } from './column';
import { ContentNumbers } from './content-numbers';
import { RefsByDigest } from './manifest-refs';
import { NameNumbers } from './name-numbers';
import type { CopyList } from './copy-list';
import type { ManifestRow, MetadataRow } from './rows';
import { TagList } from './tag-list';

export class References {
  readonly tags: TagList;
  readonly repositories = new Map<string, { visibility?: string }>();
  /** Account id -> name. */
  readonly owners = new Map<string, string>();
  /** Rows that are not of a known form, by table. */
  readonly unreadable = new Map<string, number>();
  /** What rows of manifests say that they refer to. */
  readonly manifestRows: RefsByDigest;
  /** A repository's number and a digest's, in one. */
  private readonly manifestsOfRepositories = new Set<number>();
  private readonly repositoryNumbers = new NameNumbers();
  /** By digest, 0 where the metadata names it. */
  private readonly isNamed = new Column();
  /** Rows of the table `blobs`: by digest the last one, by row its blob and the row before it. */
  private readonly lastRowOf = new Column();
  private readonly rowBlobs = new Column();
  private readonly rowsBefore = new Column();
  private rows = 0;
  private readonly digestOfBlob = new Column();
  /** By the number of a digest of another algorithm, that of the SHA-256 of the same content. */
  private readonly aliases = new Map<number, number>();

  constructor(readonly numbers: ContentNumbers = new ContentNumbers()) {
    this.tags = new TagList(numbers.digests);
    this.manifestRows = new RefsByDigest(numbers.digests);
  }

  add(row: MetadataRow): void {
    switch (row.table) {
      case 'tags':
        this.tags.push(row);
        this.name(row.digest);
        break;
      case 'manifests':
        this.addManifest(row);
        break;
      case 'blobs':
        this.addBlob(row.id, row.sha256);
        break;
      case 'repositories':
        this.repositories.set(row.repository, row.visibility === undefined ? {} : { visibility: row.visibility });
        if (row.owner) this.owners.set(row.owner.id, row.owner.name);
        break;
      case 'unreadable':
        this.unreadable.set(row.of, (this.unreadable.get(row.of) ?? 0) + 1);
        break;
      case 'blob_links':
        // Many, and needed for few tags only: whoever needs them reads them again.
        break;
    }
  }

  /** Content with this SHA-256 is known by a digest of another algorithm as well. */
  addAlias(other: string, sha256: string): void {
    this.aliases.set(this.numbers.digests.add(other), this.numbers.digests.add(sha256));
  }

  /** The digests of other algorithms, each with the SHA-256 of the same content. */
  *allAliases(): Generator<{ other: string; sha256: string }> {
    for (const [other, sha256] of this.aliases) yield { other: this.numbers.digests.digest(other), sha256: this.numbers.digests.digest(sha256) };
  }

  /** The number of the SHA-256 of content that is named by any digest; NONE where nothing tells. */
  sha256Of(digest: number, copies: CopyList): number {
    if (!this.numbers.digests.isOther(digest)) return digest;
    return this.aliases.get(digest) ?? copies.digestAt(this.numbers.blobs.named(digest));
  }

  /** Whether a repository has the rows of all these manifests; the content may be the same in many repositories, the row stands for one. */
  hasManifests(repository: string, digests: string[]): boolean {
    const known = this.repositoryNumbers.find(repository);
    return digests.every((digest) => {
      const number = this.numbers.digests.find(digest);
      return known !== undefined && number !== undefined && this.manifestsOfRepositories.has(pairOf(known, number));
    });
  }

  /** Where content with this digest may lie, as numbers of blobs; by id first, because the metadata says so. */
  *blobsOf(digest: number): Generator<number> {
    for (let row = this.lastRowOf.get(digest); row !== NONE; row = this.rowsBefore.get(row)) yield this.rowBlobs.get(row);
    yield this.numbers.blobs.named(digest);
  }

  /** The number of the digest that a blob must have; undefined where only the metadata would know and does not. */
  digestOf(blob: number): number | undefined {
    const inName = this.numbers.blobs.digestInName(blob);
    if (inName !== undefined) return inName;
    const digest = this.digestOfBlob.get(blob >>> 1);
    return digest === NONE ? undefined : digest;
  }

  /** Whether there is a copy of this content where it may lie. */
  isStored(digest: number, copies: CopyList): boolean {
    return this.copyOf(digest, copies) !== NONE;
  }

  /** The number of a copy of this content where it may lie; NONE where there is none. */
  copyOf(digest: number, copies: CopyList): number {
    const sha256 = this.sha256Of(digest, copies);
    if (sha256 === NONE) return NONE;
    for (let row = this.lastRowOf.get(sha256); row !== NONE; row = this.rowsBefore.get(row)) {
      const copy = copies.copyOf(this.rowBlobs.get(row), sha256);
      if (copy !== NONE) return copy;
    }
    const named = copies.copyOf(this.numbers.blobs.named(sha256), sha256);
    return named !== NONE || sha256 === digest ? named : copies.copyOf(this.numbers.blobs.named(digest), sha256);
  }

  /** Whether the metadata names the digest with this number. */
  names(digest: number): boolean {
    return this.isNamed.get(digest) !== NONE;
  }

  /** Numbers of all digests that the metadata names, tagged or not, once each, but layers that may lawfully be absent. */
  *named(): Generator<number> {
    for (let number = 0; number < this.numbers.digests.count; number += 1) if (this.isNamed.get(number) !== NONE) yield number;
  }

  private addManifest(row: ManifestRow): void {
    const { repository, digest, config, layers, foreign, manifests } = row;
    const number = this.name(digest);
    this.manifestRows.set(number, { mediaType: '', ...(config === undefined ? {} : { config }), layers, foreign, manifests });
    this.manifestsOfRepositories.add(pairOf(this.repositoryNumbers.add(repository), number));
    if (config) this.name(config);
    for (const named of layers) this.name(named);
    for (const named of manifests) this.name(named);
  }

  private addBlob(id: string, sha256: string): void {
    const digest = this.name(sha256);
    const blob = this.numbers.blobs.byId(id);
    this.digestOfBlob.set(blob >>> 1, digest);
    this.rowBlobs.set(this.rows, blob);
    this.rowsBefore.set(this.rows, this.lastRowOf.get(digest));
    this.lastRowOf.set(digest, this.rows);
    this.rows += 1;
  }

  private name(sha256: string): number {
    const number = this.numbers.digests.add(sha256);
    this.isNamed.set(number, 0);
    return number;
  }
}

function pairOf(repository: number, digest: number): number {
  return repository * 2 ** 32 + digest;
}
