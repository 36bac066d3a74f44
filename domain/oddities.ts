/**
 * What is odd in the registry itself: it comes back as it is, so it is told once, when a backup is proven, and is no damage of the backup. Digests are in our form (digest.ts).
 */
import { NONE } from './column';
import type { CopyList } from './copy-list';
import { DigestNumbers } from './digest-numbers';
import { showDigest } from './digest';
import type { Follower, ProvenTag } from './proof';
import type { References } from './references';

/** Finds oddities of manifests that it has not met before. `references` and `copies` share their numbers. */
export class Oddities {
  private readonly met = new DigestNumbers();

  constructor(
    private readonly references: References,
    private readonly copies: CopyList,
    private readonly follower: Follower,
  ) {}

  /** Sentences with the tag's name in front. */
  of({ repository, name, manifests }: Pick<ProvenTag, 'repository' | 'name' | 'manifests'>): string[] {
    const sentences: string[] = [];
    for (const manifest of manifests) {
      if (this.met.find(manifest) !== undefined) continue;
      this.met.add(manifest);
      sentences.push(...this.inManifest(manifest).map((what) => `${repository}:${name}: ${what}`));
    }
    return sentences;
  }

  private inManifest(manifest: string): string[] {
    const { references, copies } = this;
    const number = references.numbers.digests.find(manifest);
    // What is not there is a gap.
    if (number === undefined || !references.isStored(number, copies)) return [];
    const refs = copies.refs.get(number);
    if (!refs) return references.manifestRows.has(number) ? [`its manifest ${showDigest(manifest)} cannot be read as one; what the registry's database says of it was followed instead`] : [];
    const named = [...(refs.config === undefined ? [] : [refs.config]), ...(refs.layers ?? []), ...(refs.manifests ?? [])];
    const wrongSizes = named.flatMap((part, at) => this.wrongSize(part, refs.sizes?.[at]) ?? []);
    const others = (refs.manifests ?? []).filter((child) => this.isNoManifest(child));
    return [
      ...wrongSizes,
      ...(others.length > 0 ? [`${others.length} of the parts of its index are no manifests (a build cache has such), the first ${showDigest(others[0]!)}`] : []),
      ...((refs.unreadable ?? 0) > 0 ? [`its manifest ${showDigest(manifest)} has ${refs.unreadable} reference(s) without a digest that can be read`] : []),
    ];
  }

  private wrongSize(part: string, said: number | undefined): string | null {
    const number = this.references.numbers.digests.find(part);
    const copy = number === undefined ? NONE : this.references.copyOf(number, this.copies);
    const size = copy === NONE ? said : this.copies.sizeAt(copy);
    return said === undefined || size === said ? null : `${showDigest(part)} has ${size} bytes, its manifest says ${said}`;
  }

  private isNoManifest(child: string): boolean {
    const number = this.references.numbers.digests.find(child);
    return number !== undefined && this.references.isStored(number, this.copies) && this.follower.needsOf(number) === undefined;
  }
}
