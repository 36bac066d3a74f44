/** L0: the seal, and the files that it names. */
import { createHash } from 'node:crypto';
import { readAhead } from '../../adapters/stream/at-once';
import { refuseDamaged, verifyCiphertext } from '../../adapters/vault/artifacts';
import { digestOf } from '../../adapters/vault/copy-object';
import { AHEAD_BYTES, bytesAsSource, INDEXES_AHEAD, type IndexSource } from '../../adapters/vault/indexes-ahead';
import type { SegmentIndex } from '../../adapters/vault/segment-index';
import type { Vault } from '../../adapters/vault/vault';
import { DrydockError, isNoVault } from '../../domain/errors';
import type { Manifest, SegmentRef } from '../../domain/manifest';
import { artifactsOf } from '../../domain/manifest-artifacts';
import { vaultPaths } from '../../domain/vault-format';
import type { Damage } from '../../domain/verify';
import type { Cluster } from '../cluster';
import { besideRecords } from '../copy/records';
import type { SealedBackup } from '../restore/backup';
import type { Progress } from '../restore/progress';
import { checkSignature } from '../signature';
import { soundIndex, type Catalogue } from './catalogue';

/** Signature, digests of artifacts, and what a person needs who has no Drydock. Sentences about the signature go to `notes`. */
export async function checkFiles(cluster: Cluster, { manifest, content }: SealedBackup, notes: string[]): Promise<Damage[]> {
  const damages: Damage[] = [];
  const attempt = (file: string, work: () => Promise<unknown>): Promise<unknown> => work().catch((error: unknown) => damages.push(asDamage(error, file)));
  await attempt(vaultPaths.manifest(cluster.name, manifest.backupId), async () => notes.push(await checkSignature(cluster, manifest.backupId, content)));
  for (const artifact of artifactsOf(manifest)) await attempt(artifact.name, () => verifyCiphertext(cluster.vault, artifact, cluster.signal));
  return [...damages, ...(await checkBeside(cluster, manifest))];
}

/** The guide and the checksums, as the manifest records them. */
async function checkBeside(cluster: Cluster, manifest: Manifest): Promise<Damage[]> {
  const damages: Damage[] = [];
  for (const { name, bytes, sha256 } of besideRecords(cluster.name, manifest)) {
    const found = await digestOf(cluster.vault, name, cluster.signal).catch((error: unknown) => goneOr(error, name));
    if (!('sha256' in found)) damages.push(found);
    else if (found.bytes !== bytes || found.sha256 !== sha256) damages.push({ file: name, what: `it is not the one that the manifest records${name.endsWith('.md') ? ': do not follow it' : ''}` });
  }
  return damages;
}

function goneOr(error: unknown, file: string): Damage {
  return error instanceof DrydockError && error.kind === 'NotFound' && !isNoVault(error) ? { file, what: 'the file is gone' } : asDamage(error, file);
}

/** Each segment is there with its size, its index is the one that was sealed and describes it, and so are its added session keys. */
export async function checkSegments(cluster: Cluster, segments: readonly SegmentRef[], catalogue: Catalogue, progress: Progress): Promise<Damage[]> {
  const damages: Damage[] = [];
  const sizes = new Map<string, number>();
  for await (const { name, size } of cluster.vault.list(vaultPaths.segments(cluster.name))) sizes.set(name, size);
  let itemsDone = 0;
  // What is no plain file is as good as gone, and one such name must not end the look at the others.
  const look = async (ref: SegmentRef) => ({
    ref,
    ...(await checkSegment(cluster, ref, sizes).catch((error: unknown) => ({ damages: [{ ...asDamage(error, vaultPaths.segment(cluster.name, ref.segment)), segment: ref.segment, lost: true as const }], source: cluster.vault }))),
  });
  for await (const { ref, damages: found, source } of readAhead(segments, INDEXES_AHEAD, look)) {
    cluster.signal?.throwIfAborted();
    damages.push(...found);
    const index = await soundIndex(source, cluster.name, ref.segment);
    if (index) damages.push(...(describes(index, ref) ? catalogue.takeIndex(index) : [{ segment: ref.segment, what: 'its index describes another segment than the one that was sealed' }]));
    progress.update({ phase: 'segments and indexes', itemsDone: (itemsDone += 1), itemsTotal: segments.length });
  }
  const known = new Set(segments.map(({ segment }) => segment));
  for (const segment of catalogue.segments) {
    if (!known.has(segment)) damages.push(...catalogue.neededOf(segment).map(({ sha256 }) => ({ digest: sha256, segment, what: 'the list of segments does not name its segment' })));
  }
  return damages;
}

function describes({ header }: SegmentIndex, { bytes, sha256 }: SegmentRef): boolean {
  return header.bytes === bytes && header.sha256 === sha256;
}

/** `sizes`: by name, as listed. `source`: where its index is read from now on, so that it need not come twice. */
async function checkSegment({ vault, name: cluster }: Cluster, { segment, bytes, index, wrapped }: SegmentRef, sizes: ReadonlyMap<string, number>): Promise<{ damages: Damage[]; source: IndexSource }> {
  const file = vaultPaths.segment(cluster, segment);
  // What is not listed may still stand there as something else than a file; then the vault says as what.
  const size = sizes.get(file) ?? (await vault.stat(file))?.size;
  if (size === undefined) return { damages: [{ segment, file, what: 'the segment is gone', lost: true }], source: vault };
  if (size !== bytes) return { damages: [{ segment, file, what: `the segment has ${size} bytes instead of ${bytes}`, lost: true }], source: vault };
  const damages: Damage[] = [];
  const checked = await checkIndex(vault, { name: vaultPaths.segmentIndex(cluster, segment), ...index }).catch((error: unknown) => {
    damages.push({ ...asDamage(error, vaultPaths.segmentIndex(cluster, segment)), segment });
    return vault;
  });
  for (const { recipient, ...key } of wrapped?.keys ?? []) {
    const record = { name: vaultPaths.wrappedKeys(file, recipient), bytes: key.bytes, sha256: key.sha256 };
    await verifyCiphertext(vault, record).catch((error: unknown) => damages.push({ ...asDamage(error, record.name), segment }));
  }
  return { damages, source: checked };
}

/** A small one is kept at hand. Throws NotFound, IntegrityMismatch. */
async function checkIndex(vault: Vault, record: { name: string; bytes: number; sha256: string }): Promise<IndexSource> {
  if (record.bytes > AHEAD_BYTES) {
    await verifyCiphertext(vault, record);
    return vault;
  }
  const content = await vault.readAll(record.name, record.bytes);
  refuseDamaged(vault, record, { bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') });
  return bytesAsSource(content);
}

/** What an error says about the backup; one that says nothing about it (a vault that does not answer, a cancellation) is thrown on. */
export function asDamage(error: unknown, file: string): Damage {
  if (!isDamage(error)) throw error;
  return { file, what: error.message };
}

/** Whether an error tells of the backup itself, and not of the way to it. */
export function isDamage(error: unknown): error is DrydockError {
  if (isNoVault(error)) return false;
  return error instanceof DrydockError && (error.kind === 'IntegrityMismatch' || error.kind === 'NotFound' || error.kind === 'Refused');
}
