/** Shows, before anything is destroyed, that the backup opens with the key at hand. */
import type { Readable } from 'node:stream';
import { readMetadataArchive } from '../../adapters/archive/metadata';
import { isForWantOfKey } from '../../adapters/openpgp/session-key';
import { readArtifact, verifyCiphertext } from '../../adapters/vault/artifacts';
import { openStored } from '../../adapters/vault/open-stored';
import { segmentsOf } from '../../adapters/vault/segment-list';
import { DrydockError } from '../../domain/errors';
import { tellAccepted } from '../../domain/accepted-gaps';
import type { ArtifactRef, BlobLine, Manifest } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import { readBlobList, readNotes, readTags } from './backup';
import type { Progress } from './progress';
import type { Refusals } from './refusals';

export interface Proven {
  /** Sentences for the plan. */
  proof: string[];
  blobs: BlobLine[];
  tags: number;
  repositories: number;
  /** Accounts that own repositories. */
  owners: { id: string; name: string }[];
  /** Sentences: what people accepted to be missing. */
  accepted: string[];
}

/**
 * Metadata, lists and link tree are read to their ends; of the segments one for each set of recipients is opened and all are there with their
 * sizes. What does not open becomes a refusal.
 */
export async function proveBackup(cluster: Cluster, manifest: Manifest, refusals: Refusals, progress: Progress): Promise<Proven> {
  const proof: string[] = [];
  const blobs: BlobLine[] = [];
  const repositories = new Set<string>();
  const owners: Proven['owners'] = [];
  const accepted: string[] = [];
  let tags = 0;
  let isClosed = false;
  progress.update({ phase: 'opening the metadata' });
  await refusals.attempt(async () => {
    const rows = await readMetadata(cluster, manifest).catch((error: unknown) => {
      if (!isForWantOfKey(error)) throw error;
      isClosed = true;
      throw withRecipients(error, manifest);
    });
    proof.push(`The metadata archive was read to its end: ${rows} rows, version ${manifest.product.version}.`);
  });
  // No key fits: the other files would only say so once more.
  if (isClosed) return { proof, blobs, tags, repositories: 0, owners, accepted };
  progress.update({ phase: 'opening the lists' });
  await refusals.attempt(async () => {
    for await (const tag of readTags(cluster, manifest)) {
      tags += 1;
      repositories.add(tag.repository);
    }
    for await (const blob of readBlobList(cluster, manifest)) blobs.push(blob);
    for await (const note of readNotes(cluster, manifest)) {
      if (note.kind === 'owner') owners.push({ id: note.id, name: note.name });
      if (note.kind === 'acceptedGap') accepted.push(tellAccepted(note));
    }
    proof.push(`The lists were read to their ends: ${tags} tags, ${blobs.length} blobs.`);
  });
  const { settings } = manifest.artifacts;
  if (settings !== undefined) await refusals.attempt(() => drain(cluster, settings));
  const { tree } = manifest.artifacts;
  if (tree !== undefined) {
    await refusals.attempt(async () => {
      await drain(cluster, tree);
      proof.push('The link tree was read to its end.');
    });
  }
  progress.update({ phase: 'opening segments' });
  await refusals.attempt(async () => proof.push(await openSegments(cluster, manifest)));
  return { proof, blobs, tags, repositories: repositories.size, owners, accepted };
}

/** The same, saying which keys would open the backup. */
function withRecipients(error: DrydockError, { artifacts, backupId }: Manifest): DrydockError {
  return new DrydockError('AuthRejected', `${error.message}; backup ${backupId} opens with ${artifacts.metadata.recipients.join(' or ')}`, { ...(error.remedy === undefined ? {} : { remedy: error.remedy }), cause: error });
}

async function readMetadata(cluster: Cluster, manifest: Manifest): Promise<number> {
  const { documents } = await readOnce(cluster, manifest.artifacts.metadata, (source) => readMetadataArchive(source, () => undefined, { expectedVersion: manifest.product.version }));
  if (documents === manifest.product.metadata.documents) return documents;
  throw new DrydockError('IntegrityMismatch', `the metadata archive holds ${documents} rows, the manifest says ${manifest.product.metadata.documents}`, { remedy: 'use another backup' });
}

async function drain(cluster: Cluster, record: ArtifactRef): Promise<void> {
  // At its end the stream compares what has passed with the record.
  await readOnce(cluster, record, async (source) => {
    for await (const _chunk of source) cluster.signal?.throwIfAborted();
  });
}

/** Nothing is done with what is read here, so one reading is enough. What a damaged file does to those who read along says less than that it is damaged. */
async function readOnce<T>(cluster: Cluster, record: ArtifactRef, work: (source: Readable) => Promise<T>): Promise<T> {
  try {
    return await work(await readArtifact(cluster.vault, record, await cluster.decryptionKeys(), { gunzip: true, once: true, ...signalOf(cluster) }));
  } catch (error) {
    if (!isForWantOfKey(error) && !(error instanceof DrydockError && error.retryable) && cluster.signal?.aborted !== true) await verifyCiphertext(cluster.vault, record, cluster.signal);
    throw error;
  }
}

async function openSegments(cluster: Cluster, manifest: Manifest): Promise<string> {
  const opened = new Set<string>();
  const keys = await cluster.decryptionKeys();
  const segments = await segmentsOf(cluster.vault, manifest, cluster.signal);
  const sizes = new Map<string, number>();
  for await (const { name, size } of segments.length === 0 ? [] : cluster.vault.list(vaultPaths.segments(cluster.name))) sizes.set(name, size);
  for (const { segment, bytes, recipients } of segments) {
    const name = vaultPaths.segment(cluster.name, segment);
    const size = sizes.get(name);
    if (size !== bytes) {
      const why = size === undefined ? 'is not in the vault' : `has ${size} bytes instead of ${bytes}`;
      throw new DrydockError('IntegrityMismatch', `the segment ${name} ${why}`, { remedy: 'put it back from a second copy of the vault, or use another backup' });
    }
    if (!sizes.has(vaultPaths.segmentIndex(cluster.name, segment))) {
      throw new DrydockError('IntegrityMismatch', `the index of segment ${name} is not in the vault`, { remedy: 'put it back from a second copy of the vault, or use another backup' });
    }
    const set = [...recipients].sort().join(' ');
    if (opened.has(set)) continue;
    await openStored(cluster.vault, name, keys);
    opened.add(set);
  }
  if (segments.length === 0) return 'The backup has no segments: no image is in it.';
  const tried = opened.size === 1 ? 'A segment opens' : `A segment for each of the ${opened.size} sets of recipients opens`;
  return `${tried} with the key at hand; ${segments.length === 1 ? 'it is there with its size' : `all ${segments.length} are there with their sizes`}. Their content was last proven when the backup was made, ${manifest.sealedAt}.`;
}

function signalOf(cluster: Cluster): { signal?: AbortSignal } {
  return cluster.signal === undefined ? {} : { signal: cluster.signal };
}
