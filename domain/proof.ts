/**
 * The set check: each tag -> manifest -> configuration and layers -> a stored copy with the right digest, children of indexes included. The
 * same for both layouts; only where a digest may lie differs. Digests are bare hex.
 */
import { idBlobPath, parseBlobPath, sha256BlobPath } from './layout';
import type { ManifestRow, MetadataRow, TagRow } from './rows';
import type { ManifestRefs } from './vault-format';

/** A copy in the vault that is not void. */
export interface StoredCopy {
  path: string;
  size: number;
  sha256: string;
  segment: string;
  refs?: ManifestRefs;
}

/** Stored copies by path. */
export interface Copies {
  /** The copy at this path with this digest, if there is one. */
  good(path: string, sha256: string): StoredCopy | undefined;
}

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

/** All references of one metadata archive, collected row by row. */
export class References {
  readonly tags: TagRow[] = [];
  readonly repositories = new Map<string, { visibility?: string }>();
  /** Account id -> name. */
  readonly owners = new Map<string, string>();
  /** Rows that are not of a known form, by table. */
  readonly unreadable = new Map<string, number>();
  private readonly manifestRows = new Map<string, ManifestRow>();
  /** `<repository>@<digest>` */
  private readonly manifestKeys = new Set<string>();
  private readonly idsOf = new Map<string, string[]>();
  private readonly digestOfId = new Map<string, string>();

  add(row: MetadataRow): void {
    switch (row.table) {
      case 'tags':
        this.tags.push(row);
        break;
      case 'manifests':
        this.manifestRows.set(row.digest, row);
        this.manifestKeys.add(`${row.repository}@${row.digest}`);
        break;
      case 'blobs':
        this.idsOf.set(row.sha256, [...(this.idsOf.get(row.sha256) ?? []), row.id]);
        this.digestOfId.set(row.id, row.sha256);
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

  manifest(digest: string): ManifestRow | undefined {
    return this.manifestRows.get(digest);
  }

  /** Whether a repository has the rows of all these manifests; the content may be the same in many repositories, the row stands for one. */
  hasManifests(repository: string, digests: string[]): boolean {
    return digests.every((digest) => this.manifestKeys.has(`${repository}@${digest}`));
  }

  /** Where content with this digest may lie; by id first, because the metadata says so. */
  pathsOf(digest: string): string[] {
    return [...(this.idsOf.get(digest) ?? []).map(idBlobPath), sha256BlobPath(digest)];
  }

  /** What a blob at this path must be; undefined where only the metadata would know and does not. */
  digestAt(path: string): string | undefined {
    const parsed = parseBlobPath(path);
    if (!parsed) return undefined;
    return parsed.layout === 'sha256' ? parsed.sha256 : this.digestOfId.get(parsed.id);
  }

  find(digest: string, copies: Copies): StoredCopy | undefined {
    for (const path of this.pathsOf(digest)) {
      const copy = copies.good(path, digest);
      if (copy) return copy;
    }
    return undefined;
  }

  /** Every digest that the metadata names, tagged or not, but layers that may lawfully be absent. */
  named(): Set<string> {
    const found = new Set<string>(this.idsOf.keys());
    for (const { digest } of this.tags) found.add(digest);
    for (const row of this.manifestRows.values()) for (const digest of [row.digest, ...(row.config ? [row.config] : []), ...row.layers, ...row.manifests]) found.add(digest);
    return found;
  }
}

/** What a tag needs and what of it is not there. */
export interface Followed {
  missing: Missing[];
  /** Manifests on the way, the tag's own first. */
  manifests: string[];
  /** Configurations and layers of the tag's manifests. */
  parts: string[];
}

/** Follows manifests to their blobs; remembers what it has followed. */
export class Follower {
  private readonly known = new Map<string, Followed>();

  constructor(
    private readonly references: References,
    private readonly copies: Copies,
  ) {}

  follow(digest: string, what = 'manifest'): Followed {
    const before = this.known.get(digest);
    if (before) return before;
    // Content that names itself cannot exist; a forged index must not keep us here for ever.
    this.known.set(digest, { missing: [], manifests: [], parts: [] });
    const found = this.look(digest, what);
    this.known.set(digest, found);
    return found;
  }

  private look(digest: string, what: string): Followed {
    const copy = this.references.find(digest, this.copies);
    const needs = copy?.refs ?? fromRow(this.references.manifest(digest));
    const missing: Missing[] = copy ? [] : [{ digest, what }];
    if (!needs) return { missing: copy ? [{ digest, what: `${what} that cannot be read` }] : missing, manifests: [digest], parts: [] };
    const foreign = new Set(needs.foreign ?? []);
    const layers = (needs.layers ?? []).filter((layer) => !foreign.has(layer));
    const parts = [...(needs.config === undefined ? [] : [needs.config]), ...layers];
    for (const part of new Set(parts)) if (!this.references.find(part, this.copies)) missing.push({ digest: part, what: part === needs.config ? 'configuration' : 'layer' });
    const children = (needs.manifests ?? []).map((child) => this.follow(child, 'manifest of the index'));
    return {
      missing: unique([...missing, ...children.flatMap((child) => child.missing)]),
      manifests: [digest, ...children.flatMap((child) => child.manifests)],
      parts: [...parts, ...children.flatMap((child) => child.parts)],
    };
  }
}

function fromRow(row: ManifestRow | undefined): ManifestRefs | undefined {
  if (!row) return undefined;
  return { mediaType: '', ...(row.config === undefined ? {} : { config: row.config }), layers: row.layers, foreign: row.foreign, manifests: row.manifests };
}

function unique(list: Missing[]): Missing[] {
  return [...new Map(list.map((each) => [each.digest, each])).values()];
}

/** A tag, from the metadata or only from the link tree, with what was found. */
export interface ProvenTag {
  repository: string;
  name: string;
  digest: string;
  changedAt?: string;
  missing: Missing[];
  manifests: string[];
  parts: string[];
  /** The metadata knows nothing of it: pushed after the tags were dumped, or a link that was left behind. */
  linkOnly?: true;
}

/**
 * Every tag of the metadata and, where tag links are given (older layout), of the link tree. A link that is not there or points elsewhere
 * counts as missing: whoever pulls by tag follows the link.
 */
export function proveTags(references: References, follower: Follower, links: TagLink[] | null): ProvenTag[] {
  const linkOf = new Map((links ?? []).map((link) => [`${link.repository}:${link.name}`, link]));
  const proven: ProvenTag[] = [];
  for (const { repository, name, digest, changedAt } of references.tags) {
    const key = `${repository}:${name}`;
    const { missing, manifests, parts } = follower.follow(digest);
    const link = linkOf.get(key);
    linkOf.delete(key);
    const broken = links !== null && link?.digest !== digest ? [{ digest, what: link ? 'link of the tag (it points to another image)' : 'link of the tag' }] : [];
    proven.push({ repository, name, digest, ...(changedAt === undefined ? {} : { changedAt }), missing: [...missing, ...broken], manifests, parts });
  }
  for (const { repository, name, digest } of linkOf.values()) {
    proven.push({ repository, name, digest, ...follower.follow(digest), linkOnly: true });
  }
  return proven;
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
