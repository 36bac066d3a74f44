/** `manifest.json`: what makes a backup exist, and all that a restore on bare machines needs. No secret and no repository name stands in it. */
import { z } from 'zod';
import { backupIdSchema, replicaId } from './contract';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);
const time = z.iso.datetime({ offset: false });

export const artifactSchema = z.strictObject({
  /** Name in the vault. */
  name: z.string().min(1),
  bytes: count,
  sha256,
  plainBytes: count,
  plainSha256: sha256,
  recipients: z.array(z.string()),
});

export const cronSchema = z.looseObject({
  id: z.string().optional(),
  action: z.string(),
  schedule: z.string(),
  retries: z.number(),
  parameters: z.unknown(),
  deadline: z.string(),
});

export const replicaSchema = z.strictObject({ id: replicaId, node: z.string(), httpPort: z.int(), httpsPort: z.int() });
export type Replica = z.infer<typeof replicaSchema>;

/** Where the images of a cluster lie and how that is created again. */
export const storageSchema = z.strictObject({
  kind: z.enum(['local', 'nfs', 'volume', 'external']),
  nfsUrl: z.string().optional(),
  nfsOptions: z.string().optional(),
  storageVolume: z.string().optional(),
  /** For `external`: who looks after the images. They are not in this backup. */
  external: z.string().optional(),
});
export type Storage = z.infer<typeof storageSchema>;

export const volumeSchema = z.strictObject({
  name: z.string(),
  driver: z.string(),
  options: z.record(z.string(), z.string()),
  /** Of the volume's root directory. */
  owner: z.strictObject({ uid: z.int(), gid: z.int() }),
  mode: z.string().regex(/^[0-7]{3,4}$/),
});

/** What the flags of `install` and `restore` set. */
export const installSettingsSchema = z.strictObject({
  externalUrl: z.string(),
  httpProxy: z.string(),
  httpsProxy: z.string(),
  noProxy: z.string(),
  logProtocol: z.string(),
  logHost: z.string(),
  logLevel: z.string(),
  scanningEnabled: z.boolean(),
  scanningSyncOnline: z.boolean(),
  readOnlyRegistry: z.boolean(),
  /** SHA-256 of the certificate under the external URL. */
  certificateFingerprint: z.string(),
});

export const gapSchema = z.strictObject({ digest: z.string(), what: z.string() });

/** Recipients that were added to an encrypted file after it was written. */
export const wrappedKeysSchema = z.strictObject({
  /** Where the encrypted data begins, counted from 1 as `tail -c +N` does. */
  encryptedFrom: z.int().min(1),
  /** One `.keys` file for each. */
  keys: z.array(z.strictObject({ recipient: z.string(), bytes: count, sha256 })),
});
export type WrappedKeys = z.infer<typeof wrappedKeysSchema>;

/** A segment that the backup needs, and how much of it. `recipients`: all who can open it, those who were added included. */
export const segmentRefSchema = z.strictObject({
  segment: z.string(),
  bytes: count,
  sha256,
  recipients: z.array(z.string()),
  index: z.strictObject({ bytes: count, sha256 }),
  usedBlobs: count,
  usedBytes: count,
  wrapped: wrappedKeysSchema.optional(),
});
export type SegmentRef = z.infer<typeof segmentRefSchema>;

export const manifestSchema = z.strictObject({
  format: z.literal(1),
  backupId: backupIdSchema,
  cluster: z.string(),
  status: z.enum(['complete', 'incomplete']),
  startedAt: time,
  sealedAt: time,
  startedBy: z.string(),
  tool: z.strictObject({ name: z.literal('drydock'), version: z.string() }),
  dtr: z.strictObject({
    version: z.string(),
    bootstrapperImage: z.string(),
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
    url: z.string(),
    clusterId: z.string(),
    version: z.string(),
    /** Accounts that own repositories. */
    owners: z.array(z.strictObject({ id: z.string(), name: z.string() })),
  }),
  metadata: z.strictObject({ root: z.string(), online: z.boolean(), tables: z.record(z.string(), count), documents: count, dumpStartedAt: time, dumpEndedAt: time }),
  artifacts: z.strictObject({
    metadata: artifactSchema, tree: artifactSchema.nullable(), tags: artifactSchema, blobs: artifactSchema,
    /** Only where a proxy of the settings has credentials. */
    settings: artifactSchema.optional(),
  }),
  segments: z.array(segmentRefSchema),
  counts: z.strictObject({ repositories: count, tags: count, manifests: count, blobs: count, newBlobs: count, rows: count, inFlight: count, gaps: count }),
  bytes: z.strictObject({ images: count, moved: count, stored: count, metadata: count }),
  /** At most 1000; `counts.gaps` has them all. Digests only: the names stand in the encrypted list of tags. */
  gaps: z.array(gapSchema),
});
export type Manifest = z.infer<typeof manifestSchema>;
export type ArtifactRef = z.infer<typeof artifactSchema>;

/** One line of `tags.jsonl`. */
export const tagLineSchema = z.strictObject({
  repository: z.string(),
  name: z.string(),
  digest: z.string(),
  state: z.enum(['whole', 'inFlight', 'gap']),
  /** Private repositories cannot be pulled anonymously. */
  visibility: z.string().optional(),
});
export type TagLine = z.infer<typeof tagLineSchema>;

/** One line of `blobs.jsonl`. */
export const blobLineSchema = z.strictObject({ path: z.string(), size: count, sha256, segment: z.string() });
export type BlobLine = z.infer<typeof blobLineSchema>;
