import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackupResult, OperationMemo, ReconcileResult, RestoreResult } from '../../domain/contract';
import type { Manifest } from '../../domain/manifest';
import type { PruneResult } from '../../domain/prune-result';
import { vaultPaths } from '../../domain/vault-format';
import type { VerifyResult } from '../../domain/verify';
import { HOST_FOLDER } from '../../store/changes/host-place';
import { rebuild } from '../../lab/cli/break';
import { bootstrapperImage } from '../../lab/contract';
import type { PushReport } from '../../lab/push/push';
import { leaveRecord, restoreRecord } from '../helpers/changes';
import { startSshd, type TestSshd } from '../helpers/sshd';
import { historyText, temporal } from '../helpers/temporal';
import { until } from '../workflows/fixtures/harness';
import { Crew, editConfig, resultOf } from './crew';
import { LockedBucket } from './locked-bucket';
import { kindOf, VaultRights } from './vault-rights';
import { segmentsOf } from '../../adapters/vault/segment-list';

/** As long as Temporal takes one, and all that an id may hold: a leading sign, what a shell or a terminal would act on, other scripts. */
const ODD_ID = longAs("-restore/lab/größer; $(touch /tmp/odd) 'it' \"is\" \u0007\t\\ ✓ ", 1000);
/** A step ends within half a minute of its cancel; the rest is for the start of what it had stopped, and for a busy machine. */
const STOPPED_SECONDS = 90;

function longAs(text: string, bytes: number): string {
  return text + 'x'.repeat(bytes - Buffer.byteLength(text));
}

/** Between the locks of what a manifest names and the manifest's own. */
const SEAL_MS = 60_000;

/** No record of a change anywhere. */
const NOWHERE = { vaults: [] as string[], host: [] as string[], worker: [] as string[] };
const PROBE = 'drydock-probe-0123456789ab';

interface Shown {
  workflowId: string;
  status: string;
  stage: string;
  gate: { name: string; planDigest: string; question: string; details: string } | null;
  error: string | null;
}

/** From the first backup to the restore: the vault is a locked bucket, and what is in it is copied to an SFTP server. */
describe('a restore of DTR 2.5.3 with a local volume, from a bucket in compliance mode', function () {
  this.timeout(400_000);
  let bucket: LockedBucket;
  let sshd: TestSshd;
  let crew: Crew;
  let images: PushReport;
  let first: BackupResult & { workflowId: string };
  let latest: BackupResult & { workflowId: string };
  let locksBefore: Map<string, number>;

  before(async () => {
    [bucket, sshd] = await Promise.all([LockedBucket.start(), startSshd()]);
    crew = await Crew.start('e2e-restore', '2.5.3', 1, 'local', {
      prepare: (dtr) => editConfig(dtr, ({ vaults, clusters }) => {
        vaults.mirror = { sftp: { address: '127.0.0.1', port: sshd.port, user: 'root', key: `file:${sshd.keyFile}`, knownHosts: sshd.knownHosts, path: dtr.lab.state.file('mirror') } };
        vaults.lab = { s3: bucket.settings };
        Object.assign(clusters.lab, { copies: ['mirror'], keep: { last: 1 } });
      }),
    });
    images = await crew.push(1);
    first = await crew.backup();
    locksBefore = await locksOf(first.backupId);
    latest = await crew.backup();
  });
  after(async () => {
    await crew?.stop();
    await bucket?.stop();
    await sshd?.stop();
  });

  const mirror = (): string => crew.dtr.lab.state.file('mirror');

  async function manifestOf(backupId: string): Promise<Manifest> {
    return JSON.parse((await bucket.vault.readAll(vaultPaths.manifest('lab', backupId), 1 << 20)).toString('utf8')) as Manifest;
  }

  /** Until when each object that a backup relies on is locked, in milliseconds. */
  async function locksOf(backupId: string): Promise<Map<string, number>> {
    const segments = await segmentsOf(bucket.vault, await manifestOf(backupId));
    const names = [...(await bucket.names(`${vaultPaths.backup('lab', backupId)}/`)), ...segments.flatMap(({ segment }) => [vaultPaths.segment('lab', segment), vaultPaths.segmentIndex('lab', segment)])];
    return new Map(await Promise.all(names.map(async (name): Promise<[string, number]> => [name, await bucket.lockedUntil(name)])));
  }

  async function launch(...args: string[]): Promise<string> {
    const { workflowId } = resultOf<{ workflowId: string }>(await crew.command('restore', 'lab', '--backup', 'latest', '--detach', '--json', ...args), 0);
    return workflowId;
  }

  async function show(workflowId: string): Promise<Shown> {
    return resultOf(await crew.command('show', '--json', '--', workflowId), 0);
  }

  function gate(workflowId: string, name: string): Promise<Shown> {
    return until(async () => {
      const { client } = await temporal();
      const run = await client.workflow.getHandle(workflowId).describe();
      if (run.status.name !== 'RUNNING') throw new Error(`ended before gate ${name}: ${(await show(workflowId)).error}`);
      const memo = run.memo?.drydock as OperationMemo | undefined;
      return memo?.gate?.name === name ? show(workflowId) : undefined;
    }, `gate ${name}`, 240);
  }

  /** Waits at the server: a command for each look would take the machine from what is waited for. */
  async function ended(workflowId: string): Promise<Shown> {
    const { client } = await temporal();
    await client.workflow.getHandle(workflowId).result().catch(() => undefined);
    return show(workflowId);
  }

  async function vote(workflowId: string, name: string, verb = 'approve') {
    const planDigest = (await show(workflowId)).gate?.planDigest ?? 'no gate is open';
    return crew.command(verb, '--gate', name, '--plan-digest', planDigest, '--by', 'operator', '--reason', 'test', '--', workflowId);
  }

  it('finds every object of each backup locked as long as the newest backup that relies on it', async () => {
    for (const { status, verified } of [first, latest]) assert.deepEqual([status, verified?.result], ['complete', 'good']);
    const [before, now] = [await segmentsOf(bucket.vault, await manifestOf(first.backupId)), await segmentsOf(bucket.vault, await manifestOf(latest.backupId))].map((segments) => segments.map(({ segment }) => segment));
    assert.deepEqual(now, before, 'nothing was pushed in between');
    const locks = await locksOf(latest.backupId);
    const manifestUntil = locks.get(vaultPaths.manifest('lab', latest.backupId))!;
    for (const [name, until] of locks) {
      assert.ok(until >= manifestUntil - SEAL_MS, `${name} is locked until ${new Date(until).toISOString()}`);
      if (name.includes('/segments/')) assert.ok(until > locksBefore.get(name)!, `${name} was not locked anew`);
    }
    const { client } = await temporal();
    const history = await historyText(client, latest.workflowId);
    assert.ok(history.includes(latest.backupId) && !history.includes(bucket.secret), 'the key of the bucket stands in a history');
  });

  it('finds the same in the copy on an SFTP server, which each backup has filled', async () => {
    assert.deepEqual([first, latest].map(({ backupId, copies }) => [copies?.[0]?.vault, copies?.[0]?.copied, copies?.[0]?.findingCount, backupId]), [first, latest].map(({ backupId }) => ['mirror', [backupId], 0, backupId]));
    for (const { backupId } of [first, latest]) {
      const sums = spawnSync('sha256sum', ['-c', '--quiet', 'SHA256SUMS'], { cwd: path.join(mirror(), vaultPaths.backup('lab', backupId)) });
      assert.equal(sums.status, 0, sums.stderr.toString());
    }
    const kept = (names: string[]): string[] => names.filter((name) => /\/(segments|backups)\//.test(name)).sort();
    assert.deepEqual(kept((await crew.vaultFiles(mirror())).map((file) => path.relative(mirror(), file))), kept(await bucket.names()));
  });

  it('leaves to retention what is given up: it goes from sight when its hold is over, and its bytes stay as long as they are locked', async () => {
    const folder = `${vaultPaths.backup('lab', first.backupId)}/`;
    const kept = await bucket.versions(folder);
    await bucket.ageMarks('lab', 8);
    const { removed, notes, copies = [] } = resultOf<PruneResult>(await crew.command('prune', 'lab', '--json'), 0);
    assert.deepEqual([removed.backups, removed.segments, notes], [[first.backupId], 0, []]);
    assert.deepEqual(copies.map(({ vault, removed: there }) => [vault, there.backups]), [['mirror', []]], 'its hold there is not over');
    assert.deepEqual(await bucket.names(folder), []);
    assert.equal(await bucket.versions(folder), kept);
    const verified = resultOf<VerifyResult>(await crew.command('verify', 'lab', '--level', 'L3', '--json'), 0);
    assert.deepEqual([verified.backupId, verified.result, verified.withKeys], [latest.backupId, 'good', true]);
  });

  it('is refused while the cluster is healthy', async () => {
    const shown = await ended(await launch());
    assert.equal(shown.status, 'failed');
    assert.match(shown.error ?? '', /healthy/);
  });

  it('is planned without force where an earlier one did not come to its end', async () => {
    const mark = await leaveRecord(bucket.vault, restoreRecord({ operation: 'restore_elsewhere' }));
    const workflowId = await launch();
    await gate(workflowId, 'plan');
    await crew.command('cancel', workflowId);
    assert.equal((await ended(workflowId)).status, 'cancelled');
    await bucket.vault.remove(mark);
  });

  it('from a backup that does not exist is refused', async () => {
    const { workflowId } = resultOf<{ workflowId: string }>(await crew.command('restore', 'lab', '--backup', '20200101T000000Z-abcdef', '--detach', '--json'), 0);
    assert.match((await ended(workflowId)).error ?? '', /20200101T000000Z-abcdef/);
  });

  it('that is rejected at the point of no return leaves the registry running as it was', async () => {
    const workflowId = await launch('--force');
    const plan = await gate(workflowId, 'plan');
    assert.match(plan.gate?.planDigest ?? '', /^[0-9a-f]{64}$/);
    assert.equal((await vote(workflowId, 'plan')).code, 0);
    await gate(workflowId, 'destroy');
    assert.notEqual((await vote(workflowId, 'plan', 'reject')).code, 0);
    assert.equal((await vote(workflowId, 'destroy', 'reject')).code, 0);
    assert.match((await ended(workflowId)).error ?? '', /rejected/);
    await until(async () => {
      const ping = await crew.dtr.api<{ Healthy: boolean }>('GET', '/_ping').catch(() => undefined);
      return ping?.status === 200 || undefined;
    }, 'the registry', 120);
  });

  describe('from vaults that can only be read', () => {
    let rights: VaultRights;

    before(async () => {
      rights = new VaultRights(crew, bucket, 'lab');
      rights.closeFolder(mirror());
      await rights.closeBucket();
    });
    after(() => rights?.unmount());

    const running = (): string => crew.dtr.on('node-1', 'docker ps --format {{.Names}} --filter name=dtr- | sort').stdout;

    /** Starts a restore and lets it stop the first container. */
    async function stopping(): Promise<{ workflowId: string; details: string }> {
      const before = running();
      const workflowId = await launch('--force');
      const details = (await gate(workflowId, 'plan')).gate?.details ?? '';
      assert.equal((await vote(workflowId, 'plan')).code, 0);
      await until(async () => (running() === before ? undefined : true), 'a container to be stopped', 120);
      return { workflowId, details };
    }

    /** The kinds of what is recorded as changed, in all places that there are. */
    async function recorded(): Promise<typeof NOWHERE> {
      const inMirror = (await crew.vaultFiles(mirror())).filter((file) => file.includes(`/${vaultPaths.operations('lab')}`));
      const worker = await readdir(crew.dtr.lab.state.file('drydock', 'changes', 'lab')).catch(() => []);
      const kinds = (names: string[]): string[] => names.map(kindOf).sort();
      return { vaults: kinds([...(await bucket.names(vaultPaths.operations('lab'))), ...inMirror]), host: kinds(rights.onHosts('node-1')), worker: kinds(worker) };
    }

    it('that is cancelled while it stops the replica has started everything again when it ends', async () => {
      const before = running();
      const { workflowId, details } = await stopping();
      assert.match(details, /vault lab takes no record of what this restore changes: .*permission denied \(AccessDenied\)/);
      assert.match(details, /vault mirror takes no record of what this restore changes: /);
      assert.match(details, /no vault of the cluster takes a record: it is kept on node-1 and in this worker's stateDir/);
      assert.deepEqual(await recorded(), { vaults: [], host: ['stop'], worker: ['stop'] });
      const cancelled = Date.now();
      assert.equal((await crew.command('cancel', workflowId)).code, 0);
      const { status } = await ended(workflowId);
      const took = (Date.now() - cancelled) / 1000;
      assert.equal(status, 'cancelled');
      assert.equal(running(), before);
      assert.ok(took < STOPPED_SECONDS, `it took ${took} s`);
      assert.deepEqual(await recorded(), NOWHERE);
    });

    it('that is terminated while it stops the replica is put back by reconcile from the record on the host alone, with what it has left in the engine', async () => {
      const before = running();
      const { workflowId } = await stopping();
      const { client } = await temporal();
      await client.workflow.getHandle(workflowId).terminate('lost');
      await crew.killWorker('SIGTERM');
      // As a restore that died further on leaves it: the container that holds a mount, and the volume with which a plan tried one.
      const left = crew.dtr.on('node-1', `docker volume create ${PROBE} && docker run -d --name dead-hold --label drydock.operation=dead --label drydock.cluster=lab --entrypoint sleep ${bootstrapperImage('2.5.3')} 3600`);
      assert.equal(left.code, 0, left.stderr);
      const stateDir = crew.dtr.lab.state.file('drydock');
      await rename(stateDir, `${stateDir}.lost`);
      await crew.startWorker();
      assert.notEqual(running(), before);
      const { putBack, left: stays } = resultOf<ReconcileResult>(await crew.command('reconcile', 'lab', '--json'), 0);
      assert.deepEqual([putBack.length, stays], [3, []], `${putBack.join('; ')}; ${stays.join('; ')}`);
      assert.match(putBack[0]!, /^the containers of replica [0-9a-f]{12} on node-1, which restore_.* had stopped, were started$/);
      assert.deepEqual(putBack.slice(1), ['the container node-1/dead-hold of dead was removed', `the volume node-1/${PROBE}, with which a mount was tried, was removed`]);
      assert.equal(running(), before);
      assert.equal(crew.dtr.on('node-1', `docker ps -aq --filter name=dead-hold; docker volume ls -q --filter name=${PROBE}`).stdout, '');

      // The first worker's stateDir may come back and hold the record still: until then a word on its end stays.
      assert.match(crew.dtr.on('node-1', `cat ${HOST_FOLDER}/lab/stop-*`).stdout, /^[^\n]*"state":"ended"[^\n]*\n$/);
      await crew.killWorker('SIGTERM');
      await rm(stateDir, { recursive: true });
      await rename(`${stateDir}.lost`, stateDir);
      await crew.startWorker();
      assert.deepEqual(resultOf<ReconcileResult>(await crew.command('reconcile', 'lab', '--json'), 0).putBack, []);
      assert.deepEqual(await recorded(), NOWHERE);
    });

    it('names the owners that the target UCP does not know, and is planned from the copy as well', async () => {
      await crew.dtr.lab.ucp.api('DELETE', '/accounts/alice');
      const shown = await ended(await launch('--force'));
      assert.match(shown.error ?? '', /alice/);
      const accepted = await launch('--force', '--accept-missing-owners', '--vault', 'mirror');
      assert.match((await gate(accepted, 'plan')).gate?.details ?? '', /read from the vault `mirror`/);
      assert.equal((await crew.command('cancel', accepted)).code, 0);
      assert.equal((await ended(accepted)).status, 'cancelled');
    });

    it('brings everything back on a host that was rebuilt empty, with votes given while no worker was up, under the longest and oddest of ids', async () => {
      const { hostKey } = await rebuild(crew.dtr.lab, 'node-1', { images: true, trust: false });
      const [id] = crew.dtr.ids;
      const unknownKey = await ended(await launch('--accept-missing-owners'));
      assert.match(unknownKey.error ?? '', /host key/i);
      const { client } = await temporal();
      const handle = await client.workflow.start('restore', {
        workflowId: ODD_ID, taskQueue: 'drydock',
        args: [{ cluster: 'lab', backup: latest.backupId, acceptMissingOwners: true, targets: [{ replicaId: id, node: 'node-1', hostKey }] }],
      });
      await gate(handle.workflowId, 'plan');
      await crew.killWorker('SIGKILL');
      const cast = await vote(handle.workflowId, 'plan');
      assert.equal(cast.code, 0, cast.stderr);
      await sleep(1000);
      await crew.startWorker();
      await gate(handle.workflowId, 'destroy');
      assert.equal((await vote(handle.workflowId, 'destroy')).code, 0);
      await gate(handle.workflowId, 'release');
      assert.deepEqual(await recorded(), { vaults: [], host: ['hold', 'restore'], worker: ['hold', 'restore'] });
      assert.equal((await vote(handle.workflowId, 'release')).code, 0);
      const result = (await handle.result()) as RestoreResult;
      assert.equal(result.status, 'restored');
      for (const isMade of [existsSync('/tmp/odd'), crew.dtr.on('node-1', 'test -e /tmp/odd').code === 0]) assert.equal(isMade, false, 'a shell has acted on the id');
      assert.deepEqual(await recorded(), NOWHERE);
      assert.ok(result.counts.pulled >= images.repositories.length);
      for (const { repository, tag, digest } of images.images) {
        const pulled = crew.dtr.pull(`${repository}@${digest}`, 'pulled');
        assert.equal(pulled.code, 0, `${repository}:${tag}: ${pulled.stderr}`);
      }
      assert.ok((await crew.crons()).some((cron) => cron.action === 'gc'));
    });
  });
});
