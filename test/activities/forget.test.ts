import assert from 'node:assert/strict';
import { cp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createActivities } from '../../activities';
import type { Activities } from '../../activities/contract';
import { writeVerdict } from '../../adapters/vault/verdicts';
import type { Config } from '../../domain/config';
import type { Manifest } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';
import { activityEnvironment } from '../helpers/backup-run';
import { makeRegistryTree } from '../helpers/registry-tree';
import { sealBackup } from '../helpers/sealed-backup';
import { scratchVault, writeKeys } from '../helpers/vault';
import type { SealedManifest } from '../helpers/segment-list';

const DAY = 86_400_000;

describe('forgetting a backup', () => {
  let here: Awaited<ReturnType<typeof scratchVault>>;
  let old: Manifest;
  let newest: Manifest;
  let keep: object | undefined;
  let copies: string[];

  type Name = 'planForget' | 'forgetBackup' | 'rememberBackup' | 'prune';
  function run<K extends Name>(name: K, more: Omit<Parameters<Activities[K]>[0], 'cluster' | 'operation'>): Promise<Awaited<ReturnType<Activities[K]>>> {
    const config = {
      stateDir: here.path, vaults: { main: { directory: here.directory }, mirror: { directory: `${here.directory}-mirror` } },
      clusters: { lab: { vault: 'main', copies, ...(keep ? { keep } : {}), retention: { hold: '7d' }, encryption: {}, hosts: {} } },
    } as unknown as Config;
    const activity = createActivities({ config, configPath: 'drydock.yaml', namespace: 'default', client: undefined as never, refuseWithoutLock: () => Promise.resolve() })[name];
    return activityEnvironment().run(activity as unknown as (input: unknown) => Promise<Awaited<ReturnType<Activities[K]>>>, { cluster: 'lab', operation: 'forget_test', ...more });
  }
  const plan = (backup: string, everywhere = true) => run('planForget', { backup, everywhere });
  const forget = (backup: string, approved = false) => run('forgetBackup', { backup, by: 'officer', why: 'Given up: officer asked to forget it.', approved });

  async function judge({ backupId, startedAt }: Manifest, more: { result?: 'good' | 'bad'; drill?: boolean } = {}): Promise<void> {
    await writeVerdict(here.vault, 'lab', {
      format: 1, backupId, level: 'L2', startedAt, at: startedAt, by: 'a test', tool: { name: 'drydock', version: '0' }, withKeys: true, result: 'good', checked: { segments: 1, blobs: 1, bytes: 1, tags: 1 }, findings: 0, ...more,
    }, [], writeKeys);
  }

  async function marks(): Promise<string[]> {
    const found: string[] = [];
    for await (const { name } of here.vault.list(vaultPaths.tombstones('lab'))) found.push(name);
    return found;
  }

  async function ageMarks(days: number): Promise<void> {
    const time = new Date(Date.now() - days * DAY);
    for (const name of await marks()) {
      const file = join(here.directory, name);
      await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), at: time.toISOString() }));
      await utimes(file, time, time);
    }
  }

  const isThere = async ({ backupId }: Manifest): Promise<boolean> => (await here.vault.stat(vaultPaths.manifest('lab', backupId))) !== null;

  beforeEach(async () => {
    here = await scratchVault();
    keep = undefined;
    copies = [];
    const seal = async (startedAt: string, seed: number): Promise<SealedManifest> =>
      sealBackup({ vault: here.vault, cluster: 'lab', tree: makeRegistryTree({ layout: 'sha256', seed, repositories: 1, layerBytes: 2_000 }), keys: writeKeys, startedAt });
    old = await seal('2026-11-01T02:00:00.000Z', 1);
    newest = await seal('2026-11-02T02:00:00.000Z', 2);
    await judge(old);
    await judge(newest);
  });
  afterEach(() => here.remove());

  it('marks it at once, removes it after the hold, and no `keep` holds or lifts it', async () => {
    keep = { last: 100 };
    assert.equal((await plan(newest.backupId)).gate, null);
    const done = await forget(newest.backupId);
    assert.equal(done.state, 'marked');
    assert.equal((await forget(newest.backupId)).state, 'already');
    const early = await run('prune', { dryRun: false });
    assert.deepEqual([early.lifted, early.removed.backups, await isThere(newest)], [0, [], true]);
    assert.match(early.decisions.find(({ id }) => id === newest.backupId)!.why, /officer asked to forget it/);
    await ageMarks(8);
    assert.deepEqual((await run('prune', { dryRun: false })).removed.backups, [newest.backupId]);
    assert.deepEqual([await isThere(newest), await isThere(old)], [false, true]);
  });

  it('can be taken back while the hold lasts', async () => {
    await forget(old.backupId);
    assert.equal((await run('rememberBackup', { backup: old.backupId })).state, 'lifted');
    assert.deepEqual(await marks(), []);
    assert.equal((await run('rememberBackup', { backup: old.backupId })).state, 'already');
  });

  it('asks people for the last verified one, counting none that is given up already, and says what is lost and what remains', async () => {
    await forget(newest.backupId);
    const { gate, details } = await plan(old.backupId);
    assert.equal(gate, 'it is the last verified backup of this cluster');
    assert.match(details, /## Forget [^\n]*\n\n### What is lost\n\n- complete, begun 2026-11-01T02:00:00\.000Z[^]*\n\n### What remains\n\n- no other backup of this cluster/);
  });

  it('asks people for the newest drilled one, and for one that cannot be read', async () => {
    await judge({ ...old, startedAt: '2026-11-03T02:00:00.000Z' }, { drill: true });
    assert.equal((await plan(old.backupId)).gate, 'it is the newest backup that a drill has restored');
    await writeFile(join(here.directory, vaultPaths.manifest('lab', newest.backupId)), '{"format":9}');
    assert.match((await plan(newest.backupId)).gate!, /cannot be read/);
  });

  it('asks people where it is the last verified one of a copy, unless only the first vault is meant', async () => {
    copies = ['mirror'];
    await cp(here.directory, `${here.directory}-mirror`, { recursive: true });
    await rm(join(`${here.directory}-mirror`, vaultPaths.verdictsOf('lab', newest.backupId)), { recursive: true });
    assert.equal((await plan(old.backupId)).gate, 'in mirror it is the last verified backup of this cluster');
    assert.match((await plan(old.backupId)).details, /the same backup in mirror, where it is given up as well although it is the last verified/);
    assert.equal((await plan(old.backupId, false)).gate, null);
  });

  it('asks again when what remains has changed', async () => {
    const before = await plan(old.backupId);
    assert.equal((await plan(old.backupId)).digest, before.digest);
    await judge({ ...newest, startedAt: '2026-11-03T02:00:00.000Z' }, { result: 'bad' });
    assert.notEqual((await plan(old.backupId)).digest, before.digest);
  });

  it('keeps one that became the last verified one since, unless the gate approved it', async () => {
    await forget(old.backupId);
    await judge({ ...newest, startedAt: '2026-11-03T02:00:00.000Z' }, { result: 'bad' });
    await ageMarks(8);
    assert.deepEqual((await run('prune', { dryRun: false })).removed.backups, []);
    assert.equal((await forget(old.backupId, true)).state, 'marked');
    await ageMarks(8);
    assert.deepEqual((await run('prune', { dryRun: false })).removed.backups, [old.backupId]);
  });

  it('is the way out where an unreadable manifest keeps all segments', async () => {
    await writeFile(join(here.directory, vaultPaths.manifest('lab', old.backupId)), '{"format":9}');
    await forget(old.backupId, true);
    await ageMarks(8);
    assert.deepEqual((await run('prune', { dryRun: false })).removed.backups, [old.backupId]);
    assert.deepEqual((await run('prune', { dryRun: false })).notes, []);
  });

  it('marks nothing in another vault than the one that was used before', async () => {
    await plan(old.backupId);
    await rm(join(here.directory, 'vault.json'));
    await here.vault.check();
    for (const refused of [plan(old.backupId), forget(old.backupId), run('rememberBackup', { backup: old.backupId })]) await assert.rejects(refused, /the vault "main" .* is another vault/);
    assert.deepEqual(await marks(), []);
  });

  it('knows no backup without a seal', async () => {
    await assert.rejects(plan('20261101T020000Z-ffffff'), /there is no backup 20261101T020000Z-ffffff of lab/);
  });
});
