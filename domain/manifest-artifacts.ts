/** The files of a backup, by kind, as its manifest records them. */
import { z } from 'zod';
import { plainText } from './plain-text';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);

/** Of a file in clear; `needed`: a restore cannot do without it. */
const clearSchema = z.strictObject({
  /** Name in the vault. */
  name: plainText,
  bytes: count,
  sha256,
  needed: z.boolean(),
});

const encryptedSchema = clearSchema.extend({ plainBytes: count, plainSha256: sha256, recipients: z.array(plainText) });
/** An encrypted file, as whoever writes it hands it over. */
export type ArtifactRef = Omit<z.infer<typeof encryptedSchema>, 'needed'>;

/** Of a kind that a later version adds: as much as is needed to keep, copy and check it. `recipients`: absent for a file in clear. */
const otherSchema = z.looseObject({ name: plainText, bytes: count, sha256, needed: z.boolean(), recipients: z.array(plainText).optional() });

const KNOWN = {
  /** The vendor's archive. */
  metadata: encryptedSchema,
  /** The registry's link tree; absent where no image is in the backup. */
  tree: encryptedSchema.optional(),
  tags: encryptedSchema,
  blobs: encryptedSchema,
  /** Only where a proxy of the settings has credentials. */
  settings: encryptedSchema.optional(),
  /** `segments.jsonl`, in clear: one line, a `SegmentRef`, for each segment. */
  segments: clearSchema,
  /** `notes.jsonl`: see `domain/notes.ts`. */
  notes: encryptedSchema,
};

const KIND = /^[A-Za-z][A-Za-z0-9-]*$/;

export const artifactsSchema = z
  .object(KNOWN)
  .catchall(otherSchema.optional())
  .superRefine((artifacts, context) => {
    for (const kind of Object.keys(artifacts)) if (!KIND.test(kind)) context.addIssue({ code: 'custom', message: 'has a kind of artifact whose name is none' });
  });
export type Artifacts = z.infer<typeof artifactsSchema>;

/** What is common to artifacts of every kind. */
export interface AnyArtifact {
  kind: string;
  name: string;
  bytes: number;
  sha256: string;
  needed: boolean;
  /** Null for a file in clear. */
  recipients: string[] | null;
}

/** All artifacts of a backup, those of unknown kinds included. */
export function artifactsOf({ artifacts }: { artifacts: Artifacts }): AnyArtifact[] {
  return Object.entries(artifacts).flatMap(([kind, artifact]) => {
    if (artifact === undefined) return [];
    const { name, bytes, sha256: digest, needed } = artifact;
    return [{ kind, name, bytes, sha256: digest, needed, recipients: 'recipients' in artifact ? artifact.recipients ?? null : null }];
  });
}

/** Kinds that a restore needs and that this version does not know. */
export function unknownNeeded(manifest: { artifacts: Artifacts }): string[] {
  return artifactsOf(manifest).filter(({ kind, needed }) => needed && !Object.hasOwn(KNOWN, kind)).map(({ kind }) => kind);
}

/** Name of a backup's file within its folder. */
export function fileOf({ name }: { name: string }): string {
  return name.slice(name.lastIndexOf('/') + 1);
}
