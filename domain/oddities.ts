/**
 * What is odd in the registry itself: it comes back as it is, so it is told once, when a backup is proven, and is no damage of the backup. Digests are in our form (digest.ts).
 */
import { count } from './count';
import { NONE } from './column';
import type { CopyList } from './copy-list';
import { DigestNumbers } from './digest-numbers';
import { showDigest } from './digest';
import type { NumberedRefs } from './manifest-refs';
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

  /** By numbers: of most manifests nothing is told, and no text is made. */
  private inManifest(manifest: string): string[] {
    const { references, copies } = this;
    const number = references.numbers.digests.find(manifest);
    // What is not there is a gap.
    if (number === undefined || !references.isStored(number, copies)) return [];
    const refs = copies.refs.numbered(number);
    if (!refs) return references.manifestRows.has(number) ? [`its manifest ${showDigest(manifest)} cannot be read as one; what the registry's database says of it was followed instead`] : [];
    const others = Array.from(refs.manifests ?? []).filter((child) => this.isNoManifest(child));
    const unreadable = copies.refs.unreadableIn(number);
    return [
      ...this.wrongSizes(refs, copies.refs.sizesOf(number) ?? []),
      ...(others.length > 0 ? [`${others.length} of the parts of its index are no manifests (a build cache has such), the first ${this.shown(others[0]!)}`] : []),
      ...(unreadable > 0 ? [`its manifest ${showDigest(manifest)} has ${count(unreadable, 'reference')} without a digest that can be read`] : []),
    ];
  }

  private wrongSizes({ config, layers, manifests }: NumberedRefs, said: readonly number[]): string[] {
    const found: string[] = [];
    let at = 0;
    const compare = (part: number): void => {
      const expected = said[at];
      at += 1;
      const copy = this.references.copyOf(part, this.copies);
      const size = copy === NONE ? expected : this.copies.sizeAt(copy);
      if (expected !== undefined && size !== expected) found.push(`${this.shown(part)} has ${size} bytes, its manifest says ${expected}`);
    };
    if (said.length === 0) return found;
    if (config !== NONE) compare(config);
    for (const part of layers ?? []) compare(part);
    for (const part of manifests ?? []) compare(part);
    return found;
  }

  private isNoManifest(child: number): boolean {
    return this.references.isStored(child, this.copies) && this.follower.needsOf(child) === undefined;
  }

  private shown(digest: number): string {
    return showDigest(this.references.numbers.digests.digest(digest));
  }
}
