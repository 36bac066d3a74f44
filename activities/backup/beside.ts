/** What lies beside the manifest under names that people know: guide, checksums and signature. */
import { readFile } from 'node:fs/promises';
import { signDetached, verifyDetached } from '../../adapters/openpgp/sign';
import { segmentsOf } from '../../adapters/vault/segment-list';
import type { Beside, Manifest, SegmentRef } from '../../domain/manifest';
import { artifactsOf } from '../../domain/manifest-artifacts';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import type { BackupStep } from '../contract';
import { sha256Of } from '../sha256';
import { mendKnown, writeKnown } from './artifact';
import { restoreGuide } from './restore-guide';

/** The guide says nothing about itself. */
const NO_BESIDE: Beside = { 'RESTORE.md': { bytes: 0, sha256: '' }, SHA256SUMS: { bytes: 0, sha256: '' } };
const SIGNATURE = 'manifest.json.asc';
const SIGNATURE_MAX_BYTES = 64 * 1024;

type Texts = Record<keyof Beside, string>;

/** Guide and checksums of a backup. Of the manifest, `gaps` and `beside` do not matter. `readOnlyInside`: the metadata was taken in read-only mode. */
export async function besideTexts(cluster: Cluster, manifest: Omit<Manifest, 'gaps' | 'beside'>, segments: readonly SegmentRef[], readOnlyInside: boolean): Promise<Texts> {
  const signer = (await cluster.signingKey())?.getFingerprint().toUpperCase() ?? null;
  const guide = restoreGuide({ manifest: { ...manifest, gaps: [], beside: NO_BESIDE }, segments, ...(await certificates(cluster)), readOnlyInside, signer });
  const folder = `${vaultPaths.backup(cluster.name, manifest.backupId)}/`;
  // Relative to the backup's folder, so that `sha256sum -c` there checks the segments, too.
  const lines = [
    ...artifactsOf(manifest).map(({ name, sha256 }) => `${sha256}  ${name.slice(folder.length)}`),
    `${sha256Of(guide)}  RESTORE.md`,
    ...segments.flatMap(({ segment, sha256, index }) => [`${sha256}  ../../segments/${segment}.tar.gpg`, `${index.sha256}  ../../segments/${segment}.index`]),
    ...segments.flatMap(({ segment, wrapped }) => (wrapped?.keys ?? []).map(({ recipient, sha256 }) => `${sha256}  ../../${vaultPaths.wrappedKeys(`segments/${segment}.tar.gpg`, recipient)}`)),
  ];
  return { 'RESTORE.md': guide, SHA256SUMS: lines.map((line) => `${line}\n`).join('') };
}

/** Writes both. Returns what the manifest records of them, so that its signature covers these as well. */
export async function storeBeside(cluster: Cluster, step: BackupStep, texts: Texts): Promise<Beside> {
  for (const file of ['RESTORE.md', 'SHA256SUMS'] as const) await writeKnown(cluster, step, file, texts[file]);
  return { 'RESTORE.md': recordOf(texts['RESTORE.md']), SHA256SUMS: recordOf(texts.SHA256SUMS) };
}

/** Before the manifest, which stays the one seal; a signature without a manifest says nothing. */
export async function storeSignature(cluster: Cluster, step: BackupStep, content: string): Promise<void> {
  const key = await cluster.signingKey();
  if (key) await writeKnown(cluster, step, SIGNATURE, await signDetached(Buffer.from(content), key));
}

/**
 * Once the manifest stands: another attempt, which did not know that yet, may have put its own files in the place of those that the manifest records.
 * `texts`: where they are at hand; else they are made again, and stay away where they would be others now (a certificate that cannot be had).
 */
export async function mendBeside(cluster: Cluster, step: BackupStep & { readOnlyInside: boolean }, manifest: Manifest, content: string, texts?: Texts): Promise<void> {
  const known = texts ?? (await besideTexts(cluster, manifest, await segmentsOf(cluster.vault, manifest, cluster.signal), step.readOnlyInside));
  for (const file of ['RESTORE.md', 'SHA256SUMS'] as const) if (sha256Of(known[file]) === manifest.beside[file].sha256) await mendKnown(cluster, step, file, known[file]);
  const key = await cluster.signingKey();
  if (!key) return;
  const name = vaultPaths.signature(cluster.name, step.backupId);
  const standing = (await cluster.vault.stat(name)) === null ? '' : (await cluster.vault.readAll(name, SIGNATURE_MAX_BYTES)).toString('utf8');
  const isGood = await verifyDetached(Buffer.from(content), standing, [key.toPublic()]).then(() => true, () => false);
  if (!isGood) await mendKnown(cluster, step, SIGNATURE, await signDetached(Buffer.from(content), key));
}

function recordOf(content: string): { bytes: number; sha256: string } {
  return { bytes: Buffer.byteLength(content), sha256: sha256Of(content) };
}

/** Whom the reader of the guide has to trust. A backup is sealed all the same where they cannot be had now. */
async function certificates(cluster: Cluster): Promise<{ ucpCa: string | null; dtrCa: string | null }> {
  const { caFile } = cluster.config.dtr;
  return {
    ucpCa: await cluster.ucp().then((ucp) => ucp.ca()).catch(() => null),
    dtrCa: caFile === undefined ? null : await readFile(caFile, 'utf8').catch(() => null),
  };
}
