/** A sealed backup of a small registry in a vault, made without a registry: for tests of what reads backups. */
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { END_OF_ARCHIVE, makeHeader, paddingOf } from '../../adapters/archive/tar-header';
import type { EncryptionKeys } from '../../adapters/openpgp/keys';
import { signDetached, type PrivateKey } from '../../adapters/openpgp/sign';
import { writeArtifact } from '../../adapters/vault/artifacts';
import { writeJsonLines } from '../../adapters/vault/json-lines';
import { readIndexes } from '../../adapters/vault/segment-index';
import { SegmentWriter, type WrittenSegment } from '../../adapters/vault/segment-writer';
import type { Vault } from '../../adapters/vault/vault';
import { parseBlobPath } from '../../domain/layout';
import type { BlobLine, Manifest, SegmentRef, TagLine } from '../../domain/manifest';
import { artifactsOf, fileOf } from '../../domain/manifest-artifacts';
import { warningsIn, type Note } from '../../domain/notes';
import { vaultPaths } from '../../domain/vault-format';
import { manifest as sampleManifest } from '../domain/restore-fixtures';
import type { RegistryTree } from './registry-tree';
import { putSegments, withSegments, type SealedManifest } from './segment-list';

export interface SealOptions {
  vault: Vault;
  cluster: string;
  tree: RegistryTree;
  keys: EncryptionKeys;
  /** Default 64 KiB, so that there are several segments. */
  segmentBytes?: number;
  /** ISO 8601; the id begins with it. */
  startedAt?: string;
  /** Changes before it is stored. */
  tags?: (line: TagLine) => TagLine;
  signer?: PrivateKey;
  notes?: Note[];
}

/** Stores what is not yet stored, then lists, tree, metadata and manifest, as a backup does. Returns the manifest. */
export async function sealBackup(options: SealOptions): Promise<SealedManifest> {
  const { vault, cluster, tree, keys, startedAt = '2026-11-23T02:00:00.000Z' } = options;
  const backupId = `${startedAt.replace(/[-:]|\.\d+/g, '')}-${randomBytes(3).toString('hex')}`;
  const name = (file: string): string => vaultPaths.artifact(cluster, backupId, file);
  const { lines, segments } = await storeBlobs(options, backupId);
  const version = tree.layout === 'id' ? '2.9.4' : '2.5.3';
  const tags = tree.tags.map(({ repository, tag, digest }): TagLine => ({ repository, name: tag, digest: `sha256:${digest}`, state: 'whole' })).map(options.tags ?? ((line) => line));
  const { root, archive, documents } = metadataArchive(tree);
  const links = [...tree.others].filter(([path]) => !path.includes('/_uploads/')).map(([path, content]) => file(path, content));
  const sample = sampleManifest();
  const refs = segments.map(({ segment, bytes, sha256, recipients, index }): SegmentRef => {
    const used = lines.filter((line) => line.segment === segment);
    return { segment, bytes, sha256, recipients, index, usedBlobs: used.length, usedBytes: used.reduce((sum, { size }) => sum + size, 0) };
  });
  const needed = true;
  const sealed: Manifest = {
    ...sample,
    backupId, cluster, startedAt, sealedAt: startedAt,
    product: { ...sample.product, version, metadata: { ...sample.product.metadata, root, documents } },
    images: { ...sample.images, layouts: [tree.layout] } as Manifest['images'],
    artifacts: {
      metadata: { ...(await writeArtifact(vault, name('metadata.tar.gz.gpg'), keys, Readable.from([archive]), { gzip: true })), needed },
      tree: { ...(await writeArtifact(vault, name('tree.tar.gz.gpg'), keys, Readable.from([Buffer.concat([...links, END_OF_ARCHIVE])]), { gzip: true })), needed },
      tags: { ...(await writeJsonLines(vault, name('tags.jsonl.gz.gpg'), keys, tags)), needed },
      blobs: { ...(await writeJsonLines(vault, name('blobs.jsonl.gz.gpg'), keys, lines)), needed },
      segments: await putSegments(vault, cluster, backupId, refs),
      notes: { ...(await writeJsonLines(vault, name('notes.jsonl.gz.gpg'), keys, options.notes ?? [])), needed: false },
    },
    counts: { ...sample.counts, segments: refs.length, warnings: warningsIn(options.notes ?? []) },
  };
  const sums = checksums(sealed, refs);
  sealed.beside = { 'RESTORE.md': recordOf(GUIDE), SHA256SUMS: recordOf(sums) };
  const content = `${JSON.stringify(sealed, null, 2)}\n`;
  await vault.put(name('RESTORE.md'), GUIDE);
  await vault.put(name('SHA256SUMS'), sums);
  if (options.signer) await vault.put(vaultPaths.signature(cluster, backupId), await signDetached(Buffer.from(content), options.signer));
  await vault.put(vaultPaths.manifest(cluster, backupId), content);
  return withSegments(sealed, refs);
}

/** The vendor's archive of such a registry, uncompressed. */
export function metadataArchive(tree: RegistryTree): { root: string; archive: Buffer; documents: number } {
  const rows = metadataRows(tree);
  const root = tree.layout === 'id' ? 'dtr-backup-v2.9.4-online' : 'dtr-backup-v2.5.3';
  const files = [...rows].flatMap(([table, list]) => [folder(`${root}/rethink/${table}`), ...list.map((row, at) => file(`${root}/rethink/${table}/${at}`, JSON.stringify(row)))]);
  return { root, archive: Buffer.concat([folder(root), folder(`${root}/rethink`), ...files, END_OF_ARCHIVE]), documents: [...rows.values()].flat().length };
}

const GUIDE = 'by hand\n';

function recordOf(content: string): { bytes: number; sha256: string } {
  return { bytes: Buffer.byteLength(content), sha256: createHash('sha256').update(content).digest('hex') };
}

function checksums(manifest: Manifest, segments: readonly SegmentRef[]): string {
  const files = artifactsOf(manifest).map((artifact) => [artifact.sha256, fileOf(artifact)]);
  const shared = segments.flatMap(({ segment, sha256, index }) => [[sha256, `../../segments/${segment}.tar.gpg`], [index.sha256, `../../segments/${segment}.index`]]);
  const guide = createHash('sha256').update(GUIDE).digest('hex');
  return [...files, [guide, 'RESTORE.md'], ...shared].map(([sha256, file]) => `${sha256}  ${file}\n`).join('');
}

async function storeBlobs({ vault, cluster, tree, keys, segmentBytes = 64 * 1024 }: SealOptions, writtenBy: string): Promise<{ lines: BlobLine[]; segments: WrittenSegment[] }> {
  const wanted = new Map(tree.blobs.map((blob) => [blob.path, blob]));
  const stored = new Set<string>();
  for await (const { blobs } of readIndexes(vault, cluster, { onDamaged: () => undefined })) for (const { path, sha256 } of blobs) stored.add(`${path} ${sha256}`);
  const writer = new SegmentWriter({ vault, cluster, keys, writtenBy, segmentBytes });
  try {
    for (const blob of tree.blobs) if (!stored.has(`${blob.path} ${blob.sha256}`)) await writer.add(blob, Readable.from([tree.content.get(blob.path)!]));
    await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  const lines = new Map<string, BlobLine>();
  const segments: WrittenSegment[] = [];
  for await (const { header, blobs } of readIndexes(vault, cluster, { onDamaged: () => undefined })) {
    // Of several copies the newest counts, as for a backup.
    for (const { path, size, sha256 } of blobs) if (wanted.get(path)?.sha256 === sha256) lines.set(path, { path, size, sha256, segment: header.segment });
    const index = await vault.readAll(vaultPaths.segmentIndex(cluster, header.segment), 1 << 20);
    segments.push({ ...header, index: { bytes: index.length, sha256: createHash('sha256').update(index).digest('hex') } });
  }
  const used = new Set([...lines.values()].map(({ segment }) => segment));
  const bySegment = [...lines.values()].sort((a, b) => (a.segment < b.segment ? -1 : a.segment > b.segment ? 1 : 0));
  return { lines: bySegment, segments: segments.filter(({ segment }) => used.has(segment)) };
}

/** Rows of the tables that say which content images need. */
function metadataRows(tree: RegistryTree): Map<string, object[]> {
  const content = new Map([...tree.content.values()].map((data) => [createHash('sha256').update(data).digest('hex'), data]));
  const manifests = new Map<string, object>();
  const add = (repository: string, digest: string): void => {
    const parsed = JSON.parse(content.get(digest)!.toString()) as { config?: { digest: string }; layers?: { digest: string }[]; manifests?: { digest: string }[] };
    const children = (parsed.manifests ?? []).map((child) => child.digest);
    manifests.set(`${repository}@${digest}`, { pk: `${repository}@sha256:${digest}`, repository, digest: `sha256:${digest}`, configDigest: parsed.config?.digest ?? '', layers: parsed.layers ?? [], manifests: children });
    for (const child of children) add(repository, child.slice(7));
  };
  for (const { repository, digest } of tree.tags) add(repository, digest);
  return new Map<string, object[]>([
    ['blobs', tree.blobs.flatMap(({ path, sha256 }) => {
      const parsed = parseBlobPath(path);
      return parsed?.layout === 'id' ? [{ id: parsed.id, sha256sum: sha256 }] : [];
    })],
    ['manifests', [...manifests.values()]],
    ['properties', [{ key: 'settings' }]],
    ['tags', tree.tags.map(({ repository, tag, digest }) => ({ pk: `${repository}:${tag}`, repository, name: tag, digest: `sha256:${digest}` }))],
  ]);
}

function folder(name: string): Buffer {
  return makeHeader({ name, type: 'directory', mode: 0o700 });
}

function file(name: string, content: string | Buffer): Buffer {
  const data = Buffer.from(content);
  return Buffer.concat([makeHeader({ name, type: 'file', size: data.length, mode: 0o600 }), data, Buffer.alloc(paddingOf(data.length))]);
}
