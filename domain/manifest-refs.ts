/** What many image manifests refer to, in few octets: digests as numbers, one behind the other. */
import { Column, NONE } from './column';
import type { DigestNumbers } from './digest-numbers';
import { NameNumbers } from './name-numbers';
import type { ManifestRefs } from './vault-format';

const LISTS = ['layers', 'foreign', 'manifests'] as const;

/** As `ManifestRefs`, with numbers of digests. */
export interface NumberedRefs {
  mediaType: number;
  config: number;
  subject: number;
  layers: Int32Array | null;
  foreign: Int32Array | null;
  manifests: Int32Array | null;
}

/** What is put in: as `ManifestRefs`, with numbers of the media type and of digests; NONE and null for what is absent. */
export interface RefsEntry {
  mediaType: number;
  config: number;
  subject: number;
  sizes: readonly number[] | null;
  layers: readonly number[] | null;
  foreign: readonly number[] | null;
  manifests: readonly number[] | null;
  unreadable: number;
}

export interface RefsMark {
  end: number;
  sizes: number;
}

/** Whether the sizes are no more than what they can be sizes of: else a short line could ask for much memory. */
export function canHaveSizes({ sizes, layers, foreign, manifests }: { [list in 'sizes' | (typeof LISTS)[number]]?: ArrayLike<unknown> | null }): boolean {
  return (sizes?.length ?? 0) <= 1 + (layers?.length ?? 0) + (foreign?.length ?? 0) + (manifests?.length ?? 0);
}

export class RefsByDigest {
  /** Where a manifest's entry begins, by the number of its digest. */
  private readonly starts = new Column();
  /** Media type, configuration, subject, where the sizes begin and how many there are, then for each list its length and its digests. */
  private entries = new Int32Array(4096);
  private end = 0;
  private readonly sizes: number[] = [];
  private readonly mediaTypes = new NameNumbers();
  /** By where an entry begins, of those few that have any. */
  private readonly unreadable = new Map<number, number>();

  constructor(private readonly digests: DigestNumbers) {}

  /** The last one counts. */
  set(digest: number, refs: ManifestRefs): void {
    this.assign(digest, this.put(this.entryOf(refs)));
  }

  /** For `put`. */
  entryOf({ mediaType, config, subject, sizes, layers, foreign, manifests, unreadable }: ManifestRefs): RefsEntry {
    const listOf = (list: string[] | undefined): number[] | null => list?.map((each) => this.digests.add(each)) ?? null;
    return {
      mediaType: this.mediaTypes.add(mediaType), config: this.numberOf(config), subject: this.numberOf(subject),
      sizes: sizes ?? null, layers: listOf(layers), foreign: listOf(foreign), manifests: listOf(manifests), unreadable: unreadable ?? 0,
    };
  }

  /** The number of the media type that stands in octets, all of them ASCII. */
  mediaType(octets: Uint8Array, start: number, end: number): number {
    return this.mediaTypes.addOctets(octets, start, end);
  }

  /** Keeps an entry that is nobody's yet; returns where it stands, for `assign`. */
  put(entry: RefsEntry): number {
    const start = this.end;
    // Its place may have been another's, which was taken back.
    if (entry.unreadable > 0 || this.unreadable.size > 0) this.unreadable.set(start, entry.unreadable);
    this.push(entry.mediaType);
    this.push(entry.config);
    this.push(entry.subject);
    this.push(this.sizes.length);
    this.push(entry.sizes?.length ?? NONE);
    for (const size of entry.sizes ?? []) this.sizes.push(size);
    for (const list of LISTS) {
      const digests = entry[list];
      this.push(digests?.length ?? NONE);
      for (const each of digests ?? []) this.push(each);
    }
    return start;
  }

  /** Where the next entry will stand, for `rewind`. */
  mark(): RefsMark {
    return { end: this.end, sizes: this.sizes.length };
  }

  /** Takes back the entries that were put since, none of which is anybody's. */
  rewind({ end, sizes }: RefsMark): void {
    this.end = end;
    this.sizes.length = sizes;
  }

  /** Says whose an entry is. The last one counts. */
  assign(digest: number, start: number): void {
    this.starts.set(digest, start);
  }

  has(digest: number): boolean {
    return this.starts.get(digest) !== NONE;
  }

  numbered(digest: number): NumberedRefs | undefined {
    const start = this.starts.get(digest);
    if (start === NONE) return undefined;
    const { entries } = this;
    let at = start + 5;
    const list = (): Int32Array | null => {
      const length = entries[at]!;
      const from = at + 1;
      at = from + Math.max(length, 0);
      return length === NONE ? null : entries.subarray(from, at);
    };
    return { mediaType: entries[start]!, config: entries[start + 1]!, subject: entries[start + 2]!, layers: list(), foreign: list(), manifests: list() };
  }

  get(digest: number): ManifestRefs | undefined {
    const found = this.numbered(digest);
    if (!found) return undefined;
    const refs: ManifestRefs = { mediaType: this.mediaTypes.text(found.mediaType) };
    if (found.config !== NONE) refs.config = this.digests.digest(found.config);
    for (const list of LISTS) if (found[list]) refs[list] = Array.from(found[list], (each) => this.digests.digest(each));
    const sizes = this.sizesOf(digest);
    if (sizes) refs.sizes = sizes;
    if (found.subject !== NONE) refs.subject = this.digests.digest(found.subject);
    const unreadable = this.unreadableIn(digest);
    if (unreadable > 0) refs.unreadable = unreadable;
    return refs;
  }

  /** How many references of a manifest name no digest that can be read. */
  unreadableIn(digest: number): number {
    return this.unreadable.get(this.starts.get(digest)) ?? 0;
  }

  /** As the manifest says them: of configuration, layers and children, in this order. */
  sizesOf(digest: number): number[] | undefined {
    const start = this.starts.get(digest);
    const [from, length] = [this.entries[start + 3]!, this.entries[start + 4]!];
    return length === NONE ? undefined : this.sizes.slice(from, from + length);
  }

  private numberOf(digest: string | undefined): number {
    return digest === undefined ? NONE : this.digests.add(digest);
  }

  private push(value: number): void {
    if (this.end === this.entries.length) {
      const larger = new Int32Array(Math.ceil(this.entries.length * 1.5));
      larger.set(this.entries);
      this.entries = larger;
    }
    this.entries[this.end] = value;
    this.end += 1;
  }
}
