/** `manifest.json`: what makes a backup exist, and all that a restore on bare machines needs. No secret and no repository name stands in it. */
import { z } from 'zod';
import { backupIdSchema, replicaId } from './contract';
import { isOtherDigest } from './digest';
import { plainName, plainText } from './plain-text';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
/** It is run with root's rights: nothing but a name, tag and digest. */
const imageReference = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/, 'is no image reference');
const count = z.int().min(0);
const time = z.iso.datetime({ offset: false });

export const artifactSchema = z.strictObject({
  /** Name in the vault. */
  name: plainText,
  bytes: count,
  sha256,
  plainBytes: count,
  plainSha256: sha256,
  recipients: z.array(plainText),
});

export const cronSchema = z.looseObject({
  id: plainText.optional(),
  action: plainText,
  schedule: plainText,
  retries: z.number(),
  parameters: z.unknown(),
  deadline: plainText,
});

export const replicaSchema = z.strictObject({ id: replicaId, node: plainName, httpPort: z.int(), httpsPort: z.int() });
export type Replica = z.infer<typeof replicaSchema>;

/** Where the images of a cluster lie and how that is created again. */
export const storageSchema = z.strictObject({
  kind: z.enum(['local', 'nfs', 'volume', 'external']),
  nfsUrl: plainText.optional(),
  nfsOptions: plainText.optional(),
  storageVolume: plainText.optional(),
  /** For `external`: who looks after the images. They are not in this backup. */
  external: plainText.optional(),
});
export type Storage = z.infer<typeof storageSchema>;

export const volumeSchema = z.strictObject({
  name: plainName,
  driver: plainName,
  options: z.record(plainText, plainText),
  /** Of the volume's root directory. */
  owner: z.strictObject({ uid: z.int(), gid: z.int() }),
  mode: z.string().regex(/^[0-7]{3,4}$/),
});

/** What the flags of `install` and `restore` set. */
export const installSettingsSchema = z.strictObject({
  externalUrl: plainText,
  httpProxy: plainText,
  httpsProxy: plainText,
  noProxy: plainText,
  logProtocol: plainText,
  logHost: plainText,
  logLevel: plainText,
  scanningEnabled: z.boolean(),
  scanningSyncOnline: z.boolean(),
  readOnlyRegistry: z.boolean(),
  /** SHA-256 of the certificate under the external URL. */
  certificateFingerprint: plainText,
});

export const gapSchema = z.strictObject({ digest: plainText, what: plainText });

/** Recipients that were added to an encrypted file after it was written. */
export const wrappedKeysSchema = z.strictObject({
  /** Where the encrypted data begins, counted from 1 as `tail -c +N` does. */
  encryptedFrom: z.int().min(1),
  /** One `.keys` file for each. */
  keys: z.array(z.strictObject({ recipient: plainText, bytes: count, sha256 })),
});
export type WrappedKeys = z.infer<typeof wrappedKeysSchema>;

/** Part of names in the vault, so nothing that could lead elsewhere. */
const segmentId = z.string().regex(/^[0-9A-Za-z][0-9A-Za-z-]*$/, 'expected the id of a segment');

/** A segment that the backup needs, and how much of it. `recipients`: all who can open it, those who were added included. */
export const segmentRefSchema = z.strictObject({
  segment: segmentId,
  bytes: count,
  sha256,
  recipients: z.array(plainText),
  index: z.strictObject({ bytes: count, sha256 }),
  usedBlobs: count,
  usedBytes: count,
  wrapped: wrappedKeysSchema.optional(),
});
export type SegmentRef = z.infer<typeof segmentRefSchema>;

/** What lies beside the manifest and is no artifact. Names that a later version adds are passed by. */
const besideSchema = z.object({ 'RESTORE.md': z.object({ bytes: count, sha256 }), SHA256SUMS: z.object({ bytes: count, sha256 }) });
export type Beside = z.infer<typeof besideSchema>;

export const manifestSchema = z.strictObject({
  format: z.literal(1),
  backupId: backupIdSchema,
  cluster: plainText,
  status: z.enum(['complete', 'incomplete']),
  startedAt: time,
  sealedAt: time,
  startedBy: plainText,
  tool: z.strictObject({ name: z.literal('drydock'), version: plainText }),
  dtr: z.strictObject({
    version: plainText,
    bootstrapperImage: imageReference,
    /** The replica whose database was read. */
    replica: replicaId,
    replicas: z.array(replicaSchema).min(1),
    settings: installSettingsSchema,
    storage: storageSchema,
    volume: volumeSchema.nullable(),
    layouts: z.array(z.enum(['sha256', 'id'])),
    /** As they were before the freeze. */
    crons: z.array(cronSchema),
  }),
  ucp: z.strictObject({
    url: plainText,
    clusterId: plainText,
    version: plainText,
    /** Accounts that own repositories. */
    owners: z.array(z.strictObject({ id: plainText, name: plainText })),
  }),
  metadata: z.strictObject({ root: plainText, online: z.boolean(), tables: z.record(plainText, count), documents: count, dumpStartedAt: time, dumpEndedAt: time }),
  artifacts: z.strictObject({
    metadata: artifactSchema, tree: artifactSchema.nullable(), tags: artifactSchema, blobs: artifactSchema,
    /** Only where a proxy of the settings has credentials. */
    settings: artifactSchema.optional(),
  }),
  /** Absent in older backups, whose signature covers neither. */
  beside: besideSchema.optional(),
  segments: z.array(segmentRefSchema),
  counts: z.strictObject({ repositories: count, tags: count, manifests: count, blobs: count, newBlobs: count, rows: count, inFlight: count, gaps: count }),
  bytes: z.strictObject({ images: count, moved: count, stored: count, metadata: count }),
  /** At most 1000; `counts.gaps` has them all. Digests only: the names stand in the encrypted list of tags. */
  gaps: z.array(gapSchema).max(1_000),
});
export type Manifest = z.infer<typeof manifestSchema>;
export type ArtifactRef = z.infer<typeof artifactSchema>;

/** One line of `tags.jsonl`. */
export const tagLineSchema = z.strictObject({
  repository: plainText,
  name: plainText,
  digest: plainText,
  state: z.enum(['whole', 'inFlight', 'gap']),
  /** Private repositories cannot be pulled anonymously. */
  visibility: plainText.optional(),
});
export type TagLine = z.infer<typeof tagLineSchema>;

/** One line of `blobs.jsonl`. */
export const blobLineSchema = z.strictObject({
  path: plainText,
  size: count,
  sha256,
  segment: segmentId,
  /** Digests of other algorithms by which manifests name this content. */
  aliases: z.array(plainText.refine(isOtherDigest)).optional(),
});
export type BlobLine = z.infer<typeof blobLineSchema>;
