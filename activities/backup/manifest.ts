import { version } from '../../package.json';
import type { Manifest } from '../../domain/manifest';
import type { SealStep } from './seal';

export interface Segments {
  used: Manifest['segments'];
  /** Blobs of the backup that this run stored; plain bytes that it moved, those that no image needs any more included; bytes of its segments in the vault. */
  added: { blobs: number; bytes: number; storedBytes: number };
}

/** Puts together what the steps found out. Pure. */
export function makeManifest(step: SealStep, artifacts: Manifest['artifacts'], segments: Segments, gaps: Manifest['gaps'], sealedAt: string): Manifest {
  const { facts, record, metadata, proof } = step;
  const stored = Object.values(artifacts).reduce((sum, artifact) => sum + (artifact?.bytes ?? 0), segments.added.storedBytes);
  return {
    format: 1,
    backupId: step.backupId,
    cluster: step.cluster,
    status: proof.counts.gaps > 0 ? 'incomplete' : 'complete',
    startedAt: step.startedAt,
    sealedAt,
    startedBy: step.startedBy,
    tool: { name: 'drydock', version },
    dtr: {
      version: facts.version,
      bootstrapperImage: facts.bootstrapperImage,
      replica: facts.replica.id,
      replicas: facts.replicas,
      // The freeze may have switched read-only mode on before these were read again.
      settings: { ...facts.settings, readOnlyRegistry: record.readOnlyBefore ?? facts.settings.readOnlyRegistry },
      storage: facts.storage,
      volume: facts.volume && { name: facts.volume.name, driver: facts.volume.driver, options: facts.volume.options, owner: facts.volume.owner, mode: facts.volume.mode },
      layouts: proof.layouts,
      crons: record.crons,
    },
    ucp: { ...facts.ucp, owners: proof.owners },
    metadata: {
      root: metadata.root, online: metadata.online, tables: metadata.tables, documents: metadata.documents, dumpStartedAt: metadata.dumpStartedAt, dumpEndedAt: metadata.dumpEndedAt,
    },
    artifacts,
    segments: segments.used,
    counts: { ...proof.counts, newBlobs: segments.added.blobs, rows: metadata.documents },
    bytes: { images: proof.imageBytes, moved: segments.added.bytes, stored, metadata: metadata.artifact.plainBytes },
    gaps,
  };
}
