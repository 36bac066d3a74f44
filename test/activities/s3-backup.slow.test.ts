/** A backup's life in a bucket under object lock (compliance): sealed, built upon, verified, extracted, given up, and gone when the lock has ended. */
import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectRetentionCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import type { Client } from '@temporalio/client';
import { createActivities } from '../../activities';
import { lockUsed } from '../../activities/backup/lock-used';
import { openS3Vault } from '../../adapters/vault/s3';
import type { Vault } from '../../adapters/vault/vault';
import { encryptionSchema, type Config, type S3Config } from '../../domain/config';
import type { PruneResult } from '../../domain/prune-result';
import type { VerifyResult } from '../../domain/verify';
import { vaultPaths } from '../../domain/vault-format';
import { drydock } from '../client/fixtures/drydock';
import { activityEnvironment } from '../helpers/backup-run';
import { makeRegistryTree } from '../helpers/registry-tree';
import { sealBackup } from '../helpers/sealed-backup';
import { PASSPHRASE, scratchDirectory, writeKeys, type Scratch } from '../helpers/vault';
import { startVersitygw, type TestS3 } from '../helpers/versitygw';
import type { SealedManifest } from '../helpers/segment-list';

const CLUSTER = 'lab';
const BUCKET = 'backups';
const LOCK_S = 12;
const DAY = 86_400_000;

describe('a backup in a bucket in compliance mode', function () {
  this.timeout(180_000);
  let s3: TestS3;
  let scratch: Scratch;
  let vault: Vault;
  let settings: S3Config;
  const tree = makeRegistryTree({ layout: 'id', seed: 3, repositories: 3, layerBytes: 20_000 });
  const manifests: SealedManifest[] = [];
  before(async () => {
    s3 = await startVersitygw();
    await s3.makeBucket(BUCKET, { lock: true });
    scratch = await scratchDirectory();
    await writeFile(join(scratch.path, 'passphrase'), PASSPHRASE, { mode: 0o600 });
    settings = { ...s3.settings(BUCKET, { prefix: 'drydock' }), objectLock: { mode: 'compliance', days: LOCK_S * 1000 / DAY } };
    vault = openS3Vault(settings);
    await vault.check();
  });
  after(async () => {
    await vault.close();
    await s3.stop();
    await scratch.remove();
  });

  function activities(): ReturnType<typeof createActivities> {
    const config = {
      stateDir: scratch.path, vaults: { v: { s3: settings } },
      clusters: { [CLUSTER]: { vault: 'v', copies: [], keep: { last: 1 }, retention: { hold: '7d' }, encryption: encryptionSchema.parse({ passphrase: `file:${join(scratch.path, 'passphrase')}` }), hosts: {} } },
    } as unknown as Config;
    return createActivities({ config, configPath: 'drydock.yaml', namespace: 'default', client: {} as Client, refuseWithoutLock: () => Promise.resolve() });
  }

  const prune = (): Promise<PruneResult> => activityEnvironment().run(activities().prune as (input: unknown) => Promise<PruneResult>, { cluster: CLUSTER, operation: 'prune_test', dryRun: false });

  const verify = (backup: string): Promise<VerifyResult> =>
    activityEnvironment().run(activities().verifyBackup as (input: unknown) => Promise<VerifyResult>, { cluster: CLUSTER, operation: 'verify', backup, level: 'L3', withoutKeys: false, by: 'a test' });

  async function versions(prefix: string): Promise<string[]> {
    const { Versions = [], DeleteMarkers = [] } = await s3.client.send(new ListObjectVersionsCommand({ Bucket: BUCKET, Prefix: `drydock/${prefix}` }));
    return [...Versions, ...DeleteMarkers].map(({ Key }) => Key!);
  }

  async function names(prefix: string): Promise<string[]> {
    const found: string[] = [];
    for await (const { name } of vault.list(prefix)) found.push(name);
    return found;
  }

  async function age(name: string, days: number): Promise<void> {
    const time = new Date(Date.now() - days * DAY);
    await utimes(join(s3.data, BUCKET, 'drydock', name), time, time);
  }

  it('is sealed, and so is a second one that shares its segments', async () => {
    for (const startedAt of ['2026-11-01T02:00:00.000Z', '2026-11-02T02:00:00.000Z']) {
      manifests.push(await sealBackup({ vault, cluster: CLUSTER, tree, keys: writeKeys, startedAt }));
    }
    assert.deepEqual(manifests[1]!.segments.map(({ segment }) => segment), manifests[0]!.segments.map(({ segment }) => segment));
  });

  it('keeps what it shares locked as long as its manifest, which is written last', async () => {
    const { segment } = manifests[1]!.segments[0]!;
    const lockOf = async (name: string): Promise<number> =>
      (await s3.client.send(new GetObjectRetentionCommand({ Bucket: BUCKET, Key: `drydock/${name}` }))).Retention!.RetainUntilDate!.getTime();
    const before = await lockOf(vaultPaths.segment(CLUSTER, segment));
    await sleep(2_000);
    await activityEnvironment().run(() => lockUsed({ vault, name: CLUSTER }, manifests[1]!, manifests[1]!.segments, new AbortController().signal));
    // Under the name of a cluster that has no other: written by hand, it is no manifest.
    const last = vaultPaths.manifest('other', '20261103T020000Z-1a2b3c');
    await vault.put(last, '{}');
    for (const name of [vaultPaths.segment(CLUSTER, segment), vaultPaths.segmentIndex(CLUSTER, segment), manifests[1]!.artifacts.metadata.name]) {
      const until = await lockOf(name);
      assert.ok(until > before && until >= (await lockOf(last)), name);
    }
  });

  it('is verified to L3', async () => {
    for (const { backupId } of manifests) {
      const found = await verify(backupId);
      assert.deepEqual([found.result, found.findings, found.checked.blobs], ['good', [], tree.blobs.length]);
    }
  });

  it('is extracted by the command', async () => {
    const config = join(scratch.path, 'drydock.yaml');
    const { endpoint, accessKeyId, secretAccessKey } = settings;
    await writeFile(config, `vaults: {main: {s3: {bucket: ${BUCKET}, prefix: drydock, endpoint: "${endpoint}", accessKeyId: "${accessKeyId}", secretAccessKey: "${secretAccessKey}"}}}
clusters:
  lab:
    ucp: {urls: ["https://127.0.0.1:1"], username: admin, password: "file:secret"}
    dtr: {url: "https://127.0.0.1:2"}
    ssh: {knownHosts: known_hosts}
    hosts: {node-1: {address: 127.0.0.1}}
    vault: main
    encryption: {passphrase: "file:passphrase"}
    approvers: [operator]
`);
    await mkdir(join(scratch.path, 'out'));
    const { code, stderr } = await drydock(['extract', manifests[1]!.backupId, '-o', join(scratch.path, 'out', 'all'), '--blobs'], { DRYDOCK_CONFIG: config });
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /Warning/);
    const files = await readdir(join(scratch.path, 'out', 'all'), { recursive: true });
    for (const { path } of tree.blobs) {
      const file = files.find((each) => each.endsWith(path));
      assert.ok(file !== undefined && (await readFile(join(scratch.path, 'out', 'all', file))).equals(tree.content.get(path)!), path);
    }
  });

  it('is given up in two phases, and its bytes are gone when the lock has ended', async () => {
    const [old] = manifests as [SealedManifest];
    const folder = `${vaultPaths.backup(CLUSTER, old.backupId)}/`;
    for (const name of await names(folder)) await age(name, 30);
    assert.deepEqual((await prune()).marked.backups, [old.backupId]);
    for (const name of await names(vaultPaths.tombstones(CLUSTER))) {
      const tombstone = JSON.parse((await vault.readAll(name, 65_536)).toString()) as object;
      await vault.remove(name);
      await vault.put(name, JSON.stringify({ ...tombstone, at: new Date(Date.now() - 8 * DAY).toISOString() }));
      await age(name, 8);
    }
    const result = await prune();
    assert.deepEqual([result.removed.backups, result.notes], [[old.backupId], []]);
    assert.deepEqual(await names(folder), []);
    await sleep(LOCK_S * 1000);
    assert.deepEqual((await prune()).notes, []);
    assert.deepEqual(await versions(folder), []);
    assert.deepEqual(await versions('.drydock-tmp/'), [], 'claims and probes leave nothing');
    assert.ok((await versions(vaultPaths.manifest(CLUSTER, manifests[1]!.backupId))).length === 1);
    const again = await verify(manifests[1]!.backupId);
    assert.equal(again.result, 'good');
  });
});
