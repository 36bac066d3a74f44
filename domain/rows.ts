/** The few rows of the vendor's metadata that say which content images need. Read tolerantly: versions differ in what they hold. */
import { z } from 'zod';

/** With or without its algorithm; SHA-256 only. */
const digest = z.string().regex(/^(sha256:)?[0-9a-f]{64}$/).transform((value) => value.slice(-64));
/** Absent, null and empty mean the same in the vendor's rows. */
const optionalDigest = z.union([digest, z.literal(''), z.null()]).optional().transform((value) => (value ? value : undefined));
const time = z.string().optional().catch(undefined);

const layer = z.looseObject({ digest, urls: z.array(z.string()).nullish() });
const listOf = <T extends z.ZodType>(item: T) => z.array(item).nullish().transform((list) => list ?? []);

const tag = z.looseObject({ pk: z.string().optional(), repository: z.string(), name: z.string().min(1), digest, createdAt: time, updatedAt: time, deleted: z.boolean().optional() });
const manifest = z.looseObject({
  pk: z.string().optional(), repository: z.string(), digest, configDigest: optionalDigest, layers: listOf(layer), manifests: listOf(z.union([digest, z.looseObject({ digest }).transform((child) => child.digest)])), deleted: z.boolean().optional(),
});
const blob = z.looseObject({ id: z.string().min(3), sha256sum: digest });
const blobLink = z.looseObject({ namespace: z.string(), repository: z.string(), digest });
const repository = z.looseObject({ namespace: z.string(), name: z.string(), namespaceAccountID: z.string().optional(), visibility: z.string().optional() });

/** Digests are bare hex, `repository` is `<namespace>/<name>`. */
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
      ...(found.configDigest === undefined ? {} : { config: found.configDigest }),
      layers: found.layers.filter((each) => !isForeign(each)).map((each) => each.digest),
      foreign: found.layers.filter(isForeign).map((each) => each.digest),
      manifests: found.manifests,
    };
  },
  blobs: (row) => {
    const { id, sha256sum } = blob.parse(row);
    return { table: 'blobs', id, sha256: sha256sum };
  },
  blob_links: (row) => {
    const found = blobLink.parse(row);
    return { table: 'blob_links', repository: `${found.namespace}/${found.repository}`, digest: found.digest };
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
