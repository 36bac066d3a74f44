/**
 * `manifest.json`: what makes a backup exist, and all that a restore on bare machines needs. No secret and no repository name stands in it. It is small
 * whatever the registry holds: what grows with it (segments, names, words) stands in artifacts, whose digests are here.
 */
import { z } from 'zod';
import { backupIdSchema } from './contract';
import { isOtherDigest } from './digest';
import { artifactsSchema } from './manifest-artifacts';
import { imagesSchema } from './manifest-images';
import { productSchema } from './manifest-product';
import { segmentId } from './manifest-segments';
import { plainText } from './plain-text';

export { type ArtifactRef } from './manifest-artifacts';
export { type Storage, type Volume } from './manifest-images';
export { replicaSchema, type DtrProduct, type InstallSettings, type Replica } from './manifest-product';
export { type SegmentRef, type WrappedKeys } from './manifest-segments';

/** Of a manifest as it stands in the vault. More is damage or an attack. */
export const MANIFEST_MAX_BYTES = 64 * 1024;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);
const time = z.iso.datetime({ offset: false });

export const gapSchema = z.strictObject({ digest: plainText, what: plainText });

/** What lies beside the manifest and is no artifact. Names that a later version adds are passed by. */
const besideSchema = z.object({ 'RESTORE.md': z.object({ bytes: count, sha256 }), SHA256SUMS: z.object({ bytes: count, sha256 }) });
export type Beside = z.infer<typeof besideSchema>;

export const manifestSchema = z
  .strictObject({
    format: z.literal(1),
    backupId: backupIdSchema,
    cluster: plainText,
    /** `complete`: no gap but accepted ones. */
    status: z.enum(['complete', 'incomplete']),
    startedAt: time,
    sealedAt: time,
    startedBy: plainText,
    tool: z.strictObject({ name: z.literal('drydock'), version: plainText }),
    product: productSchema,
    images: imagesSchema,
    artifacts: artifactsSchema,
    beside: besideSchema,
    counts: z.strictObject({
      repositories: count, tags: count, manifests: count, blobs: count, newBlobs: count, rows: count, inFlight: count, segments: count,
      /** Parts of images that are missing and that nobody accepted; those that somebody did are counted apart. */
      gaps: count, acceptedGaps: count,
      /** Of the run, until the seal. */
      warnings: count,
    }),
    bytes: z.strictObject({ images: count, moved: count, stored: count, metadata: count }),
    /** As many as fit; `counts.gaps` has them all. Digests only: the names stand in the encrypted list of tags. */
    gaps: z.array(gapSchema).max(1_000),
  })
  .refine(({ status, counts }) => status === 'incomplete' || counts.gaps === 0, { path: ['status'], error: 'says complete, and there are gaps' });
export type Manifest = z.infer<typeof manifestSchema>;

/** One line of `tags.jsonl`. */
export const tagLineSchema = z.strictObject({
  repository: plainText,
  name: plainText,
  digest: plainText,
  /** `acceptedGap`: what it lacks, people have accepted. */
  state: z.enum(['whole', 'inFlight', 'gap', 'acceptedGap']),
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
