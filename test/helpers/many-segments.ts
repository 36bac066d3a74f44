/** Backups of very many tiny segments: what looks at them may not cost a call for each. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { END_OF_ARCHIVE, makeHeader, paddingOf } from '../../adapters/archive/tar-header';
import type { EncryptionKeys } from '../../adapters/openpgp/keys';
import { writeArtifact } from '../../adapters/vault/artifacts';
import { writeJsonLines } from '../../adapters/vault/json-lines';
import { formatIndex } from '../../adapters/vault/segment-index';
import type { Vault } from '../../adapters/vault/vault';
import { sha256BlobPath } from '../../domain/layout';
import { formatManifest } from '../../activities/backup/manifest';
import type { ArtifactRef, BlobLine, Manifest, SegmentRef } from '../../domain/manifest';
import { formatSegments } from '../../domain/manifest-segments';
import type { Note } from '../../domain/notes';
import { vaultPaths } from '../../domain/vault-format';
import { manifest as sampleManifest } from '../domain/restore-fixtures';

const ROOT = 'dtr-backup-v2.9.4-online';

export interface ManyOptions {
  vault: Vault;
  cluster: string;
  keys: EncryptionKeys;
  segments: number;
  /** The newest last; each names all segments. */
  backups: number;
  /** How a file comes into the vault. Default: `vault.put`. */
  put?: (name: string, content: Buffer | string) => Promise<void>;
}

/** Each segment holds one blob, and all have the same bytes. Returns the manifests. */
export async function makeMany(options: ManyOptions): Promise<Manifest[]> {
  const { vault, cluster, keys, segments: count, backups } = options;
  const put = options.put ?? ((name, content) => vault.put(name, content));
  const sample = vaultPaths.segment('sample', '20261101T000000Z-000000000000');
  const { bytes, sha256 } = await writeArtifact(vault, sample, keys, Readable.from([END_OF_ARCHIVE]));
  const tar = await vault.readAll(sample, 1 << 20);
  await vault.remove(sample);
  const refs: SegmentRef[] = [];
  const lines: BlobLine[] = [];
  for (let at = 0; at < count; at += 1) {
    const segment = `20261101T000000Z-${at.toString(16).padStart(12, '0')}`;
    const digest = createHash('sha256').update(segment).digest('hex');
    const blob = { path: sha256BlobPath(digest), size: 1, sha256: digest };
    const index = formatIndex({ header: { format: 1, segment, writtenBy: 'a test', bytes, sha256, recipients: keys.recipients, blobs: 1, plainBytes: END_OF_ARCHIVE.length }, blobs: [{ ...blob, offset: 512 }] });
    await put(vaultPaths.segment(cluster, segment), tar);
    await put(vaultPaths.segmentIndex(cluster, segment), index);
    refs.push({ segment, bytes, sha256, recipients: keys.recipients, index: { bytes: index.length, sha256: createHash('sha256').update(index).digest('hex') }, usedBlobs: 1, usedBytes: 1 });
    lines.push({ ...blob, segment });
  }
  const files = await encryptedFiles(options, lines);
  const sealed: Manifest[] = [];
  for (let day = 0; day < backups; day += 1) sealed.push(await putBackup(options.cluster, put, day, { refs, files }));
  return sealed;
}

/** One row of a table, as the vendor's archive has it. */
function row(table: string, content: object): Buffer {
  const data = Buffer.from(JSON.stringify(content));
  return Buffer.concat([makeHeader({ name: `${ROOT}/rethink/${table}`, type: 'directory', mode: 0o700 }), makeHeader({ name: `${ROOT}/rethink/${table}/0`, type: 'file', size: data.length, mode: 0o600 }), data, Buffer.alloc(paddingOf(data.length))]);
}

type Encrypted = Record<'metadata' | 'tree' | 'tags' | 'blobs' | 'notes', { file: string; record: ArtifactRef; content: Buffer }>;

/** The same in all backups, since encrypting takes its time. */
async function encryptedFiles({ vault, keys }: ManyOptions, lines: BlobLine[]): Promise<Encrypted> {
  const archive = Buffer.concat([makeHeader({ name: ROOT, type: 'directory', mode: 0o700 }), makeHeader({ name: `${ROOT}/rethink`, type: 'directory', mode: 0o700 }), row('properties', { key: 'settings' }), END_OF_ARCHIVE]);
  const notes: Note[] = [{ kind: 'owner', id: 'o', name: 'acme' }];
  const name = (file: string): string => vaultPaths.artifact('sample', '20261101T000000Z-000000', file);
  const taken = async (file: string, writing: Promise<ArtifactRef>) => {
    const record = await writing;
    const content = await vault.readAll(record.name, 1 << 30);
    await vault.remove(record.name);
    return { file, record, content };
  };
  const tar = (file: string, content: Buffer) => taken(file, writeArtifact(vault, name(file), keys, Readable.from([content]), { gzip: true }));
  const list = (file: string, rows: Iterable<unknown>) => taken(file, writeJsonLines(vault, name(file), keys, rows));
  return {
    metadata: await tar('metadata.tar.gz.gpg', archive), tree: await tar('tree.tar.gz.gpg', END_OF_ARCHIVE),
    tags: await list('tags.jsonl.gz.gpg', []), blobs: await list('blobs.jsonl.gz.gpg', lines), notes: await list('notes.jsonl.gz.gpg', notes),
  };
}

async function putBackup(cluster: string, put: NonNullable<ManyOptions['put']>, day: number, { refs, files }: { refs: SegmentRef[]; files: Encrypted }): Promise<Manifest> {
  const startedAt = new Date(Date.parse('2026-01-01T02:00:00.000Z') + day * 86_400_000).toISOString();
  const backupId = `${startedAt.replace(/[-:]|\.\d+/g, '')}-${day.toString(16).padStart(6, '0')}`;
  const name = (file: string): string => vaultPaths.artifact(cluster, backupId, file);
  const list = formatSegments(refs);
  const artifact = (kind: keyof Encrypted) => ({ ...files[kind].record, name: name(files[kind].file), needed: kind !== 'notes' });
  const sample = sampleManifest();
  const manifest: Manifest = {
    ...sample, backupId, cluster, startedAt, sealedAt: startedAt,
    artifacts: {
      metadata: artifact('metadata'), tree: artifact('tree'), tags: artifact('tags'), blobs: artifact('blobs'), notes: artifact('notes'),
      segments: { name: name('segments.jsonl'), bytes: list.length, sha256: createHash('sha256').update(list).digest('hex'), needed: true },
    },
    product: { ...sample.product, metadata: { ...sample.product.metadata, documents: 1 } },
    counts: { ...sample.counts, segments: refs.length, blobs: refs.length },
  };
  for (const { file, content } of Object.values(files)) await put(name(file), content);
  await put(name('segments.jsonl'), list);
  await put(vaultPaths.manifest(cluster, backupId), formatManifest(manifest));
  await put(vaultPaths.verdict(cluster, backupId, startedAt), JSON.stringify({
    format: 1, backupId, level: 'L2', startedAt, at: startedAt, by: 'a test', tool: { name: 'drydock', version: '0' }, withKeys: true, result: 'good', checked: { segments: 1, blobs: 1, bytes: 1, tags: 1 }, findings: 0,
  }));
  return manifest;
}
