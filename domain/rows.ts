/** The few rows of the vendor's metadata that say which content images need. Read tolerantly: versions differ in what they hold. */
import { z } from 'zod';
import { readDigest } from './digest';
import { isSha256 } from './sha256';

/** With or without its algorithm; SHA-256 only. */
const digest = z.string().regex(/^(sha256:)?[0-9a-f]{64}$/).transform((value) => value.slice(-64));
/**
 * What a manifest names may be of any algorithm; absent, null and empty mean the same. One that is no digest at all is passed by: the manifest itself says better what it needs.
 */
const named = z.unknown().transform((value) => (typeof value === 'string' && isSha256(value) ? value : readDigest(value)));
const time = z.string().optional().catch(undefined);

const layer = z.looseObject({ digest: named.optional(), urls: z.array(z.unknown()).nullish().catch(null) });
const listOf = <T extends z.ZodType>(item: T) => z.array(item).nullish().transform((list) => list ?? []);

const tag = z.looseObject({ pk: z.string().optional(), repository: z.string(), name: z.string().min(1), digest, createdAt: time, updatedAt: time, deleted: z.boolean().optional() });
const manifest = z.looseObject({
  pk: z.string().optional(), repository: z.string(), digest, configDigest: named.optional(), layers: listOf(layer.catch({ digest: null, urls: null })), manifests: listOf(z.union([z.looseObject({ digest: named.optional() }).transform((child) => child.digest), named])), deleted: z.boolean().optional(),
});
const blob = z.looseObject({ id: z.string().min(3), sha256sum: digest });
const blobLink = z.looseObject({ namespace: z.string(), repository: z.string(), digest: z.string() });
const repository = z.looseObject({ namespace: z.string(), name: z.string(), namespaceAccountID: z.string().optional(), visibility: z.string().optional() });

/** Digests are in our form (digest.ts), `repository` is `<namespace>/<name>`. */
export type MetadataRow =
  | { table: 'tags'; repository: string; name: string; digest: string; changedAt?: string }
  | { table: 'manifests'; repository: string; digest: string; config?: string; layers: string[]; foreign: string[]; manifests: string[] }
  | { table: 'blobs'; id: string; sha256: string }
  | { table: 'blob_links'; repository: string; digest: string }
  | { table: 'repositories'; repository: string; visibility?: string; owner?: { id: string; name: string } }
  /** A row of a table above that is not of a known form. */
  | { table: 'unreadable'; of: string };

export type TagRow = Extract<MetadataRow, { table: 'tags' }>;
export type BlobLinkRow = Extract<MetadataRow, { table: 'blob_links' }>;
export type ManifestRow = Extract<MetadataRow, { table: 'manifests' }>;

const READERS: Record<string, (row: unknown) => MetadataRow | null> = {
  tags: (row) => {
    const { pk, name, deleted, ...found } = tag.parse(row);
    const changedAt = found.updatedAt ?? found.createdAt;
    return deleted === true ? null : { table: 'tags', repository: fullName(found.repository, pk, `:${name}`), name, digest: found.digest, ...(changedAt === undefined ? {} : { changedAt }) };
  },
  manifests: (row) => {
    const found = manifest.parse(row);
    if (found.deleted === true) return null;
    const isForeign = (each: z.output<typeof layer>): boolean => (each.urls ?? []).length > 0;
    return {
      table: 'manifests',
      repository: fullName(found.repository, found.pk, `@sha256:${found.digest}`),
      digest: found.digest,
      ...(typeof found.configDigest === 'string' ? { config: found.configDigest } : {}),
      layers: found.layers.filter((each) => !isForeign(each)).flatMap((each) => each.digest ?? []),
      foreign: found.layers.filter(isForeign).flatMap((each) => each.digest ?? []),
      manifests: found.manifests.flatMap((each) => each ?? []),
    };
  },
  blobs: (row) => {
    const { id, sha256sum } = blob.parse(row);
    return { table: 'blobs', id, sha256: sha256sum };
  },
  blob_links: (row) => {
    const found = blobLink.parse(row);
    const linked = named.parse(found.digest);
    return linked === null ? { table: 'unreadable', of: 'blob_links' } : { table: 'blob_links', repository: `${found.namespace}/${found.repository}`, digest: linked };
  },
  repositories: (row) => {
    const { namespace, name, namespaceAccountID, visibility } = repository.parse(row);
    const owner = namespaceAccountID === undefined ? {} : { owner: { id: namespaceAccountID, name: namespace } };
    return { table: 'repositories', repository: `${namespace}/${name}`, ...(visibility === undefined ? {} : { visibility }), ...owner };
  },
};

/** The row in our words; null for a table that says nothing on content, or a row marked deleted. */
export function readRow(table: string, row: unknown): MetadataRow | null {
  const reader = Object.hasOwn(READERS, table) ? READERS[table] : undefined;
  if (!reader) return null;
  try {
    return reader(row);
  } catch {
    return { table: 'unreadable', of: table };
  }
}

/** Some versions give the repository's name without its namespace; the primary key has both. */
function fullName(repositoryField: string, pk: string | undefined, suffix: string): string {
  if (repositoryField.includes('/') || pk === undefined || !pk.endsWith(suffix)) return repositoryField;
  return pk.slice(0, -suffix.length);
}
