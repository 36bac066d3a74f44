import { Readable } from 'node:stream';
import { count } from '../../domain/count';
import { recordWrapped } from '../../adapters/vault/access';
import { writeArtifact, writeClear } from '../../adapters/vault/artifacts';
import { hasDigest } from '../../adapters/vault/copy-object';
import { indexesAhead, type IndexSource } from '../../adapters/vault/indexes-ahead';
import { writeJsonLines } from '../../adapters/vault/json-lines';
import { readManifest } from '../../adapters/vault/manifest-file';
import { markedSegments } from '../../adapters/vault/marks';
import type { Vault } from '../../adapters/vault/vault';
import { listSegments, scanIndex, summarizeIndex } from '../../adapters/vault/segment-index';
import { DrydockError } from '../../domain/errors';
import { manifestSchema, type ArtifactRef, type BlobLine, type Manifest, type SegmentRef } from '../../domain/manifest';
import { artifactsOf } from '../../domain/manifest-artifacts';
import { formatSegments } from '../../domain/manifest-segments';
import type { Note } from '../../domain/notes';
import { hasSecretProxies, secretProxies, toEnvFile } from '../../domain/proxies';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import type { BackupActivities, BackupStep } from '../contract';
import { besideRecords } from '../copy/records';
import { report } from '../pulse';
import { forCleanUp } from '../guard';
import { sha256Of } from '../sha256';
import { ownArtifact } from './artifact';
import { besideTexts, mendBeside, storeBeside, storeSignature } from './beside';
import { lockUsed } from './lock-used';
import { artifactsWith, formatManifest, makeManifest, withGaps, type Segments } from './manifest';
import type { Gap } from './prove';
import { keptIndexes, segmentAccess } from './stored';
import { WORK, WorkFiles, type WorkName } from './work-files';

export type SealStep = Parameters<BackupActivities['seal']>[0];
type Sealed = Awaited<ReturnType<BackupActivities['seal']>>;

/** No manifest has room for more; the encrypted list of tags has the rest. */
const MANIFEST_GAPS = 1_000;
/** Step 10: lists, guide, checksums and, last and once, the manifest. From then on the backup exists. */
export async function seal(cluster: Cluster, step: SealStep, signal: AbortSignal): Promise<Sealed> {
  const before = await sealedBefore(cluster, step);
  if (before) return before;
  try {
    return await sealAnew(cluster, step, signal);
  } catch (error) {
    // Another attempt, which its server took for dead, was faster: what it sealed is this run's backup, whatever it did to what this one wrote.
    const meanwhile = signal.aborted ? null : await sealedBefore(cluster, step).catch(() => null);
    if (meanwhile) return meanwhile;
    throw error;
  }
}

async function sealAnew(cluster: Cluster, step: SealStep, signal: AbortSignal): Promise<Sealed> {
  const work = await WorkFiles.open(cluster, step);
  const tags = await storeList(cluster, step, 'tags.jsonl.gz.gpg', work, WORK.tags, signal);
  const blobs = await storeList(cluster, step, 'blobs.jsonl.gz.gpg', work, WORK.blobs, signal);
  const tree = step.passes.reduce<ArtifactRef | null>((last, pass) => pass.tree ?? last, null);
  const settings = await storeSecretSettings(cluster, step);
  const notes = await storeNotes(cluster, step, work, signal);
  const segments = await usedSegments(cluster, step, work, signal);
  const list = await storeSegmentList(cluster, step, segments.used);
  const artifacts = artifactsWith({ metadata: step.metadata.artifact, tree, tags, blobs, settings, notes, segments: list });
  const found = makeManifest(step, artifacts, segments, new Date().toISOString());
  const texts = await besideTexts(cluster, found, segments.used, isReadOnlyInside(step));
  const beside = await storeBeside(cluster, step, texts);
  const manifest = manifestSchema.parse(withGaps({ ...found, beside }, await readGaps(work)));
  await refuseGone(cluster, manifest);
  await refuseMarked(cluster, segments.used);
  await lockUsed(cluster, manifest, segments.used, signal);
  const content = formatManifest(manifest);
  await storeSignature(cluster, step, content);
  await putManifest(cluster, step, manifest, content, signal);
  try {
    await mendBeside(whateverComes(cluster), { ...step, readOnlyInside: isReadOnlyInside(step) }, manifest, content, texts);
  } catch (error) {
    // A cancelled step has no other attempt, and the backup exists all the same.
    if (!signal.aborted) throw error;
  }
  return resultOf(manifest, content, step);
}

/**
 * From here on the backup exists, whatever its run says. Renewing locks may have taken long, and a worker that has lost Temporal hears of no cancel: its run may be over, and the
 * clean-up behind it at work on these very files.
 */
async function putManifest(cluster: Cluster, { backupId }: SealStep, manifest: Manifest, content: string, signal: AbortSignal): Promise<void> {
  await refuseMissing(cluster.vault, manifest);
  signal.throwIfAborted();
  const name = vaultPaths.manifest(cluster.name, backupId);
  await cluster.vault.put(name, content);
  try {
    await refuseMissing(forCleanUp(cluster.vault), manifest);
  } catch (error) {
    // A vault that does not answer says nothing of what is missing.
    if (!(error instanceof DrydockError && error.kind === 'IntegrityMismatch')) return;
    await forCleanUp(cluster.vault).remove(name);
    throw error;
  }
}

/** The backup exists: a run that is cancelled now must be able to say so, with all that belongs to it in its place. */
function whateverComes(cluster: Cluster): Cluster {
  return Object.create(cluster, { vault: { value: forCleanUp(cluster.vault) } }) as Cluster;
}

/** The metadata was taken in read-only mode, so the registry comes back in it. */
function isReadOnlyInside({ record }: SealStep): boolean {
  return record.readOnlyBefore !== null;
}

/** An attempt that wrote the manifest and died before it could say so, or was taken for dead. */
async function sealedBefore(cluster: Cluster, step: SealStep): Promise<Sealed | null> {
  const { vault, name } = cluster;
  const path = vaultPaths.manifest(name, step.backupId);
  if ((await vault.stat(path)) === null) return null;
  const { manifest, content } = await readManifest(vault, name, step.backupId);
  if (manifest.startedAt !== step.startedAt) throw new DrydockError('Conflict', `${path} exists already and is not of this run`, { remedy: 'start another backup' });
  const text = content.toString('utf8');
  await mendBeside(cluster, { ...step, readOnlyInside: isReadOnlyInside(step) }, manifest, text);
  return resultOf(manifest, text, step);
}

function resultOf(manifest: Manifest, content: string, step: SealStep): Sealed {
  const { status, sealedAt, counts, bytes } = manifest;
  return { status, vault: step.facts.vault, manifestSha256: sha256Of(content), sealedAt, counts, bytes };
}

async function storeList(cluster: Cluster, step: BackupStep, file: string, work: WorkFiles, list: WorkName, signal: AbortSignal): Promise<ArtifactRef> {
  report({ phase: `writing ${file}`, bytesDone: 0 });
  return writeArtifact(cluster.vault, ownArtifact(cluster, step, file), await cluster.encryptionKeys(), await work.stream(list), { gzip: true, signal });
}

/** Words and names: warnings of the run, and what the proof left. */
async function storeNotes(cluster: Cluster, step: SealStep, work: WorkFiles, signal: AbortSignal): Promise<ArtifactRef> {
  async function* all(): AsyncGenerator<Note> {
    yield* step.notes;
    yield* work.read<Note>(WORK.notes);
  }
  return writeJsonLines(cluster.vault, ownArtifact(cluster, step, 'notes.jsonl.gz.gpg'), await cluster.encryptionKeys(), all(), { signal });
}

async function storeSegmentList(cluster: Cluster, step: BackupStep, segments: readonly SegmentRef[]): Promise<{ name: string; bytes: number; sha256: string }> {
  return writeClear(cluster.vault, ownArtifact(cluster, step, 'segments.jsonl'), formatSegments(segments));
}

/** Proxies with their credentials, encrypted, since the manifest stands in clear; read again because a history must not hold them either. */
async function storeSecretSettings(cluster: Cluster, step: SealStep): Promise<ArtifactRef | null> {
  if (!hasSecretProxies(step.facts.settings)) return null;
  const dtr = await cluster.dtr();
  const content = toEnvFile(secretProxies(await dtr.settings()));
  return writeArtifact(cluster.vault, ownArtifact(cluster, step, 'settings.env.gz.gpg'), await cluster.encryptionKeys(), Readable.from([Buffer.from(content)]), { gzip: true });
}

/** The segments that hold this backup's blobs, with what is used of each; and what this run added to the vault. */
async function usedSegments(cluster: Cluster, step: SealStep, work: WorkFiles, signal: AbortSignal): Promise<Segments> {
  const used = new Map<string, { blobs: number; bytes: number }>();
  for await (const lines of work.lines(WORK.blobs)) {
    for (const line of lines) {
      const { segment, size } = JSON.parse(line) as BlobLine;
      const sum = used.get(segment);
      if (!sum) used.set(segment, { blobs: 1, bytes: size });
      else {
        sum.blobs += 1;
        sum.bytes += size;
      }
    }
  }
  const access = await segmentAccess(cluster);
  const segments: Segments = { used: [], added: { blobs: 0, bytes: 0, storedBytes: 0 } };
  for await (const { files, source } of indexesAhead(cluster.vault, await listSegments(cluster.vault, cluster.name), await keptIndexes(cluster, signal))) {
    signal.throwIfAborted();
    const summary = await summarizeIndex(source, cluster.name, files.segment).catch(soundOnly);
    if (summary === null || summary.header.bytes !== files.tar?.size) continue;
    const { header, ...index } = summary;
    const share = used.get(header.segment);
    if (header.writtenBy === step.backupId) {
      segments.added.blobs += share?.blobs ?? 0;
      segments.added.bytes += await goodBytes(source, cluster.name, header.segment);
      segments.added.storedBytes += header.bytes;
    }
    if (!share) continue;
    used.delete(header.segment);
    const name = vaultPaths.segment(cluster.name, header.segment);
    // What rotted since the blobs were found stored must be sealed neither as right nor as open to all.
    if (access.isDamaged(name) && !(await access.cover(name, header.recipients))) throw lostAccess(header.segment);
    const wrapped = await recordWrapped(cluster.vault, name, access.addedTo(name));
    segments.used.push({
      segment: header.segment, bytes: header.bytes, sha256: header.sha256, recipients: access.recipientsOf(name, header.recipients), index, usedBlobs: share.blobs, usedBytes: share.bytes,
      ...(wrapped ? { wrapped } : {}),
    });
  }
  if (used.size > 0) throw gone(`the segment ${[...used.keys()][0]}`);
  return segments;
}

/** Null for an index that cannot be used: nothing of it is in the backup. */
function soundOnly(error: unknown): null {
  if (error instanceof DrydockError && error.kind === 'IntegrityMismatch') return null;
  throw error;
}

async function goodBytes(source: IndexSource, cluster: string, segment: string): Promise<number> {
  let bytes = 0;
  await scanIndex(source, cluster, segment, (blobs) => {
    for (const blob of blobs) if (!blob.void) bytes += blob.size;
  });
  return bytes;
}

async function readGaps(work: WorkFiles): Promise<Manifest['gaps']> {
  const gaps = new Map<string, { digest: string; what: string }>();
  for await (const { digest, what } of work.read<Gap>(WORK.gaps)) {
    if (gaps.size < MANIFEST_GAPS) gaps.set(`${digest} ${what}`, { digest, what });
  }
  return [...gaps.values()];
}

/** A last look before the manifest says that all of this exists. */
async function refuseGone({ vault, name }: Cluster, manifest: Manifest): Promise<void> {
  await refuseMissing(vault, manifest);
  for (const record of besideRecords(name, manifest)) {
    if (await hasDigest(vault, record)) continue;
    throw new DrydockError('Busy', `${record.name} is not the one that was just written: another attempt of this backup still lives`, { remedy: 'it is tried again; if that goes on, find out who writes there' });
  }
}

async function refuseMissing(vault: Vault, manifest: Manifest): Promise<void> {
  await Promise.all(artifactsOf(manifest).map(async ({ name, bytes }) => {
    if ((await vault.stat(name))?.size !== bytes) throw gone(name);
  }));
}

/** Tombstones are listed again at the last moment: what a prune of another worker marked meanwhile has to be stored again. */
async function refuseMarked({ vault, name }: Cluster, segments: readonly SegmentRef[]): Promise<void> {
  const marked = await markedSegments(vault, name);
  const lost = segments.filter(({ segment }) => marked.has(segment));
  if (lost.length === 0) return;
  throw new DrydockError('WorkLost', `${count(lost.length, 'segment')} that this backup relies on ${lost.length === 1 ? 'was' : 'were'} marked for removal while it ran`, { remedy: 'their blobs are copied again' });
}

function lostAccess(segment: string): DrydockError {
  return new DrydockError('WorkLost', `session keys beside the segment ${segment} were found damaged, and not every recipient can open it`, { remedy: 'its blobs are copied again' });
}

function gone(what: string): DrydockError {
  return new DrydockError('IntegrityMismatch', `${what} went from the vault while the backup was made`, { remedy: 'find out who removes files there, then start the backup again' });
}
