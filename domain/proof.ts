/**
 * The set check: each tag -> manifest -> configuration and layers -> a stored copy with the right digest, children of indexes included. The
 * same for both layouts; only where a digest may lie differs. Digests are bare hex.
 */
import { Column, NONE } from './column';
import type { CopyList } from './copy-list';
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
}

/** What a tag needs and what of it is not there. */
export interface Followed {
  readonly missing: Missing[];
  /** Manifests on the way, the tag's own first. */
  readonly manifests: string[];
  /** Configurations and layers of the tag's manifests. */
  readonly parts: string[];
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
    const found: Found = { missing: new Map(), manifests: new Set(), parts: [] };
    const open = [{ digest: digests.add(digest), what: 'manifest' }];
    for (let next = open.pop(); next; next = open.pop()) {
      if (found.manifests.has(next.digest)) continue;
      const children = this.look(next.digest, next.what, found);
      for (let at = children.length - 1; at >= 0; at -= 1) open.push({ digest: children[at]!, what: 'manifest of the index' });
    }
    return new FollowedNumbers(found, digests);
  }

  /** Looks at one manifest and what it names itself; returns its children. */
  private look(digest: number, what: string, found: Found): ArrayLike<number> {
    const isStored = this.references.isStored(digest, this.copies);
    const needs = (isStored ? this.copies.refs.numbered(digest) : undefined) ?? this.references.manifestRows.numbered(digest);
    found.manifests.add(digest);
    if (!isStored) found.missing.set(digest, what);
    else if (!needs) found.missing.set(digest, `${what} that cannot be read`);
    if (!needs) return [];
    this.lookAtParts(needs, found);
    return needs.manifests ?? [];
  }

  private lookAtParts({ config, layers, foreign }: NumberedRefs, found: Found): void {
    const lawful = new Set(foreign);
    const look = (part: number, what: string): void => {
      found.parts.push(part);
      if (!found.missing.has(part) && !this.references.isStored(part, this.copies)) found.missing.set(part, what);
    };
    if (config !== NONE) look(config, 'configuration');
    for (const layer of layers ?? []) if (!lawful.has(layer)) look(layer, 'layer');
  }
}

/** Digests as numbers. */
interface Found {
  /** What each of them is. */
  missing: Map<number, string>;
  manifests: Set<number>;
  parts: number[];
}

/** Texts are made for those who ask: most tags are whole, and nobody asks for the digests of their layers. */
class FollowedNumbers implements Followed {
  readonly missing: Missing[];

  constructor(
    private readonly found: Found,
    private readonly digests: DigestNumbers,
  ) {
    this.missing = Array.from(found.missing, ([number, what]) => ({ digest: digests.digest(number), what }));
  }

  get manifests(): string[] {
    return Array.from(this.found.manifests, (number) => this.digests.digest(number));
  }

  get parts(): string[] {
    return Array.from(this.found.parts, (number) => this.digests.digest(number));
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
}

/** `docker/registry/v2/repositories/<repository>/_manifests/tags/<tag>/current/link`; null for other links and odd content. */
export function parseTagLink(path: string, content: string): TagLink | null {
  const match = /^docker\/registry\/v2\/repositories\/(.+)\/_manifests\/tags\/([^/]+)\/current\/link$/.exec(path);
  const digest = /^sha256:([0-9a-f]{64})\s*$/.exec(content)?.[1];
  return match && digest !== undefined ? { repository: match[1]!, name: match[2]!, digest } : null;
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
