import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApplicationFailure, Client } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createActivities } from '../../activities';
import { openCluster, type Cluster } from '../../activities/cluster';
import { copyBackups } from '../../activities/copy/copy';
import { Progress } from '../../activities/restore/progress';
import { loadEncryptionKeys } from '../../adapters/openpgp/keyring';
import { remember as rememberVault, vaultId } from '../../adapters/vault/known-vaults';
import { openDirectoryVault } from '../../adapters/vault/directory';
import type { Vault } from '../../adapters/vault/vault';
import { readVerdicts, writeVerdict } from '../../adapters/vault/verdicts';
import type { Config } from '../../domain/config';
import { encryptionSchema, sftpSchema, type VaultConfig } from '../../domain/config';
import type { Heartbeat } from '../../domain/contract';
import type { CopiedTo } from '../../domain/copy';
import { DrydockError } from '../../domain/errors';
import type { ForgottenIn } from '../../domain/forget';
import type { PruneResult } from '../../domain/prune-result';
import type { VerifyResult } from '../../domain/verify';
import { vaultPaths } from '../../domain/vault-format';
import { activityEnvironment } from '../helpers/backup-run';
import { freePort } from '../helpers/free-port';
import { Killed, killedAfter } from '../helpers/failing-vault';
import { makeRegistryTree, type RegistryTree } from '../helpers/registry-tree';
import { sealBackup, type SealOptions } from '../helpers/sealed-backup';
import { startSshd } from '../helpers/sshd';
import { PLAN } from '../workflows/fixtures/activities';
import { scratchVault, writeKeys } from '../helpers/vault';
import type { SealedManifest } from '../helpers/segment-list';

const CLUSTER = 'lab';
const DAY = 86_400_000;

describe('copies of a vault', function () {
  this.timeout(180_000);
  let here: Awaited<ReturnType<typeof scratchVault>>;
  let copyDirectory: string;
  let tree: RegistryTree;
  let first: SealedManifest;
  let config: Config;

  const source = (name: string): string => join(here.directory, name);
  const copied = (name: string): string => join(copyDirectory, name);
  const manifestOf = (id: string): string => vaultPaths.manifest(CLUSTER, id);

  async function seal(more: Partial<SealOptions> = {}): Promise<SealedManifest> {
    return sealBackup({ vault: here.vault, cluster: CLUSTER, tree, keys: await loadEncryptionKeys(config.clusters[CLUSTER]!.encryption), ...more });
  }

  const activities = () => createActivities({ config, configPath: 'drydock.yaml', namespace: 'default', client: {} as Client, refuseWithoutLock: () => Promise.resolve() });

  function copy(more: { from?: string; to?: string; backup?: string } = {}, environment = activityEnvironment()): Promise<CopiedTo> {
    return environment.run(activities().copyBackups as (input: unknown) => Promise<CopiedTo>, { cluster: CLUSTER, operation: 'copy_test', from: 'main', to: 'mirror', by: 'a test', ...more });
  }

  function verify(vault: string, level: string): Promise<VerifyResult> {
    return activityEnvironment().run(activities().verifyBackup as (input: unknown) => Promise<VerifyResult>, { cluster: CLUSTER, operation: 'verify', backup: first.backupId, level, withoutKeys: false, by: 'a test', vault });
  }

  function prune(vault: string): Promise<PruneResult> {
    return activityEnvironment().run(activities().prune as (input: unknown) => Promise<PruneResult>, { cluster: CLUSTER, operation: 'prune_test', dryRun: false, vault });
  }

  function forget(vault: string, backup: string): Promise<ForgottenIn> {
    return activityEnvironment().run(activities().forgetBackup as (input: unknown) => Promise<ForgottenIn>, { cluster: CLUSTER, operation: 'forget_test', backup, vault, by: 'anna', why: 'Given up: anna asked to forget it.', approved: true });
  }

  function remember(vault: string, backup: string): Promise<ForgottenIn> {
    return activityEnvironment().run(activities().rememberBackup as (input: unknown) => Promise<ForgottenIn>, { cluster: CLUSTER, operation: 'forget_test', backup, vault });
  }

  /** As if all marks in a vault had been made eight days ago. */
  async function ageMarks(directory: string): Promise<void> {
    const old = new Date(Date.now() - 8 * DAY);
    for (const name of await names(directory, vaultPaths.tombstones(CLUSTER))) {
      const file = join(directory, name);
      await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), at: old.toISOString() }));
      await utimes(file, old, old);
    }
  }

  async function flip(file: string): Promise<void> {
    const content = await readFile(file);
    content[content.length >> 1]! ^= 1;
    await chmod(file, 0o600);
    await writeFile(file, content);
  }

  async function names(directory: string, prefix = `${CLUSTER}/`): Promise<string[]> {
    const vault = openDirectoryVault(directory);
    const found: string[] = [];
    for await (const { name } of vault.list(prefix)) if (!name.startsWith(vaultPaths.verdicts(CLUSTER))) found.push(name);
    return found;
  }

  /** Bytes of all objects of the cluster but verdicts. */
  async function sizes(directory: string): Promise<number> {
    let bytes = 0;
    for (const name of await names(directory)) bytes += (await stat(join(directory, name))).size;
    return bytes;
  }

  beforeEach(async () => {
    here = await scratchVault();
    await chmod(here.path, 0o700);
    copyDirectory = join(here.path, 'mirror');
    const passphrase = join(here.path, 'passphrase');
    await writeFile(passphrase, 'a passphrase of the tests', { mode: 0o600 });
    config = {
      stateDir: here.path, vaults: { main: { directory: here.directory }, mirror: { directory: copyDirectory } },
      clusters: { [CLUSTER]: { vault: 'main', copies: ['mirror'], retention: { hold: '7d' }, policy: { bandwidth: [] }, hosts: {}, encryption: encryptionSchema.parse({ passphrase: `file:${passphrase}` }) } },
    } as unknown as Config;
    tree = makeRegistryTree({ layout: 'sha256', seed: 7, repositories: 2, layerBytes: 20_000 });
    first = await seal();
    assert.ok(first.segments.length > 2, 'several segments');
  });
  afterEach(() => here.remove());

  it('hold the same names and the same bytes, with a verdict of their own, and cost nothing the second time', async () => {
    const done = await copy();
    assert.deepEqual([done.copied, done.findings, done.leftOut], [[first.backupId], [], []]);
    assert.deepEqual(await names(copyDirectory), await names(here.directory));
    for (const name of await names(here.directory)) assert.ok((await readFile(source(name))).equals(await readFile(copied(name))), name);
    const verdicts = await readVerdicts(openDirectoryVault(copyDirectory), CLUSTER, first.backupId);
    assert.deepEqual(verdicts.get(first.backupId)?.map(({ level, result, by }) => [level, result, by]), [['L0', 'good', 'a test']]);
    assert.equal((await readVerdicts(here.vault, CLUSTER)).size, 0, 'and none in the first vault');
    assert.equal((await verify('mirror', 'L4')).result, 'good');
    const again = await copy();
    assert.deepEqual([again.copied, again.already, again.objects, again.bytes], [[], 1, 0, 0]);
  });

  it('catch up by themselves: every backup that they lack, the newest complete one first', async () => {
    const second = await seal({ startedAt: '2026-11-24T02:00:00.000Z' });
    const third = await seal({ startedAt: '2026-11-25T02:00:00.000Z' });
    assert.deepEqual((await copy()).copied, [third.backupId, second.backupId, first.backupId]);
  });

  it('go on after a worker that was killed at any step, seal nothing early, and move nothing twice that was read back', async () => {
    const deps = { config, configPath: 'drydock.yaml', namespace: 'default', client: {} as Client };
    const all = (await names(here.directory)).length;
    for (let step = 0, ended = false; !ended; step += 1) {
      await rm(copyDirectory, { recursive: true, force: true });
      // As if it had never been used here: what was used and is gone would be refused.
      await rm(join(here.path, 'vaults'), { recursive: true, force: true });
      const from = openCluster(deps, CLUSTER);
      const to = openCluster(deps, CLUSTER, undefined, 'mirror');
      await to.vault.check();
      const dying = Object.create(to, { vault: { value: killedAfter(to.vault, step) } }) as Cluster;
      ended = await activityEnvironment().run(() => copyBackups(from, dying, { by: 'a test' }, new Progress('copy'))).then(() => true, (error: unknown) => {
        if (error instanceof Killed) return false;
        throw error;
      });
      const left = await names(copyDirectory);
      const indexes = left.filter((name) => name.endsWith('.index'));
      assert.equal(left.includes(manifestOf(first.backupId)), left.length === all, `step ${step}: the manifest is last`);
      // Bytes behind an index were read back; those of the others may be anything.
      for (const name of left.filter((each) => each.endsWith('.tar.gpg') && !indexes.includes(each.replace('.tar.gpg', '.index')))) await flip(copied(name));
      const done = await copy();
      assert.deepEqual(done.findings, [], `step ${step}`);
      assert.ok(done.objects <= all - 2 * indexes.length, `step ${step}: ${done.objects} objects moved, ${indexes.length} segments were whole`);
      for (const name of await names(here.directory)) assert.ok((await readFile(source(name))).equals(await readFile(copied(name))), `step ${step}: ${name}`);
    }
  });

  it('are not sealed on a damaged segment: it is named, and the other backups are copied', async () => {
    const other = makeRegistryTree({ layout: 'sha256', seed: 8, repositories: 1, layerBytes: 20_000 });
    const second = await seal({ tree: other, startedAt: '2026-11-24T02:00:00.000Z' });
    const { segment } = first.segments[0]!;
    await flip(source(vaultPaths.segment(CLUSTER, segment)));
    const done = await copy();
    assert.deepEqual(done.copied, [second.backupId]);
    assert.deepEqual(done.findings.map(({ backupId, segment: of, vault, intactIn }) => ({ backupId, of, vault, intactIn })), [{ backupId: first.backupId, of: segment, vault: 'main', intactIn: null }]);
    assert.match(done.findings[0]!.what, /is damaged: its SHA-256 is not the one recorded/);
    assert.deepEqual(done.leftOut.map(({ id }) => id), [first.backupId]);
    assert.ok(!(await names(copyDirectory)).some((name) => name.includes(`${segment}.`)), 'no byte of it is in the copy');
  });

  it('are not sealed on damaged artifacts or checksums either', async () => {
    await flip(source(first.artifacts.tags.name));
    const sums = vaultPaths.artifact(CLUSTER, first.backupId, 'SHA256SUMS');
    await writeFile(source(sums), (await readFile(source(sums), 'utf8')).replace(/^[0-9a-f]/, (digit) => (digit === '0' ? '1' : '0')));
    const done = await copy();
    assert.deepEqual([done.copied, done.findings.map(({ file }) => file)], [[], [first.artifacts.tags.name, sums]]);
  });

  it('hold guide and checksums to the manifest', async () => {
    const [sums, guide] = ['SHA256SUMS', 'RESTORE.md'].map((name) => vaultPaths.artifact(CLUSTER, first.backupId, name)) as [string, string];
    const digest = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex');
    const content = await readFile(source(sums), 'utf8');
    await writeFile(source(sums), content.replace(digest(await readFile(source(guide))), digest('other\n')));
    await writeFile(source(guide), 'other\n');
    const done = await copy();
    assert.deepEqual([done.copied, done.findings.map(({ file }) => file)], [[], [guide, sums]]);
  });

  it('name a backup without its checksums, or with a manifest of an unknown form, and go on with the others', async () => {
    const second = await seal({ startedAt: '2026-11-24T02:00:00.000Z' });
    const third = await seal({ startedAt: '2026-11-25T02:00:00.000Z' });
    const sums = vaultPaths.artifact(CLUSTER, third.backupId, 'SHA256SUMS');
    await rm(source(sums));
    const odd = source(manifestOf(second.backupId));
    await chmod(odd, 0o600);
    await writeFile(odd, JSON.stringify({ ...(JSON.parse(await readFile(odd, 'utf8')) as object), counts: 'many' }));
    const done = await copy();
    assert.deepEqual(done.copied, [first.backupId]);
    assert.deepEqual(done.findings.map(({ backupId, file, vault }) => [backupId, file, vault]), [[third.backupId, sums, 'main'], [second.backupId, manifestOf(second.backupId), 'main']]);
    assert.deepEqual(done.leftOut.map(({ id }) => id), [third.backupId, second.backupId]);
  });

  /** A copy into a vault that does something of its own when an object is written. */
  async function copyInto(change: (to: Vault, key: 'put' | 'upload', name: string) => Promise<void>): Promise<CopiedTo> {
    const deps = { config, configPath: 'drydock.yaml', namespace: 'default', client: {} as Client };
    const to = openCluster(deps, CLUSTER, undefined, 'mirror');
    const { vault } = to;
    const changed = Object.assign(Object.create(vault) as Vault, {
      put: async (name: string, content: Buffer | string) => (await change(vault, 'put', name), vault.put(name, content)),
      upload: async (name: string) => (await change(vault, 'upload', name), vault.upload(name)),
    });
    const cluster = Object.create(to, { vault: { value: changed } }) as Cluster;
    return activityEnvironment().run(() => copyBackups(openCluster(deps, CLUSTER), cluster, { by: 'a test' }, new Progress('copy')));
  }

  it('never call the first vault damaged for what they themselves refuse', async () => {
    const refusal = async (kind: 'NotFound' | 'Refused'): Promise<unknown> => copyInto(async (_, key, name) => {
      if (key === 'upload' && name.endsWith('.tar.gpg')) throw new DrydockError(kind, `no place for ${name}`);
    }).then(({ findings }) => findings, (error: unknown) => error instanceof DrydockError && error.kind);
    assert.deepEqual([await refusal('NotFound'), await refusal('Refused')], ['NotFound', 'Refused']);
  });

  it('are forgotten as well when that was asked for while they were being sealed', async () => {
    const mark = { format: 1, id: first.backupId, kind: 'backup', at: '2026-11-25T02:00:00.000Z', by: 'forget', why: 'Wrong.', forgotten: { by: 'anna', approved: true } };
    const name = vaultPaths.tombstone(CLUSTER, first.backupId, '20261125T020000Z');
    const done = await copyInto(async (_, key, written) => {
      if (key === 'put' && written === manifestOf(first.backupId)) await here.vault.put(name, JSON.stringify(mark));
    });
    assert.deepEqual([done.copied, await names(copyDirectory, vaultPaths.tombstones(CLUSTER))], [[first.backupId], [name]]);
  });

  it('are verified by the next run when one was killed behind the seal', async () => {
    await copy();
    await rm(join(copyDirectory, vaultPaths.verdicts(CLUSTER)), { recursive: true });
    for (const run of ['first', 'second']) {
      const done = await copy();
      assert.deepEqual([done.copied, done.objects, done.findings], [[], 0, []], run);
      const verdicts = (await readVerdicts(openDirectoryVault(copyDirectory), CLUSTER, first.backupId)).get(first.backupId);
      assert.deepEqual(verdicts?.map(({ level, result }) => [level, result]), [['L0', 'good']], run);
    }
  });

  it('are named where they hold intact what the first vault has lost, by a copy and by a verification', async () => {
    await copy();
    const [one, two] = first.segments.map(({ segment }) => vaultPaths.segment(CLUSTER, segment));
    await rm(source(one!));
    const { findings } = await copy();
    assert.deepEqual(findings.map(({ file, vault, intactIn }) => [file, vault, intactIn]), [[one, 'main', 'mirror']]);
    await flip(source(two!));
    const verified = await verify('main', 'L3');
    const held = new Map(verified.findings.map(({ file, intactIn }) => [file, intactIn]));
    assert.deepEqual([held.get(one!), held.get(two!)], ['mirror', 'mirror']);
  });

  it('get back what was lost in them, and are left alone with a finding where they are damaged', async () => {
    await copy();
    const [one, two] = first.segments.map(({ segment }) => vaultPaths.segment(CLUSTER, segment));
    await rm(copied(one!));
    await writeFile(copied(two!), 'cut');
    const done = await copy();
    assert.ok((await readFile(copied(one!))).equals(await readFile(source(one!))));
    assert.deepEqual(done.findings.map(({ file, vault, intactIn }) => [file, vault, intactIn]), [[two, 'mirror', 'main']]);
    assert.equal(await readFile(copied(two!), 'utf8'), 'cut');
    const guide = vaultPaths.artifact(CLUSTER, first.backupId, 'RESTORE.md');
    await rm(copied(guide));
    const later = await copy();
    assert.deepEqual([later.notes, await readFile(copied(guide), 'utf8')], [[`${guide} was gone from mirror and is there again.`], await readFile(source(guide), 'utf8')]);
  });

  it('fill the first vault again when that is lost, and a person said that there is a new one', async () => {
    await copy();
    await rename(here.directory, `${here.directory}.lost`);
    await assert.rejects(copy({ from: 'mirror', to: 'main' }), /the vault "main" .* is not there: it has no vault\.json/);
    await assert.rejects(copy(), /the vault "main" .* is not there/, 'nothing is copied from a missing mount, which is not success');
    await assert.rejects(stat(here.directory), { code: 'ENOENT' });
    await here.vault.check();
    await rememberVault({ vault: here.vault, name: 'main', stateDir: config.stateDir }, (await vaultId(here.vault))!);
    assert.deepEqual((await copy({ from: 'mirror', to: 'main' })).copied, [first.backupId]);
    assert.equal((await verify('main', 'L4')).result, 'good');
  });

  it('hold the mark of a restore, whichever of them it reads from, and lose it at its end', async () => {
    await copy();
    const { markUnfinished, markFinished } = activities();
    const step = { cluster: CLUSTER, operation: 'restore_test', vault: 'mirror', decisions: { ...PLAN.decisions, backupId: first.backupId } };
    const records = async (): Promise<number[]> => [(await names(copyDirectory, vaultPaths.operations(CLUSTER))).length, (await names(here.directory, vaultPaths.operations(CLUSTER))).length];
    await activityEnvironment().run(markUnfinished as (input: unknown) => Promise<void>, step);
    assert.deepEqual(await records(), [1, 1]);
    await activityEnvironment().run(markFinished as (input: unknown) => Promise<unknown>, step);
    assert.deepEqual(await records(), [0, 0]);
  });

  it('do not damage each other when two are made at once', async () => {
    await seal({ startedAt: '2026-11-24T02:00:00.000Z' });
    const done = await Promise.all([copy(), copy()]);
    assert.deepEqual(done.flatMap(({ findings }) => findings), []);
    assert.deepEqual(await names(copyDirectory), await names(here.directory));
    assert.equal((await verify('mirror', 'L3')).result, 'good');
  });

  it('leave out what is marked for removal, what `keep` gives up, and what the copy would give up at once', async () => {
    const second = await seal({ startedAt: '2026-11-24T02:00:00.000Z' });
    const mark = { format: 1, id: first.backupId, kind: 'backup', at: '2026-11-25T02:00:00.000Z', by: 'prune', why: 'Given up.' };
    await here.vault.put(vaultPaths.tombstone(CLUSTER, first.backupId, '20261125T020000Z'), JSON.stringify(mark));
    const done = await copy();
    assert.deepEqual([done.copied, done.leftOut], [[second.backupId], [{ id: first.backupId, why: 'it is given up' }]]);
    const third = await seal({ startedAt: '2026-11-25T02:00:00.000Z' });
    config.clusters[CLUSTER]!.keep = { last: 1 };
    const old = await seal({ startedAt: '2026-11-20T02:00:00.000Z' });
    const later = await copy();
    assert.deepEqual(later.copied, [third.backupId]);
    assert.deepEqual(later.leftOut.map(({ id }) => id).sort(), [old.backupId, first.backupId].sort());
    assert.deepEqual((await copy({ backup: old.backupId })).copied, [old.backupId], 'unless a person asks for it');
  });

  it('take the mark from a segment in the copy that a backup relies on again', async () => {
    await copy();
    const { segment } = first.segments[0]!;
    await rm(copied(manifestOf(first.backupId)));
    const copyVault = openDirectoryVault(copyDirectory);
    const mark = { format: 1, id: segment, kind: 'segment', at: '2026-11-25T02:00:00.000Z', by: 'prune', why: 'Given up.' };
    await copyVault.put(vaultPaths.tombstone(CLUSTER, segment, '20261125T020000Z'), JSON.stringify(mark));
    const done = await copy();
    assert.deepEqual([done.copied, done.objects], [[first.backupId], 0]);
    assert.deepEqual(await names(copyDirectory, vaultPaths.tombstones(CLUSTER)), []);
  });

  it('are pruned by the same `keep`, with marks of their own', async () => {
    const second = await seal({ startedAt: '2026-11-24T02:00:00.000Z' });
    await copy();
    config.clusters[CLUSTER]!.keep = { last: 1 };
    const marked = await prune('mirror');
    assert.deepEqual([marked.vault, marked.marked.backups], ['mirror', [first.backupId]]);
    assert.deepEqual(await names(here.directory, vaultPaths.tombstones(CLUSTER)), []);
    await ageMarks(copyDirectory);
    assert.deepEqual((await prune('mirror')).removed.backups, [first.backupId]);
    const after = await copy();
    assert.deepEqual([after.copied, after.leftOut.map(({ id }) => id)], [[], [first.backupId]], 'and it does not come back');
    assert.ok((await names(here.directory)).includes(manifestOf(second.backupId)));
  });

  it('go on counting where an attempt was cut off: what it brought is progress of this one, and its work is in the result', async () => {
    const second = await seal({ tree: makeRegistryTree({ layout: 'sha256', seed: 8, repositories: 1, layerBytes: 20_000 }), startedAt: '2026-11-24T02:00:00.000Z' });
    const deps = { config, configPath: 'drydock.yaml', namespace: 'default', client: {} as Client };
    const all = await names(here.directory);
    const attempt = async (vault: (to: Vault) => Vault, heartbeat?: Heartbeat): Promise<{ beats: Heartbeat[]; done: CopiedTo | null }> => {
      const beats: Heartbeat[] = [];
      const environment = new MockActivityEnvironment({ attempt: heartbeat ? 2 : 1, heartbeatDetails: heartbeat });
      environment.on('heartbeat', (beat: Heartbeat) => beats.push(beat));
      const to = openCluster(deps, CLUSTER, undefined, 'mirror');
      await to.vault.check();
      const target = Object.create(to, { vault: { value: vault(to.vault) } }) as Cluster;
      const work = (): Promise<CopiedTo> => copyBackups(openCluster(deps, CLUSTER), target, { by: 'a test' }, new Progress('copy'));
      const done = await environment.run<[], CopiedTo, typeof work>(work).catch((error: unknown) => {
        if (error instanceof Killed) return null;
        throw error;
      });
      return { beats: beats.filter(({ phase }) => phase === 'copying to mirror'), done };
    };
    // The second backup is sealed, and its verdict and a part of the first are there.
    const cut = await attempt((to) => killedAfter(to, (second.segments.length + 5) * 2 + 6));
    assert.equal(cut.done, null);
    assert.ok((await names(copyDirectory)).includes(manifestOf(second.backupId)));
    const whole = cut.beats[0]!;
    assert.deepEqual([whole.bytesDone, whole.itemsDone, whole.itemsTotal], [0, 0, 2]);
    const there = await sizes(copyDirectory);
    const { beats, done } = await attempt((to) => to, cut.beats.at(-1));
    assert.deepEqual([beats[0]!.bytesTotal, beats[0]!.bytesDone, beats[0]!.itemsDone, beats[0]!.itemsTotal], [whole.bytesTotal, there, 1, 2]);
    assert.deepEqual([beats.at(-1)!.bytesDone, done!.copied, done!.already], [whole.bytesTotal, [second.backupId, first.backupId], 0]);
    // Manifests are put; the object that the cut was in may not have been told of any more.
    assert.ok([all.length - 2, all.length - 3].includes(done!.objects), `${done!.objects} of ${all.length}, none of them twice`);
    assert.deepEqual((await copy()).objects, 0);
  });

  it('are filled no faster than the cluster\'s bandwidth says', async () => {
    const bytes = await sizes(here.directory);
    config.clusters[CLUSTER]!.policy.bandwidth = [{ mibPerSecond: bytes / 2 ** 20 }];
    const began = performance.now();
    const done = await copy();
    const ms = performance.now() - began;
    assert.deepEqual([done.copied, done.findings], [[first.backupId], []]);
    // All of it takes a second, less what may pass at once and the manifest.
    assert.ok(ms > 600, `${ms} ms`);
  });

  it('leave out what a person forgot in them alone, also when it is long removed there, until that is taken back', async () => {
    const second = await seal({ startedAt: '2026-11-24T02:00:00.000Z' });
    await copy();
    await forget('mirror', first.backupId);
    await ageMarks(copyDirectory);
    assert.deepEqual((await prune('mirror')).removed.backups, [first.backupId]);
    const why = `it is forgotten in mirror; to have it there again: drydock forget ${first.backupId} --undo --vault mirror`;
    for (const more of [{}, { backup: first.backupId }]) {
      const done = await copy(more);
      assert.deepEqual([done.copied, done.leftOut], [[], [{ id: first.backupId, why }]]);
      await prune('mirror');
    }
    assert.equal((await names(copyDirectory, vaultPaths.tombstones(CLUSTER))).filter((name) => name.includes(first.backupId)).length, 1, 'the mark stays');
    const back = await remember('mirror', first.backupId);
    assert.deepEqual([back.state, back.note], ['lifted', 'It is removed from mirror already; the next copy brings it there again.']);
    assert.deepEqual((await copy()).copied, [first.backupId]);
    assert.equal((await verify('mirror', 'L4')).result, 'good');
    assert.ok((await names(here.directory)).includes(manifestOf(second.backupId)));
  });

  it('keep the mark of what was forgotten in them while the first vault cannot be looked into, and drop it when that has the backup no more', async () => {
    await copy();
    await forget('mirror', first.backupId);
    await ageMarks(copyDirectory);
    await rename(here.directory, `${here.directory}.away`);
    const marks = async (): Promise<number> => (await names(copyDirectory, vaultPaths.tombstones(CLUSTER))).filter((name) => name.includes(first.backupId)).length;
    assert.deepEqual((await prune('mirror')).removed.backups, [first.backupId]);
    assert.equal(await marks(), 1, 'a disk that is not mounted is no empty vault');
    await rename(`${here.directory}.away`, here.directory);
    await prune('mirror');
    assert.equal(await marks(), 1);
    await rm(source(manifestOf(first.backupId)));
    await prune('mirror');
    assert.deepEqual([await marks(), (await remember('mirror', first.backupId)).state], [0, 'absent']);
  });

  it('leave out what only a drill in the first vault holds, since their own retention knows of none and would give it up at once', async () => {
    const second = await seal({ startedAt: '2026-11-24T02:00:00.000Z' });
    const good = (id: string, more: object): Promise<unknown> => writeVerdict(here.vault, CLUSTER, {
      format: 1, backupId: id, level: 'L2', startedAt: second.startedAt, at: second.startedAt, by: 'a test', tool: { name: 'drydock', version: '0' }, withKeys: true, result: 'good', checked: { segments: 1, blobs: 1, bytes: 1, tags: 1 }, findings: 0, ...more,
    }, [], writeKeys);
    await good(first.backupId, { drill: true });
    await good(second.backupId, {});
    config.clusters[CLUSTER]!.keep = { last: 1 };
    const done = await copy();
    assert.deepEqual([done.copied, done.leftOut], [[second.backupId], [{ id: first.backupId, why: 'retention in the copy would give it up at once' }]]);
  });

  it('catch up after an outage of their server, and after connections that were cut', async () => {
    const sshd = await startSshd();
    try {
      const server = (port: number): VaultConfig => ({ sftp: sftpSchema.parse({ address: '127.0.0.1', port, user: 'root', key: `file:${sshd.keyFile}`, knownHosts: sshd.knownHosts, path: copyDirectory }) });
      config.vaults.mirror = server(await freePort());
      const down = await copy().then(() => null, (error: ApplicationFailure) => error);
      assert.ok(down && !down.nonRetryable, 'an outage is worth another try');
      config.vaults.mirror = server(sshd.port);
      const cut = copy().catch(() => null);
      while (!(await names(copyDirectory).catch(() => [])).some((name) => name.endsWith('.index'))) await new Promise((resolve) => setTimeout(resolve, 5));
      sshd.dropConnections();
      await cut;
      const second = await seal({ startedAt: '2026-11-24T02:00:00.000Z' });
      const done = await copy();
      assert.ok(done.copied.includes(second.backupId));
      assert.deepEqual([done.findings, (await copy()).objects], [[], 0]);
      for (const name of await names(here.directory)) assert.ok((await readFile(source(name))).equals(await readFile(copied(name))), name);
      assert.equal((await verify('mirror', 'L3')).result, 'good');
    } finally {
      await sshd.stop();
    }
  });

  it('are refused in the vault that they are copies of, under whatever name', async () => {
    config.vaults.mirror = { directory: here.directory };
    await assert.rejects(copy(), (error: ApplicationFailure) => error.type === 'Refused' && /one and the same vault/.test(error.message));
  });
});
