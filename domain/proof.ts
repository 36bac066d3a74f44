/**
 * The set check: each tag -> manifest -> configuration and layers -> a stored copy with the right digest, children of indexes included. The
 * same for both layouts; only where a digest may lie differs. Digests are in our form (digest.ts).
 */
import { Column, NONE } from './column';
import type { CopyList } from './copy-list';
import { isOtherDigest, readDigest } from './digest';
import type { DigestNumbers } from './digest-numbers';
import type { NumberedRefs } from './manifest-refs';
import { NameNumbers } from './name-numbers';
import type { References } from './references';

/** A tag as the link tree of the older layout has it. */
export interface TagLink {
  repository: string;
  name: string;
  digest: string;
}

export interface Missing {
  digest: string;
  /** For people: `layer`, `manifest`, ... */
  what: string;
  /** It is stored, but nothing tells what it needs. */
  isUnreadable?: true;
}

/** What a tag needs and what of it is not there. Content that is stored is named by its SHA-256, whatever the manifest names it by. */
export interface Followed {
  readonly missing: Missing[];
  /** Manifests on the way, the tag's own first. */
  readonly manifests: string[];
  /** Configurations and layers of the tag's manifests, and children of an index that are no manifests, such as the layers of a BuildKit cache. */
  readonly parts: string[];
  /** Digests of other algorithms on the way. */
  readonly aliases: { other: string; sha256: string }[];
}

/** Follows manifests to their blobs. `references` and `copies` share their numbers. */
export class Follower {
  constructor(
    private readonly references: References,
    private readonly copies: CopyList,
  ) {}

  /** Each manifest on the way is met once: a forged index that names itself must not keep us here for ever. */
  follow(digest: string): Followed {
    const { digests } = this.references.numbers;
    const found: Found = { missing: new Map(), manifests: new Set(), unreadable: NONE, parts: [], aliases: [] };
    const open = [{ digest: digests.add(digest), isChild: false }];
    for (let next = open.pop(); next; next = open.pop()) {
      const children = this.look(next.digest, next.isChild, found);
      for (let at = children.length - 1; at >= 0; at -= 1) open.push({ digest: children[at]!, isChild: true });
    }
    return new FollowedNumbers(found, digests);
  }

  /** What a stored manifest, or its row in the metadata, says that it needs. Undefined where neither says anything. */
  needsOf(digest: number): NumberedRefs | undefined {
    return this.needs(digest, this.storedAs(digest));
  }

  private needs(digest: number, sha256: number): NumberedRefs | undefined {
    return (sha256 === NONE ? undefined : this.copies.refs.numbered(sha256)) ?? this.references.manifestRows.numbered(digest);
  }

  /** Looks at one manifest and what it names itself; returns its children. */
  private look(digest: number, isChild: boolean, found: Found): ArrayLike<number> {
    const what = isChild ? 'manifest of the index' : 'manifest';
    const sha256 = this.storedAs(digest);
    const needs = this.needs(digest, sha256);
    // A stored child that is no manifest is a part of the index.
    if (isChild && sha256 !== NONE && !needs) {
      this.lookAtPart(digest, '', found);
      return [];
    }
    const known = this.noted(digest, sha256, found);
    if (found.manifests.has(known)) return [];
    found.manifests.add(known);
    if (sha256 === NONE) found.missing.set(digest, what);
    else if (!needs) found.unreadable = digest;
    if (!needs) return [];
    this.lookAtParts(needs, found);
    return needs.manifests ?? [];
  }

  private lookAtParts({ config, layers, foreign }: NumberedRefs, found: Found): void {
    const lawful = new Set(foreign);
    if (config !== NONE) this.lookAtPart(config, 'configuration', found);
    for (const layer of layers ?? []) if (!lawful.has(layer)) this.lookAtPart(layer, 'layer', found);
  }

  private lookAtPart(part: number, what: string, found: Found): void {
    const sha256 = this.storedAs(part);
    found.parts.push(this.noted(part, sha256, found));
    if (sha256 === NONE && !found.missing.has(part)) found.missing.set(part, what);
  }

  /** The SHA-256, by number, of stored content; NONE for what is not stored. */
  private storedAs(digest: number): number {
    return this.references.isStored(digest, this.copies) ? this.references.sha256Of(digest, this.copies) : NONE;
  }

  /** What content is known by from here on. */
  private noted(digest: number, sha256: number, found: Found): number {
    if (sha256 === NONE) return digest;
    if (sha256 !== digest) found.aliases.push({ other: digest, sha256 });
    return sha256;
  }
}

/** Digests as numbers. */
interface Found {
  /** What each of them is. */
  missing: Map<number, string>;
  manifests: Set<number>;
  /** The manifest that is asked about, when nothing tells what it needs; NONE otherwise. */
  unreadable: number;
  parts: number[];
  aliases: { other: number; sha256: number }[];
}

/** Texts are made for those who ask: most tags are whole, and nobody asks for the digests of their layers. */
class FollowedNumbers implements Followed {
  readonly missing: Missing[];

  constructor(
    private readonly found: Found,
    private readonly digests: DigestNumbers,
  ) {
    this.missing = Array.from(found.missing, ([number, what]) => ({ digest: digests.digest(number), what }));
    if (found.unreadable !== NONE) this.missing.push({ digest: digests.digest(found.unreadable), what: 'manifest that cannot be read', isUnreadable: true });
  }

  get manifests(): string[] {
    return Array.from(this.found.manifests, (number) => this.digests.digest(number));
  }

  get parts(): string[] {
    return Array.from(this.found.parts, (number) => this.digests.digest(number));
  }

  get aliases(): { other: string; sha256: string }[] {
    return this.found.aliases.map(({ other, sha256 }) => ({ other: this.digests.digest(other), sha256: this.digests.digest(sha256) }));
  }
}

/** A tag, from the metadata or only from the link tree, with what was found. */
export interface ProvenTag {
  repository: string;
  name: string;
  digest: string;
  changedAt?: string;
  missing: Missing[];
  readonly manifests: string[];
  readonly parts: string[];
  readonly aliases: { other: string; sha256: string }[];
  /** The metadata knows nothing of it: pushed after the tags were dumped, or a link that was left behind. */
  linkOnly?: true;
}

/**
 * One by one, every tag of the metadata and, where tag links are given (older layout), of the link tree. A link that is not there or points elsewhere
 * counts as missing: whoever pulls by tag follows the link.
 */
export function* proveTags(references: References, follower: Follower, links: Iterable<TagLink> | null): Generator<ProvenTag> {
  const { digests } = references.numbers;
  const places = new NameNumbers();
  /** By place, the number of the digest that a link names; none once its tag was met. */
  const linked = new Column();
  for (const { repository, name, digest } of links ?? []) linked.set(places.add(`${repository}:${name}`), digests.add(digest));
  for (const { repository, name, digest, changedAt } of references.tags) {
    const place = places.find(`${repository}:${name}`);
    const link = place === undefined ? NONE : linked.get(place);
    if (place !== undefined) linked.set(place, NONE);
    const broken = links !== null && link !== digests.find(digest) ? [{ digest, what: link === NONE ? 'link of the tag' : 'link of the tag (it points to another image)' }] : [];
    yield new FollowedTag({ repository, name, digest }, follower.follow(digest), broken, changedAt);
  }
  for (const { repository, name, digest } of links ?? []) {
    if (linked.get(places.add(`${repository}:${name}`)) === digests.find(digest)) yield new FollowedTag({ repository, name, digest }, follower.follow(digest), [], undefined, true);
  }
}

class FollowedTag implements ProvenTag {
  readonly repository: string;
  readonly name: string;
  readonly digest: string;
  readonly missing: Missing[];

  constructor(
    { repository, name, digest }: TagLink,
    private readonly followed: Followed,
    broken: Missing[],
    readonly changedAt?: string,
    readonly linkOnly?: true,
  ) {
    this.repository = repository;
    this.name = name;
    this.digest = digest;
    this.missing = broken.length === 0 ? followed.missing : [...followed.missing, ...broken];
  }

  get manifests(): string[] {
    return this.followed.manifests;
  }

  get parts(): string[] {
    return this.followed.parts;
  }

  get aliases(): { other: string; sha256: string }[] {
    return this.followed.aliases;
  }
}

/** `docker/registry/v2/repositories/<repository>/_manifests/tags/<tag>/current/link`; null for other links and odd content. */
export function parseTagLink(path: string, content: string): TagLink | null {
  const match = /^docker\/registry\/v2\/repositories\/(.+)\/_manifests\/tags\/([^/]+)\/current\/link$/.exec(path);
  const digest = /^sha256:([0-9a-f]{64})\s*$/.exec(content)?.[1];
  return match && digest !== undefined ? { repository: match[1]!, name: match[2]!, digest } : null;
}

/** By `docker/registry/v2/repositories/<repository>/_layers/<algorithm>/<digest>/link` content is known by a digest of another algorithm; null for other links and odd content. */
export function parseAliasLink(path: string, content: string): { other: string; sha256: string } | null {
  const [, algorithm = '', encoded = ''] = /^docker\/registry\/v2\/repositories\/.+\/_layers\/([^/]+)\/([^/]+)\/link$/.exec(path) ?? [];
  if (algorithm === '' || algorithm === 'sha256') return null;
  const [other, sha256] = [readDigest(`${algorithm}:${encoded}`), readDigest(content.trim())];
  return other === null || sha256 === null || isOtherDigest(sha256) ? null : { other, sha256 };
}

/** A tag as the registry shows it now. */
export interface LiveTag {
  /** Bare hex or with algorithm; empty when the registry does not say. */
  digest: string;
  changedAt?: string;
}

/** True when the tag's own time says that it changed since the dump began. A time that cannot be read says nothing. */
export function changedSince(changedAt: string | undefined, since: string): boolean {
  return changedAt !== undefined && Date.parse(changedAt) >= Date.parse(since);
}

/**
 * Whether a tag that is not whole, or not in the metadata, was being changed while the dump ran: by its row, or by what the registry shows
 * now (`null`: it is gone).
 */
export function isInFlight(tag: ProvenTag, live: LiveTag | null, since: string): boolean {
  if (changedSince(tag.changedAt, since)) return true;
  if (live === null) return true;
  return changedSince(live.changedAt, since) || (live.digest !== '' && live.digest.slice(-64) !== tag.digest);
}
