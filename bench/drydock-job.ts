/**
 * Drydock's own part of a measurement, in a process of its own as in a worker: connected and warm, then told by one line of JSON on
 * standard input what to do; answers with one line each. What it calls is what the activities call.
 */
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import pLimit from 'p-limit';
import { StoredBlobs } from '../activities/backup/stored';
import { connectHost } from '../adapters/host/ssh';
import { copyBlobs } from '../adapters/images/copy';
import { listBlobs } from '../adapters/images/listing';
import { restoreBlobs } from '../adapters/images/restore';
import { restoreTree, streamTree } from '../adapters/images/tree';
import { readArtifact, writeArtifact, type ArtifactRecord } from '../adapters/vault/artifacts';
import { openDirectoryVault } from '../adapters/vault/directory';
import { proveWhole } from '../adapters/vault/segment-check';
import { readIndexes } from '../adapters/vault/segment-index';
import type { WantedBlob } from '../adapters/vault/segment-reader';
import { hostSchema } from '../domain/config';
import { vaultPaths } from '../domain/vault-format';
import type { Vault, VaultUpload } from '../adapters/vault/vault';
import { parseBlobPath } from '../domain/layout';
import type { Host } from '../adapters/host/host';

const CLUSTER = 'bench';
const SEGMENT_BYTES = 256 * 1024 * 1024;
const SEGMENTS = vaultPaths.segments(CLUSTER);

export type Job =
  | { do: 'connect'; port: number; keyFile: string; knownHosts: string; passphraseFile: string }
  | { do: 'backup'; vault: string; volume: string; name: string; isUnstored?: true }
  | { do: 'restore'; vault: string; volume: string; name: string }
  | { do: 'verify'; vault: string };

export interface JobDone {
  seconds: number;
  cpuSeconds: number;
  bytes: number;
}

interface Context {
  host: Host;
  passphrase: string;
}

const trees = new Map<string, ArtifactRecord>();

async function main(): Promise<void> {
  let context: Context | undefined;
  for await (const line of createInterface({ input: process.stdin })) {
    const job = JSON.parse(line) as Job;
    if (job.do === 'connect') {
      context = await connect(job);
      answer({ seconds: 0, cpuSeconds: 0, bytes: 0 });
    } else if (context) {
      answer(await timed(job, context));
    }
  }
  await context?.host.close();
}

async function connect(job: Extract<Job, { do: 'connect' }>): Promise<Context> {
  const config = hostSchema.parse({ address: '127.0.0.1', port: job.port, key: `file:${job.keyFile}` });
  const { readFile } = await import('node:fs/promises');
  return { host: await connectHost('bench', config, { knownHosts: job.knownHosts, hosts: { bench: config } }), passphrase: (await readFile(job.passphraseFile, 'utf8')).trim() };
}

async function timed(job: Exclude<Job, { do: 'connect' }>, context: Context): Promise<JobDone> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  const bytes = await run(job, context);
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpuSeconds: (user + system) / 1e6, bytes };
}

async function run(job: Exclude<Job, { do: 'connect' }>, { host, passphrase }: Context): Promise<number> {
  const vault = openDirectoryVault(job.vault);
  if (job.do === 'backup') return backup(job.isUnstored ? unstored(vault) : vault, host, passphrase, job);
  if (job.do === 'restore') return restore(vault, host, passphrase, job);
  return verify(vault);
}

/** Takes segments, and forgets them. */
function unstored(vault: Vault): Vault {
  const nowhere = (): VaultUpload => ({ stream: new Writable({ write: (_chunk, _encoding, done) => done() }), commit: () => Promise.resolve(), abort: () => Promise.resolve() });
  const upload: Vault['upload'] = (name, options) => (name.startsWith(SEGMENTS) ? Promise.resolve(nowhere()) : vault.upload(name, options));
  return new Proxy(vault, { get: (target, name) => (name === 'upload' ? upload : Reflect.get(target, name, target) as unknown) });
}

/** Listing, what is new, segments, tree: what a backup does with images. Returns the bytes that were moved. */
async function backup(vault: Vault, host: Host, passphrase: string, job: Extract<Job, { do: 'backup' }>): Promise<number> {
  await vault.check();
  const keys = { passphrases: [passphrase], publicKeys: [], recipients: ['passphrase'] };
  const stored = await StoredBlobs.load(vault, CLUSTER);
  const wanted: { path: string; size: number }[] = [];
  for await (const { path, size } of listBlobs(host, job.volume)) {
    const parsed = parseBlobPath(path);
    if (parsed?.layout === 'sha256' && !stored.good(path, parsed.sha256)) wanted.push({ path, size });
  }
  const copied = await copyBlobs({
    host, root: job.volume, wanted, streams: Math.min(4, availableParallelism()),
    writer: { vault, cluster: CLUSTER, keys, writtenBy: job.name, segmentBytes: SEGMENT_BYTES },
  });
  if (copied.void.length > 0 || copied.vanished.length > 0) throw new Error('blobs of the corpus were torn');
  const record = await writeArtifact(vault, vaultPaths.artifact(CLUSTER, job.name, 'tree.tar.gz.gpg'), keys, streamTree(host, job.volume), { gzip: true });
  trees.set(job.name, record);
  return copied.stored.bytes;
}

/** Delta restore by digest, hashed again where it lies, then the tree. Returns the bytes that were written. */
async function restore(vault: Vault, host: Host, passphrase: string, job: Extract<Job, { do: 'restore' }>): Promise<number> {
  const keys = { passphrases: [passphrase], privateKeys: [] };
  const wanted: WantedBlob[] = [];
  for await (const { header, blobs } of readIndexes(vault, CLUSTER)) for (const blob of blobs) wanted.push({ path: blob.path, size: blob.size, sha256: blob.sha256, segment: header.segment });
  const { written } = await restoreBlobs({ host, root: job.volume, operation: 'bench', vault, cluster: CLUSTER, keys, wanted });
  await restoreTree({ host, root: job.volume, source: await readArtifact(vault, trees.get(job.name)!, keys, { gunzip: true }) });
  return written.bytes;
}

/** The hash of every segment's ciphertext, as many at once as there are cores. */
async function verify(vault: Vault): Promise<number> {
  const atOnce = pLimit(availableParallelism());
  const reading: Promise<number>[] = [];
  for await (const { header } of readIndexes(vault, CLUSTER)) {
    reading.push(atOnce(async () => {
      const { bytes, sha256 } = await proveWhole(vault, vaultPaths.segment(CLUSTER, header.segment), [], null);
      if (sha256 !== header.sha256) throw new Error(`segment ${header.segment} is damaged`);
      return bytes;
    }));
  }
  return (await Promise.all(reading)).reduce((sum, bytes) => sum + bytes, 0);
}

function answer(done: JobDone): void {
  process.stdout.write(`${JSON.stringify(done)}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
