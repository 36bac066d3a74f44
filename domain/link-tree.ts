/** Links of the older layout: what they say, and whether a tag can be pulled through them. Pure. */
import { isOtherDigest, readDigest } from './digest';
import type { TagLine } from './manifest';
import type { Follower } from './proof';
import type { Damage } from './verify';

const ROOT = /^docker\/registry\/v2\/repositories\/(.+)\/(_manifests|_layers)\/(.+)\/link$/;

export class LinkTree {
  /** `<repository> <kind> <digest or tag>` of every sound link. */
  private readonly sound = new Map<string, string>();
  private readonly broken: { repository: string; place: string }[] = [];
  private strays = 0;

  /** A link file by its path in the volume, and what it says. */
  add(path: string, content: string): void {
    const match = ROOT.exec(path);
    if (!match) return this.addOther(path);
    const [, repository = '', kind = '', place = ''] = match;
    const digest = readDigest(content.trimEnd());
    const named = readDigest(/([^/]+\/[^/]+)$/.exec(place)?.[1]?.replace('/', ':'));
    // A link that is named by another algorithm says the SHA-256 of the same content.
    const agrees = named === null || named === digest || (digest !== null && isOtherDigest(named) && !isOtherDigest(digest));
    if (digest === null || !agrees) this.broken.push({ repository, place: `${kind}/${place}` });
    else this.sound.set(`${repository} ${kind}/${place}`, digest);
  }

  /** Any other file: half-written links and the like, which the registry passes by. */
  addOther(path: string): void {
    if (/\/(_manifests|_layers|_uploads)\//.test(path)) this.strays += 1;
  }

  /**
   * What keeps whole tags from being pulled: their current link, its entry in the tag's index, the revision, the links of children and
   * layers in the same repository.
   */
  check(tags: Iterable<TagLine>, follower: Follower): Damage[] {
    const damages: Damage[] = [];
    for (const { repository, name, digest, state } of tags) {
      if (state !== 'whole') continue;
      const image = `${repository}:${name}`;
      const hex = digest.slice(-64);
      const wanted = (place: string, what: string, expected = hex, or = expected): void => {
        const found = this.sound.get(`${repository} ${place}`);
        if (found !== expected && found !== or) damages.push({ image, digest: expected, what: `the link of ${what} ${found === undefined ? 'is missing or cannot be read' : 'points elsewhere'}` });
      };
      wanted(`_manifests/tags/${name}/current`, 'the tag');
      wanted(`_manifests/tags/${name}/index/sha256/${hex}`, 'the tag\'s index');
      const { manifests, parts, aliases } = follower.follow(hex);
      for (const manifest of manifests) wanted(`_manifests/revisions/sha256/${manifest}`, 'the revision', manifest);
      for (const part of parts) wanted(`_layers/sha256/${part}`, 'a layer', part);
      for (const { other, sha256 } of aliases) wanted(`_layers/${other.replace(':', '/')}`, 'a layer', sha256, other);
    }
    return damages;
  }

  notes(): string[] {
    return [
      ...(this.broken.length > 0 ? [`${this.broken.length} links cannot be read (first: ${this.broken[0]!.repository} ${this.broken[0]!.place}); they count only where a tag needs them.`] : []),
      ...(this.strays > 0 ? [`${this.strays} files beside the links (uploads in flight, half-written links) were passed by.`] : []),
    ];
  }
}
