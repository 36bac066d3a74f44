/**
 * What looks and plans cost over a distance: SEGMENTS segments and BACKUPS backups (default 20,000 and 200) in a bucket of a real S3 server (versitygw), every call
 * of which takes 30 ms. Segments are tiny: what counts is the number of calls. Run: npx tsx bench/distant.ts [SEGMENTS] [BACKUPS]
 */
import { spawn } from 'node:child_process';
import { linkSync, mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MockActivityEnvironment, TestWorkflowEnvironment } from '@temporalio/testing';
import type { Cluster } from '../activities/cluster';
import { SegmentTrust } from '../activities/backup/segment-trust';
import { keptIndexes, segmentAccess, StoredBlobs } from '../activities/backup/stored';
import { seal, type SealStep } from '../activities/backup/seal';
import { WORK, WorkFiles } from '../activities/backup/work-files';
import { Progress } from '../activities/restore/progress';
import { proveBackup } from '../activities/restore/prove-backup';
import { Refusals } from '../activities/restore/refusals';
import { readBlobList } from '../activities/restore/backup';
import { findTemporalCli } from '../client/temporal-cli';
import { ContentCache } from '../adapters/vault/content-cache';
import { openDirectoryVault } from '../adapters/vault/directory';
import { readManifest } from '../adapters/vault/manifest-file';
import { openS3Vault } from '../adapters/vault/s3';
import type { BlobLine, Manifest } from '../domain/manifest';
import { vaultPaths } from '../domain/vault-format';
import { makeMany } from '../test/helpers/many-segments';
import { startS3Proxy } from '../test/helpers/s3-proxy';
import { OWNER, startVersitygw } from '../test/helpers/versitygw';
import { freezeRecord } from '../test/helpers/changes';

const CLUSTER = 'bench';
const BUCKET = 'backups';
const DELAY_MS = 30;
const PASSPHRASE = 'a passphrase of the bench';

async function main(segments: number, backups: number): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'drydock-distant-'));
  const server = await startVersitygw();
  const proxy = await startS3Proxy(server.port, { delayMs: DELAY_MS });
  // `status` waits some seconds for a Temporal server that is not there.
  const temporal = await TestWorkflowEnvironment.createLocal({ server: { executable: { type: 'existing-path', path: await findTemporalCli() } } });
  try {
    await server.makeBucket(BUCKET);
    const newest = await furnish(path.join(server.data, BUCKET), segments, backups);
    const settings = { ...server.settings(BUCKET), endpoint: proxy.url };
    await configure(folder, settings.endpoint, temporal.address);
    const report: Record<string, string> = {};
    const measured = async (name: string, work: () => Promise<string | void>): Promise<void> => {
      const [start, before] = [performance.now(), proxy.calls.length];
      const more = await work();
      report[name] = `${((performance.now() - start) / 1000).toFixed(1)} s, ${proxy.calls.length - before} calls${more ? `, ${more}` : ''}`;
      process.stdout.write(`${name}: ${report[name]}\n`);
    };
    for (const command of ['list', 'status']) await measured(command, async () => `${await peakOf([command, '--json', '--config', path.join(folder, 'drydock.yaml')])} MiB at its peak`);
    const vault = openS3Vault(settings);
    const keys = { passphrases: [PASSPHRASE], publicKeys: [], recipients: ['passphrase'] };
    const cluster = {
      name: CLUSTER, vault, cache: new ContentCache(path.join(folder, 'state', 'cache')), config: { policy: { segmentBytes: 256 << 20 }, dtr: {}, encryption: {} },
      encryptionKeys: () => Promise.resolve(keys), decryptionKeys: () => Promise.resolve({ passphrases: [PASSPHRASE], privateKeys: [] }), signingKey: () => Promise.resolve(null),
      workDir: () => Promise.resolve(folder), dtr: () => Promise.resolve({}), ucp: () => Promise.reject(new Error('there is none')),
    } as unknown as Cluster;
    const inActivity = <T>(work: () => Promise<T>): Promise<T> => new MockActivityEnvironment().run<[], T, () => Promise<T>>(work);
    await measured('plan', async () => {
      const refusals = new Refusals(undefined);
      await inActivity(() => proveBackup(cluster, newest, refusals, new Progress('plan')));
      refusals.throwIfAny();
    });
    for (const name of ['backup, first time on this worker', 'backup']) await measured(name, () => inActivity(() => unchanged(cluster, newest)));
    await vault.close();
  } finally {
    await temporal.teardown();
    await proxy.stop();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Straight into the server's folder; files that are the same in all backups are links to one. */
async function furnish(root: string, segments: number, backups: number): Promise<Manifest> {
  const staging = openDirectoryVault(path.join(root, '..', 'staging'));
  await staging.check();
  writeFileSync(path.join(root, vaultPaths.vaultFile), await staging.readAll(vaultPaths.vaultFile, 1 << 20));
  const known = new Map<string, string>();
  const put = (name: string, content: Buffer | string): Promise<void> => {
    const file = path.join(root, name);
    mkdirSync(path.dirname(file), { recursive: true });
    const same = known.get(path.basename(file));
    if (same !== undefined) linkSync(same, file);
    else writeFileSync(file, content);
    if (/\.(?:gz\.gpg|jsonl)$/.test(name)) known.set(path.basename(file), file);
    return Promise.resolve();
  };
  const sealed = await makeMany({ vault: staging, cluster: CLUSTER, keys: { passphrases: [PASSPHRASE], publicKeys: [], recipients: ['passphrase'] }, segments, backups, put });
  return sealed.at(-1)!;
}

/** The vault's part of a backup in which nothing changed: the indexes for both passes and the proof, then the seal. */
async function unchanged(cluster: Cluster, newest: Manifest): Promise<void> {
  const startedAt = new Date().toISOString();
  const backupId = `${startedAt.replace(/[-:]|\.\d+/g, '')}-abcdef`;
  const step = { cluster: CLUSTER, operation: backupId, backupId };
  const signal = new AbortController().signal;
  const work = await WorkFiles.open(cluster, step);
  for (let pass = 0; pass < 3; pass += 1) {
    const stored = await StoredBlobs.load(cluster.vault, CLUSTER, { signal, access: await segmentAccess(cluster), trust: await SegmentTrust.open(cluster, work, signal), kept: await keptIndexes(cluster, signal) });
    if (stored.copies.length !== newest.counts.blobs) throw new Error(`${stored.copies.length} copies instead of ${newest.counts.blobs}`);
  }
  const lines: BlobLine[] = [];
  for await (const line of readBlobList(cluster, newest)) lines.push(line);
  await work.write(WORK.blobs, lines);
  for (const name of [WORK.tags, WORK.gaps, WORK.notes]) await work.write(name, []);
  const { product, artifacts } = newest;
  const metadata = { ...product.metadata, artifact: { ...artifacts.metadata, name: vaultPaths.artifact(CLUSTER, backupId, 'metadata.tar.gz.gpg') } };
  await cluster.vault.put(metadata.artifact.name, await cluster.vault.readAll(artifacts.metadata.name, 1 << 20));
  const { version, bootstrapperImage, replicas, settings, ucp } = product;
  const sealStep: SealStep = {
    ...step, metadata, passes: [], notes: [], startedBy: 'bench', startedAt,
    facts: { version, bootstrapperImage, replica: replicas[0]!, replicas, settings, ucp, storage: { kind: 'local' }, volume: null, vault: 'bench', warnings: [] },
    record: freezeRecord({ operation: backupId, cluster: CLUSTER, recordedAt: startedAt, crons: [] }),
    proof: { counts: { repositories: 0, tags: 0, manifests: 0, blobs: lines.length, inFlight: 0, gaps: 0, acceptedGaps: 0 }, imageBytes: 0, gaps: [], acceptedGaps: [], layouts: [], unproven: [], warnings: [] },
  };
  const sealed = await seal(cluster, sealStep, signal);
  const { counts } = (await readManifest(cluster.vault, CLUSTER, backupId)).manifest;
  if (sealed.status !== 'complete' || counts.segments !== newest.counts.segments) throw new Error(`sealed as ${JSON.stringify(sealed)}, with ${counts.segments} segments`);
}

async function configure(folder: string, endpoint: string, temporal: string): Promise<void> {
  for (const [name, content] of [['passphrase', PASSPHRASE], ['access', OWNER.access], ['secret', OWNER.secret]] as const) await writeFile(path.join(folder, name), content, { mode: 0o600 });
  await writeFile(path.join(folder, 'drydock.yaml'), `stateDir: state
temporal: {address: "${temporal}"}
vaults: {main: {s3: {endpoint: "${endpoint}", region: us-east-1, bucket: ${BUCKET}, accessKeyId: "file:access", secretAccessKey: "file:secret"}}}
clusters:
  ${CLUSTER}:
    ucp: {urls: ["https://127.0.0.1:1"], username: admin, password: "file:passphrase"}
    dtr: {url: "https://127.0.0.1:2"}
    images: docker
    vault: main
    encryption: {passphrase: "file:passphrase"}
    approvers: [operator]
`);
}

/** Runs a command; peak memory in MiB, as the kernel saw it. */
async function peakOf(args: string[]): Promise<number> {
  const report = `process.on('exit', () => process.stderr.write('PEAK ' + process.resourceUsage().maxRSS + '\\n'))`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--import', `data:text/javascript,${encodeURIComponent(report)}`, 'client/main.ts', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const peak = /PEAK (\d+)/.exec(said)?.[1];
  if (code !== 0 || peak === undefined) throw new Error(`${args[0]} ended with ${code}: ${said}`);
  return Math.round(Number(peak) / 1024);
}

main(Number(process.argv[2] ?? 20_000), Number(process.argv[3] ?? 200)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
