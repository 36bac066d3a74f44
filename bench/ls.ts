/**
 * Time and peak memory of `drydock ls` on a backup of BLOBS blobs and a fifth as many tags (default 1,000,000 and 200,000), whose indexes are real and whose
 * segments are empty files of the right size: `ls` reads no content. Run: npx tsx bench/ls.ts [BLOBS]
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openDirectoryVault } from '../adapters/vault/directory';
import { writeJsonLines } from '../adapters/vault/json-lines';
import { formatIndex } from '../adapters/vault/segment-index';
import type { Vault } from '../adapters/vault/vault';
import type { EncryptionKeys } from '../adapters/openpgp/keys';
import { idBlobPath } from '../domain/layout';
import type { BlobLine, TagLine } from '../domain/manifest';
import { FORMAT_VERSION, vaultPaths, type StoredBlob } from '../domain/vault-format';

const BACKUP = '20261123T020000Z-1a2b3c';
const PASSPHRASE = 'a passphrase of the bench';
const keys: EncryptionKeys = { passphrases: [PASSPHRASE], publicKeys: [], recipients: ['passphrase'] };
const PER_SEGMENT = 1_000;
/** A manifest, its configuration and three layers. */
const PER_IMAGE = 5;
const TAGS_PER_REPOSITORY = 100;

async function main(): Promise<void> {
  const blobs = Number(process.argv[2] ?? 1_000_000);
  const folder = await mkdtemp(path.join(tmpdir(), 'drydock-ls-'));
  try {
    await build(folder, blobs);
    const started = performance.now();
    const { lines, peakMiB } = await list(folder);
    process.stdout.write(`ls: ${blobs} blobs, ${Math.floor(blobs / PER_IMAGE)} tags: ${((performance.now() - started) / 1000).toFixed(1)} s, peak memory ${peakMiB} MiB, ${lines} lines\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The command in a process of its own; its peak is what the kernel saw. */
async function list(folder: string): Promise<{ lines: number; peakMiB: number }> {
  const report = `process.on('exit', () => process.stderr.write('PEAK ' + process.resourceUsage().maxRSS + '\\n'))`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--import', `data:text/javascript,${encodeURIComponent(report)}`, 'client/main.ts', 'ls', BACKUP, '--json', '--config', path.join(folder, 'drydock.yaml')], { stdio: ['ignore', 'pipe', 'pipe'] });
  let lines = 0;
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (lines += chunk.toString('latin1').split('\n').length - 1));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const peak = /PEAK (\d+)/.exec(said)?.[1];
  if (code !== 0 || peak === undefined) throw new Error(`ls ended with ${code}: ${said}`);
  return { lines, peakMiB: Math.round(Number(peak) / 1024) };
}

async function build(folder: string, count: number): Promise<void> {
  const vault = openDirectoryVault(path.join(folder, 'vault'));
  await vault.check();
  for (let first = 0; first < count; first += PER_SEGMENT) await makeSegment(vault, path.join(folder, 'vault'), first, Math.min(count, first + PER_SEGMENT));
  const file = (name: string): string => vaultPaths.artifact('bench', BACKUP, name);
  const tags = await writeJsonLines(vault, file('tags.jsonl.gz.gpg'), keys, tagLines(count));
  const blobs = await writeJsonLines(vault, file('blobs.jsonl.gz.gpg'), keys, blobLines(count));
  const time = '2026-11-23T02:00:00.000Z';
  const manifest = {
    format: 1, backupId: BACKUP, cluster: 'bench', status: 'complete', startedAt: time, sealedAt: time, startedBy: 'bench', tool: { name: 'drydock', version: '0.1.0' },
    dtr: {
      version: '2.9.4', bootstrapperImage: 'mirantis/dtr:2.9.4', replica: '5eb9459a7832', replicas: [{ id: '5eb9459a7832', node: 'node-1', httpPort: 80, httpsPort: 443 }],
      settings: { externalUrl: '', httpProxy: '', httpsProxy: '', noProxy: '', logProtocol: '', logHost: '', logLevel: '', scanningEnabled: false, scanningSyncOnline: false, readOnlyRegistry: false, certificateFingerprint: '' },
      storage: { kind: 'local' }, volume: null, layouts: ['id'], crons: [],
    },
    ucp: { url: 'https://ucp.example.com', clusterId: 'c', version: '3.1.0', owners: [] },
    metadata: { root: 'r', online: true, tables: {}, documents: 0, dumpStartedAt: time, dumpEndedAt: time },
    artifacts: { metadata: tags, tree: null, tags, blobs }, segments: [],
    counts: { repositories: 1, tags: 1, manifests: 1, blobs: count, newBlobs: 0, rows: 0, inFlight: 0, gaps: 0 }, bytes: { images: 0, moved: 0, stored: 0, metadata: 0 }, gaps: [],
  };
  await vault.put(vaultPaths.manifest('bench', BACKUP), JSON.stringify(manifest));
  await writeFile(path.join(folder, 'passphrase'), PASSPHRASE, { mode: 0o600 });
  await writeFile(path.join(folder, 'drydock.yaml'), CONFIG);
}

async function makeSegment(vault: Vault, root: string, first: number, end: number): Promise<void> {
  const segment = segmentOf(first);
  const blobs: StoredBlob[] = [];
  for (let at = first; at < end; at += 1) blobs.push({ path: pathOf(at), size: sizeOf(at), sha256: digestOf(at), offset: at, ...(at % PER_IMAGE === 0 ? { refs: refsOf(at) } : {}) });
  const header = { format: FORMAT_VERSION, segment, writtenBy: 'bench', bytes: 1, sha256: digestOf(first), recipients: ['passphrase'], blobs: blobs.length, plainBytes: 1 };
  await vault.put(vaultPaths.segmentIndex('bench', segment), formatIndex({ header, blobs }));
  const tar = await open(path.join(root, vaultPaths.segment('bench', segment)), 'w');
  await tar.truncate(1);
  await tar.close();
}

function refsOf(manifest: number): NonNullable<StoredBlob['refs']> {
  // The third layer is that of the first image: shared by all.
  return { mediaType: 'application/vnd.docker.distribution.manifest.v2+json', config: digestOf(manifest + 1), layers: [digestOf(manifest + 2), digestOf(manifest + 3), digestOf(4)] };
}

function* tagLines(count: number): Generator<TagLine> {
  for (let at = 0; at < count; at += PER_IMAGE) {
    const number = at / PER_IMAGE;
    yield { repository: `org${number % 7}/app${Math.floor(number / TAGS_PER_REPOSITORY)}`, name: `v${number % TAGS_PER_REPOSITORY}`, digest: `sha256:${digestOf(at)}`, state: 'whole', visibility: 'public' };
  }
}

function* blobLines(count: number): Generator<BlobLine> {
  for (let at = 0; at < count; at += 1) yield { path: pathOf(at), size: sizeOf(at), sha256: digestOf(at), segment: segmentOf(at) };
}

const digestOf = (at: number): string => createHash('sha256').update(String(at)).digest('hex');
const pathOf = (at: number): string => idBlobPath(createHash('md5').update(String(at)).digest('hex'));
const sizeOf = (at: number): number => 1_000 + (at % 997);
const segmentOf = (at: number): string => `20261123T020000Z-${String(Math.floor(at / PER_SEGMENT)).padStart(12, '0')}`;

const CONFIG = `stateDir: state
vaults: {main: {directory: vault}}
clusters:
  bench:
    ucp: {urls: ["https://127.0.0.1:1"], username: admin, password: "file:passphrase"}
    dtr: {url: "https://127.0.0.1:2"}
    ssh: {knownHosts: known_hosts}
    hosts: {}
    vault: main
    encryption: {passphrase: "file:passphrase"}
    approvers: [operator]
`;

void main();
