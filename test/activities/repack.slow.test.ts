import assert from 'node:assert/strict';
import { chmod, cp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { createActivities } from '../../activities';
import { openCluster, type Cluster } from '../../activities/cluster';
import { prune as pruneStep } from '../../activities/retention/prune';
import { writeVerdict } from '../../adapters/vault/verdicts';
import { loadEncryptionKeys } from '../../adapters/openpgp/keyring';
import { encryptionSchema, type Config } from '../../domain/config';
import type { Manifest } from '../../domain/manifest';
import type { PruneResult } from '../../domain/prune-result';
import { vaultPaths } from '../../domain/vault-format';
import type { VerifyResult } from '../../domain/verify';
import { activityEnvironment } from '../helpers/backup-run';
import { Killed, killedAfter } from '../helpers/failing-vault';
import { makeKey } from '../helpers/openpgp-keys';
import { makeRegistryTree, type RegistryTree } from '../helpers/registry-tree';
import { sealBackup } from '../helpers/sealed-backup';
import { scratchVault } from '../helpers/vault';
import type { SealedManifest } from '../helpers/segment-list';

const DAY = 86_400_000;

describe('repacking of mostly dead segments', function () {
  this.timeout(180_000);
  let here: Awaited<ReturnType<typeof scratchVault>>;
  let config: Config;
  let all: RegistryTree;
  let few: RegistryTree;
  let today: SealedManifest;
  const ago = (days: number): Date => new Date(Date.now() - days * DAY);
  const file = (name: string): string => join(here.directory, name);
  const deps = () => ({ config, configPath: 'drydock.yaml', namespace: 'default', client: {} as Client, refuseWithoutLock: () => Promise.resolve() });

  /** One backup, verified; its segments count as written long ago. */
  async function seal(tree: RegistryTree, startedAt: Date): Promise<SealedManifest> {
    const manifest = await sealBackup({ vault: here.vault, cluster: 'lab', tree, keys: await loadEncryptionKeys(config.clusters.lab!.encryption), segmentBytes: 150_000, startedAt: startedAt.toISOString() });
    const { backupId, startedAt: at } = manifest;
    await writeVerdict(here.vault, 'lab', {
      format: 1, backupId, level: 'L2', startedAt: at, at, by: 'a test', tool: { name: 'drydock', version: '0' }, withKeys: true, result: 'good', checked: { segments: 1, blobs: 1, bytes: 1, tags: 1 }, findings: 0,
    }, [], await loadEncryptionKeys(config.clusters.lab!.encryption));
    return manifest;
  }

  async function names(prefix: string): Promise<string[]> {
    const found: string[] = [];
    for await (const { name } of here.vault.list(prefix)) found.push(name);
    return found;
  }
  const segments = async (): Promise<string[]> => (await names(vaultPaths.segments('lab'))).filter((name) => name.endsWith('.index')).map((name) => name.slice(vaultPaths.segments('lab').length, -'.index'.length));

  async function age(prefix: string, days: number): Promise<void> {
    for (const name of await names(prefix)) {
      if (prefix === vaultPaths.tombstones('lab')) await writeFile(file(name), JSON.stringify({ ...(JSON.parse(await readFile(file(name), 'utf8')) as object), at: ago(days).toISOString() }));
      await utimes(file(name), ago(days), ago(days));
    }
  }

  function prune(more: { dryRun?: boolean } = {}): Promise<PruneResult> {
    return activityEnvironment().run(createActivities(deps()).prune as (input: unknown) => Promise<PruneResult>, { cluster: 'lab', operation: 'prune_test', dryRun: false, ...more });
  }
  function verify({ backupId }: Manifest): Promise<VerifyResult> {
    return activityEnvironment().run(createActivities(deps()).verifyBackup as (input: unknown) => Promise<VerifyResult>, { cluster: 'lab', operation: 'verify', backup: backupId, level: 'L3', withoutKeys: false, by: 'a test' });
  }

  beforeEach(async () => {
    here = await scratchVault();
    await chmod(here.path, 0o700);
    const passphrase = join(here.path, 'passphrase');
    await writeFile(passphrase, 'a passphrase of the tests', { mode: 0o600 });
    config = {
      stateDir: here.path, vaults: { main: { directory: here.directory } },
      clusters: { lab: { vault: 'main', copies: [], keep: { last: 1 }, retention: { hold: '7d', repack: 0.5 }, policy: { segmentBytes: 100_000 }, hosts: {}, encryption: encryptionSchema.parse({ passphrase: `file:${passphrase}` }) } },
    } as unknown as Config;
    all = makeRegistryTree({ layout: 'sha256', seed: 3, repositories: 4, layerBytes: 20_000 });
    // Living and dead blobs lie side by side in every segment.
    all.blobs.sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1));
    // The first repository stays; the others were deleted and collected.
    few = makeRegistryTree({ layout: 'sha256', seed: 3, repositories: 1, layerBytes: 20_000 });
    await seal(all, ago(30));
    await age(vaultPaths.segments('lab'), 30);
    today = await seal(few, ago(1));
    // Ids begin with the second in which a segment was begun, and the old ones are to be older.
    await new Promise((resolve) => setTimeout(resolve, 1000 - (Date.now() % 1000)));
    assert.ok(today.segments.length > 1, 'several of them');
    assert.ok(today.segments.every(({ usedBytes, bytes }) => usedBytes * 2 < bytes), 'mostly dead');
  });
  afterEach(() => here.remove());

  it('frees the space in the end: later backups name the new segments, and the old ones go with the last backup that names them', async () => {
    const old = await segments();
    const would = await prune({ dryRun: true });
    assert.deepEqual(await segments(), old, 'a dry run writes nothing');
    const { repacked } = await prune();
    assert.deepEqual(repacked, would.repacked);
    assert.ok(repacked!.segments > 0 && repacked!.bytes * 2 < repacked!.frees);
    assert.deepEqual((await prune()).repacked, { segments: 0, bytes: 0, frees: 0 }, 'once is enough');
    assert.equal((await verify(today)).result, 'good', 'the old backup is what it was');
    const next = await seal(few, ago(0));
    assert.ok(next.segments.every(({ segment }) => !old.includes(segment)));
    for (let runs = 0; runs < 4; runs += 1) {
      await age(vaultPaths.tombstones('lab'), 8);
      await prune();
    }
    assert.ok((await segments()).every((segment) => !old.includes(segment)));
    assert.deepEqual((await names(vaultPaths.backups('lab'))).filter((name) => name.endsWith('manifest.json')), [vaultPaths.manifest('lab', next.backupId)]);
    assert.equal((await verify(next)).result, 'good');
  });

  it('goes on after a worker that was killed at any step', async () => {
    const before = join(here.path, 'before');
    await cp(here.directory, before, { recursive: true, preserveTimestamps: true });
    const wanted = (await prune({ dryRun: true })).repacked!;
    for (let step = 0, ended = false; !ended; step += 1) {
      await rm(here.directory, { recursive: true });
      await cp(before, here.directory, { recursive: true, preserveTimestamps: true });
      const real = openCluster(deps(), 'lab');
      const dying = Object.create(real, { vault: { value: killedAfter(real.vault, step) } }) as Cluster;
      ended = await activityEnvironment().run(() => pruneStep(dying, { cluster: 'lab', operation: 'killed', dryRun: false }, new AbortController().signal)).then(() => true, (error: unknown) => {
        if (error instanceof Killed) return false;
        throw error;
      });
      const again = await prune();
      assert.ok(again.repacked!.bytes <= wanted.bytes, `step ${step}`);
      assert.equal((await verify(today)).result, 'good', `step ${step}`);
      assert.deepEqual((await prune()).repacked!.bytes, 0, `step ${step}: nothing is left to move`);
      const next = await seal(few, ago(0));
      assert.equal((await verify(next)).result, 'good', `step ${step}`);
      assert.ok(next.segments.every(({ segment }) => !today.segments.some((each) => each.segment === segment)), `step ${step}`);
    }
  });

  it('takes nothing from a backup that was under way and is sealed on the old segments', async () => {
    const seen = await segments();
    await prune();
    // What a backup names that had looked before: the same segments as today's.
    const late: Manifest = { ...today, backupId: today.backupId.replace(/.{6}$/, 'abcdef'), startedAt: ago(0).toISOString() };
    await cp(file(vaultPaths.backup('lab', today.backupId)), file(vaultPaths.backup('lab', late.backupId)), { recursive: true });
    const artifacts = JSON.parse(JSON.stringify(late.artifacts).replaceAll(today.backupId, late.backupId)) as Manifest['artifacts'];
    await writeFile(file(vaultPaths.manifest('lab', late.backupId)), JSON.stringify({ ...late, artifacts }));
    assert.equal((await verify(late)).result, 'good');
    for (let runs = 0; runs < 4; runs += 1) {
      await age(vaultPaths.tombstones('lab'), 8);
      await prune();
    }
    assert.equal((await verify(late)).result, 'good');
    assert.ok(today.segments.every(({ segment }) => seen.includes(segment)));
  });

  it('is left to a worker that has a key, with a sentence', async () => {
    const key = await makeKey(here.path, 'officer');
    config.clusters.lab!.encryption = encryptionSchema.parse({ recipients: [key.publicFile] });
    const { repacked, notes } = await prune();
    assert.equal(repacked!.segments, 0);
    assert.match(notes.join(' '), /mostly dead .*; nothing was repacked, because this worker has no key that opens them/);
  });

  it('leaves a damaged segment alone, names it, and repacks the others', async () => {
    const { segment } = today.segments[0]!;
    const tar = file(vaultPaths.segment('lab', segment));
    const content = await readFile(tar);
    for (let at = 1000; at < content.length; at += 500) content[at]! ^= 1;
    await writeFile(tar, content);
    await utimes(tar, ago(30), ago(30));
    const { repacked, notes } = await prune();
    assert.match(notes.join(' '), new RegExp(`Segment ${segment} is mostly dead, and is not repacked`));
    assert.equal(repacked!.segments, today.segments.length - 1);
  });

  it('is off where the configuration says so, and waits where no backup was made for longer than the hold', async () => {
    config.clusters.lab!.retention.repack = 'off';
    assert.equal((await prune()).repacked!.segments, 0);
    config.clusters.lab!.retention.repack = 0.5;
    config.clusters.lab!.retention.hold = '1d';
    assert.equal((await prune()).repacked!.segments, 0);
  });
});
