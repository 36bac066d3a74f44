import { version } from '../../package.json';
import { DrydockError } from '../../domain/errors';
import { MANIFEST_MAX_BYTES, type ArtifactRef, type Manifest, type SegmentRef } from '../../domain/manifest';
import type { Artifacts } from '../../domain/manifest-artifacts';
import { imagesOf } from '../../domain/manifest-images';
import { warningsIn } from '../../domain/notes';
import type { SealStep } from './seal';

export interface Segments {
  used: SegmentRef[];
  /** Blobs of the backup that this run stored; plain bytes that it moved, those that no image needs any more included; bytes of its segments in the vault. */
  added: { blobs: number; bytes: number; storedBytes: number };
}

export interface StoredArtifacts {
  metadata: ArtifactRef;
  tree: ArtifactRef | null;
  tags: ArtifactRef;
  blobs: ArtifactRef;
  settings: ArtifactRef | null;
  notes: ArtifactRef;
  segments: { name: string; bytes: number; sha256: string };
}

/** With the word on each whether a restore can do without it. */
export function artifactsWith({ metadata, tree, tags, blobs, settings, notes, segments }: StoredArtifacts): Artifacts {
  const needed = true;
  return {
    metadata: { ...metadata, needed },
    ...(tree ? { tree: { ...tree, needed } } : {}),
    tags: { ...tags, needed },
    blobs: { ...blobs, needed },
    ...(settings ? { settings: { ...settings, needed } } : {}),
    segments: { ...segments, needed },
    notes: { ...notes, needed: false },
  };
}

/** Puts together what the steps found out. Pure. */
export function makeManifest(step: SealStep, artifacts: Artifacts, segments: Segments, sealedAt: string): Omit<Manifest, 'beside' | 'gaps'> {
  const { facts, record, metadata, proof, notes } = step;
  const stored = Object.values(artifacts).reduce((sum, artifact) => sum + (artifact?.bytes ?? 0), segments.added.storedBytes);
  return {
    format: 1,
    backupId: step.backupId,
    cluster: step.cluster,
    status: proof.counts.gaps > 0 || proof.unproven.length > 0 ? 'incomplete' : 'complete',
    startedAt: step.startedAt,
    sealedAt,
    startedBy: step.startedBy,
    tool: { name: 'drydock', version },
    product: {
      kind: 'dtr',
      version: facts.version,
      bootstrapperImage: facts.bootstrapperImage,
      replica: facts.replica.id,
      replicas: facts.replicas,
      // The freeze may have switched read-only mode on before these were read again.
      settings: { ...facts.settings, readOnlyRegistry: record.readOnlyBefore ?? facts.settings.readOnlyRegistry },
      crons: record.crons,
      ucp: facts.ucp,
      metadata: {
        root: metadata.root, online: metadata.online, tables: metadata.tables, documents: metadata.documents, dumpStartedAt: metadata.dumpStartedAt, dumpEndedAt: metadata.dumpEndedAt,
      },
    },
    images: imagesOf(facts.storage, facts.volume, proof.layouts),
    artifacts,
    counts: { ...proof.counts, newBlobs: segments.added.blobs, rows: metadata.documents, segments: segments.used.length, warnings: warningsIn(notes) },
    bytes: { images: proof.imageBytes, moved: segments.added.bytes, stored, metadata: metadata.artifact.plainBytes },
  };
}

/** As it stands in the vault: `RESTORE.md` looks for lines of this form. */
export function formatManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** As many gaps as a manifest has room for. Throws Refused when there is none even without. */
export function withGaps(manifest: Omit<Manifest, 'gaps'>, gaps: Manifest['gaps']): Manifest {
  let room = MANIFEST_MAX_BYTES - LIST_BYTES - Buffer.byteLength(formatManifest({ ...manifest, gaps: [] }));
  if (room < 0) {
    throw new DrydockError('Refused', `the manifest would have ${MANIFEST_MAX_BYTES - LIST_BYTES - room} bytes, ${MANIFEST_MAX_BYTES} are the most`, {
      remedy: 'recipients, replicas, crons and the settings of proxies stand in it: see which of them are that many or that long, and shorten them',
    });
  }
  // Indented, each on lines of its own.
  const fitting = gaps.findIndex((gap) => (room -= Buffer.byteLength(JSON.stringify([gap], null, 2)) + GAP_INDENT_BYTES) < 0);
  return { ...manifest, gaps: fitting < 0 ? gaps : gaps.slice(0, fitting) };
}

/** By how much a gap is longer in the manifest than in a list of its own: four lines, one level deeper, and what parts it from the next. */
const GAP_INDENT_BYTES = 6;
/** The list is no longer on one line then. */
const LIST_BYTES = 8;
