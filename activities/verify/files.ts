/** L0: the seal, and the files that it names. */
import { verifyCiphertext } from '../../adapters/vault/artifacts';
import { digestOf } from '../../adapters/vault/copy-object';
import type { SegmentIndex } from '../../adapters/vault/segment-index';
import { DrydockError } from '../../domain/errors';
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
  return error instanceof DrydockError && error.kind === 'NotFound' ? { file, what: 'the file is gone' } : asDamage(error, file);
}

/** Each segment is there with its size, its index is the one that was sealed and describes it, and so are its added session keys. */
export async function checkSegments(cluster: Cluster, segments: readonly SegmentRef[], catalogue: Catalogue, progress: Progress): Promise<Damage[]> {
  const damages: Damage[] = [];
  for (const [at, ref] of segments.entries()) {
    cluster.signal?.throwIfAborted();
    // What is no plain file is as good as gone, and one such name must not end the look at the others.
    damages.push(...(await checkSegment(cluster, ref).catch((error: unknown) => [{ ...asDamage(error, vaultPaths.segment(cluster.name, ref.segment)), segment: ref.segment, lost: true as const }])));
    const index = await soundIndex(cluster, ref.segment);
    if (index) damages.push(...(describes(index, ref) ? catalogue.takeIndex(index) : [{ segment: ref.segment, what: 'its index describes another segment than the one that was sealed' }]));
    progress.update({ phase: 'segments and indexes', itemsDone: at + 1, itemsTotal: segments.length });
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

async function checkSegment({ vault, name: cluster }: Cluster, { segment, bytes, index, wrapped }: SegmentRef): Promise<Damage[]> {
  const file = vaultPaths.segment(cluster, segment);
  const stored = await vault.stat(file);
  if (stored === null) return [{ segment, file, what: 'the segment is gone', lost: true }];
  if (stored.size !== bytes) return [{ segment, file, what: `the segment has ${stored.size} bytes instead of ${bytes}`, lost: true }];
  const digests = [
    { name: vaultPaths.segmentIndex(cluster, segment), ...index },
    ...(wrapped?.keys ?? []).map((key) => ({ name: vaultPaths.wrappedKeys(file, key.recipient), bytes: key.bytes, sha256: key.sha256 })),
  ];
  const damages: Damage[] = [];
  for (const record of digests) {
    await verifyCiphertext(vault, record).catch((error: unknown) => damages.push({ ...asDamage(error, record.name), segment }));
  }
  return damages;
}

/** What an error says about the backup; one that says nothing about it (a vault that does not answer, a cancellation) is thrown on. */
export function asDamage(error: unknown, file: string): Damage {
  if (!isDamage(error)) throw error;
  return { file, what: error.message };
}

/** Whether an error tells of the backup itself, and not of the way to it. */
export function isDamage(error: unknown): error is DrydockError {
  return error instanceof DrydockError && (error.kind === 'IntegrityMismatch' || error.kind === 'NotFound' || error.kind === 'Refused');
}
