/** A sealed backup in a vault of its own, made without a registry: real images in either layout, with the lists and the manifest that a backup leaves. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { END_OF_ARCHIVE, makeHeader, paddingOf } from '../../adapters/archive/tar-header';
import { listSegments, readIndexes, summarizeIndex } from '../../adapters/vault/segment-index';
import { writeArtifact } from '../../adapters/vault/artifacts';
import { writeJsonLines } from '../../adapters/vault/json-lines';
import { SegmentWriter } from '../../adapters/vault/segment-writer';
import { openDirectoryVault } from '../../adapters/vault/directory';
import type { Vault } from '../../adapters/vault/vault';
import { idBlobPath, sha256BlobPath, type BlobLayout } from '../../domain/layout';
import { manifestSchema, type BlobLine, type Manifest, type SegmentRef, type TagLine } from '../../domain/manifest';
import { warningsIn, type Note } from '../../domain/notes';
import { vaultPaths } from '../../domain/vault-format';
import { randomLike } from './registry-tree';
import { putSegments, withSegments, type SealedManifest } from './segment-list';
import { PASSPHRASE, scratchDirectory, writeKeys, type Scratch } from './vault';

export const BACKUP_ID = '20261123T020000Z-1a2b3c';
const DOCKER = 'application/vnd.docker.distribution.manifest';
const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json';
const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip';
const OCI = 'application/vnd.oci.image';

export interface SealedFixture extends Scratch {
  vault: Vault;
  directory: string;
  /** A `drydock.yaml` with the cluster `lab` that is kept in this vault. */
  config: string;
  manifest: SealedManifest;
  tags: TagLine[];
  blobs: BlobLine[];
  /** By bare hex. */
  content: Map<string, Buffer>;
}

export interface FixtureOptions {
  layout: BlobLayout;
  segmentBytes?: number;
  /** Changes the lists before they are stored, as a hostile hand would. */
  forge?: (lists: { tags: TagLine[]; blobs: BlobLine[] }) => void;
  /** The link tree instead of a harmless one. */
  tree?: Buffer;
  notes?: Note[];
}

/** Images of every kind that a registry holds: single, multi-platform, OCI, with a layer that lies elsewhere, and one that is not whole. */
class Images {
  readonly content = new Map<string, Buffer>();
  readonly tags: TagLine[] = [];

  put(data: Buffer | object): { digest: string; size: number } {
    const bytes = Buffer.isBuffer(data) ? data : Buffer.from(JSON.stringify(data));
    const hex = createHash('sha256').update(bytes).digest('hex');
    this.content.set(hex, bytes);
    return { digest: `sha256:${hex}`, size: bytes.length };
  }

  layer(name: string, bytes: number): { digest: string; size: number; diffId: string } {
    const tar = Buffer.concat([makeHeader({ name, type: 'file', size: bytes }), randomLike(bytes, bytes), Buffer.alloc(paddingOf(bytes)), END_OF_ARCHIVE]);
    return { ...this.put(gzipSync(tar, { level: 1 })), diffId: `sha256:${createHash('sha256').update(tar).digest('hex')}` };
  }

  image(layers: { digest: string; size: number; diffId: string }[], platform: { architecture: string; variant?: string }, kind: 'docker' | 'oci' = 'docker', foreign?: object): { digest: string; size: number; mediaType: string } {
    const config = this.put({ os: 'linux', ...platform, config: {}, rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) }, history: layers.map(() => ({ created_by: 'a test' })) });
    const [mediaType, configType, layerType] = kind === 'docker' ? [`${DOCKER}.v2+json`, DOCKER_CONFIG, DOCKER_LAYER] : [`${OCI}.manifest.v1+json`, `${OCI}.config.v1+json`, `${OCI}.layer.v1.tar+gzip`];
    const list = layers.map(({ digest, size }) => ({ mediaType: layerType, digest, size }));
    const manifest = { schemaVersion: 2, mediaType, config: { mediaType: configType, ...config }, layers: [...(foreign ? [foreign] : []), ...list] };
    return { ...this.put(manifest), mediaType };
  }

  tag(repository: string, name: string, digest: string, more: Partial<TagLine> = {}): void {
    this.tags.push({ repository, name, digest, state: 'whole', visibility: 'public', ...more });
  }
}

function makeImages(): Images {
  const images = new Images();
  const base = images.layer('base', 40_000);
  const web = [base, images.layer('web', 20_000)];
  const one = images.image(web, { architecture: 'amd64' });
  images.tag('acme/web', 'v1', one.digest);
  images.tag('acme/web', 'latest', one.digest);
  const arm = images.image([base, images.layer('web-arm', 21_000)], { architecture: 'arm64', variant: 'v8' });
  const list = images.put({
    schemaVersion: 2, mediaType: `${DOCKER}.list.v2+json`,
    manifests: [{ ...one, platform: { os: 'linux', architecture: 'amd64' } }, { ...arm, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } }],
  });
  images.tag('acme/web', 'multi', list.digest);
  images.tag('infra/base', '1.0', images.image([base], { architecture: 'amd64' }, 'oci').digest);
  const foreign = { mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', digest: `sha256:${'f'.repeat(64)}`, size: 5, urls: ['https://elsewhere.example.com/layer'] };
  images.tag('infra/windows', 'ltsc', images.image([images.layer('small', 900)], { architecture: 'amd64' }, 'docker', foreign).digest);
  const broken = images.layer('lost', 700);
  images.tag('infra/base', 'broken', images.image([broken], { architecture: 'amd64' }).digest, { state: 'gap' });
  images.content.delete(broken.digest.slice(-64));
  return images;
}

/** Everything a command needs: vault, backup, configuration and passphrase. */
export async function sealedBackup(options: FixtureOptions): Promise<SealedFixture> {
  const scratch = await scratchDirectory();
  const directory = path.join(scratch.path, 'vault');
  const vault = openDirectoryVault(directory);
  await vault.check();
  const images = makeImages();
  const blobs = await storeBlobs(vault, images, options);
  const lists = { tags: images.tags, blobs };
  options.forge?.(lists);
  const file = (name: string): string => vaultPaths.artifact('lab', BACKUP_ID, name);
  const tar = Buffer.concat([makeHeader({ name: 'dtr-backup-v2.9.4-online', type: 'directory' }), END_OF_ARCHIVE]);
  const artifacts = {
    metadata: { ...(await writeArtifact(vault, file('metadata.tar.gz.gpg'), writeKeys, Readable.from([tar]), { gzip: true })), needed: true },
    tree: { ...(await writeArtifact(vault, file('tree.tar.gz.gpg'), writeKeys, Readable.from([options.tree ?? harmlessTree()]), { gzip: true })), needed: true },
    tags: { ...(await writeJsonLines(vault, file('tags.jsonl.gz.gpg'), writeKeys, lists.tags)), needed: true },
    blobs: { ...(await writeJsonLines(vault, file('blobs.jsonl.gz.gpg'), writeKeys, lists.blobs)), needed: true },
    notes: { ...(await writeJsonLines(vault, file('notes.jsonl.gz.gpg'), writeKeys, options.notes ?? [])), needed: false },
  };
  const manifest = await makeManifest(vault, options.layout, artifacts, images, blobs);
  manifest.counts.warnings = warningsIn(options.notes ?? []);
  await vault.put(vaultPaths.manifest('lab', BACKUP_ID), JSON.stringify(manifest));
  const config = path.join(scratch.path, 'drydock.yaml');
  await writeFile(path.join(scratch.path, 'passphrase'), PASSPHRASE, { mode: 0o600 });
  await writeFile(config, CONFIG);
  await mkdir(path.join(scratch.path, 'out'));
  return { ...scratch, vault, directory, config, manifest, tags: images.tags, blobs, content: images.content };
}

async function storeBlobs(vault: Vault, images: Images, { layout, segmentBytes = 64 << 20 }: FixtureOptions): Promise<BlobLine[]> {
  const writer = new SegmentWriter({ vault, cluster: 'lab', keys: writeKeys, writtenBy: BACKUP_ID, segmentBytes });
  for (const [sha256, data] of images.content) {
    const name = layout === 'sha256' ? sha256BlobPath(sha256) : idBlobPath(createHash('md5').update(sha256).digest('hex'));
    await writer.add({ path: name, size: data.length, sha256 }, Readable.from([data]));
  }
  await writer.finish();
  const lines: BlobLine[] = [];
  for await (const { header, blobs } of readIndexes(vault, 'lab')) for (const { path: name, size, sha256 } of blobs) lines.push({ path: name, size, sha256, segment: header.segment });
  return lines;
}

function harmlessTree(): Buffer {
  const link = Buffer.from(`sha256:${'0'.repeat(64)}`);
  return Buffer.concat([
    makeHeader({ name: './', type: 'directory' }),
    makeHeader({ name: 'docker/registry/v2/repositories/acme/web/_layers', type: 'directory' }),
    makeHeader({ name: 'docker/registry/v2/repositories/acme/web/_layers/link', type: 'file', size: link.length }), link, Buffer.alloc(paddingOf(link.length)),
    END_OF_ARCHIVE,
  ]);
}

async function makeManifest(vault: Vault, layout: BlobLayout, stored: Pick<Manifest['artifacts'], 'metadata' | 'tree' | 'tags' | 'blobs' | 'notes'>, images: Images, blobs: BlobLine[]): Promise<SealedManifest> {
  const segments: SegmentRef[] = [];
  for (const { segment: id } of await listSegments(vault, 'lab')) {
    const used = blobs.filter(({ segment }) => segment === id);
    const { header, ...index } = await summarizeIndex(vault, 'lab', id);
    const { segment, bytes, sha256, recipients } = header;
    segments.push({ segment, bytes, sha256, recipients, index, usedBlobs: used.length, usedBytes: used.reduce((sum, { size }) => sum + size, 0) });
  }
  const bytes = [...images.content.values()].reduce((sum, { length }) => sum + length, 0);
  const artifacts = { ...stored, segments: await putSegments(vault, 'lab', BACKUP_ID, segments) } as Manifest['artifacts'];
  const record = { bytes: 0, sha256: '0'.repeat(64) };
  return withSegments(manifestSchema.parse({
    format: 1, backupId: BACKUP_ID, cluster: 'lab', status: 'incomplete', startedAt: '2026-11-23T02:00:00.000Z', sealedAt: '2026-11-23T02:10:00.000Z', startedBy: 'a test', tool: { name: 'drydock', version: '0.1.0' },
    product: {
      kind: 'dtr', version: layout === 'id' ? '2.9.4' : '2.5.3', bootstrapperImage: 'mirantis/dtr:2.9.4', replica: '5eb9459a7832', replicas: [{ id: '5eb9459a7832', node: 'node-1', httpPort: 80, httpsPort: 443 }],
      settings: { externalUrl: 'https://dtr.example.com', httpProxy: '', httpsProxy: '', noProxy: '', logProtocol: '', logHost: '', logLevel: '', scanningEnabled: false, scanningSyncOnline: false, readOnlyRegistry: false, certificateFingerprint: '' },
      crons: [],
      ucp: { url: 'https://ucp.example.com', clusterId: 'c', version: '3.1.0' },
      metadata: { root: 'dtr-backup-v2.9.4-online', online: true, tables: {}, documents: 0, dumpStartedAt: '2026-11-23T02:00:00.000Z', dumpEndedAt: '2026-11-23T02:00:00.000Z' },
    },
    images: { in: 'volume', storage: { kind: 'local' }, volume: { name: 'dtr-registry-5eb9459a7832', driver: 'local', options: {}, owner: { uid: 65534, gid: 65534 }, mode: '755' }, layouts: [layout] },
    artifacts,
    beside: { 'RESTORE.md': record, SHA256SUMS: record },
    counts: { repositories: 3, tags: images.tags.length, manifests: 5, blobs: blobs.length, newBlobs: blobs.length, rows: 0, inFlight: 0, segments: segments.length, gaps: 1, acceptedGaps: 0, warnings: 0 },
    bytes: { images: bytes, moved: bytes, stored: bytes, metadata: stored.metadata.plainBytes }, gaps: [],
  }), segments);
}

const CONFIG = `stateDir: state
vaults: {main: {directory: vault}, copy: {directory: elsewhere}}
clusters:
  lab:
    ucp: {urls: ["https://127.0.0.1:1"], username: admin, password: "file:passphrase"}
    dtr: {url: "https://127.0.0.1:2"}
    ssh: {knownHosts: known_hosts}
    hosts: {node-1: {address: 127.0.0.1, port: 3}}
    vault: main
    encryption: {passphrase: "file:passphrase"}
    approvers: [operator]
`;
