import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationMemo, RestoreResult } from '../../domain/contract';
import { rebuild } from '../../lab/cli/break';
import type { PushReport } from '../../lab/push/push';
import { temporal } from '../helpers/temporal';
import { until } from '../workflows/fixtures/harness';
import { Crew, resultOf } from './crew';

interface Shown {
  workflowId: string;
  status: string;
  stage: string;
  gate: { name: string; planDigest: string; question: string } | null;
  error: string | null;
}

describe('a restore of DTR 2.5.3 with a local volume', function () {
  this.timeout(400_000);
  let crew: Crew;
  let images: PushReport;
  let backupId: string;

  before(async () => {
    crew = await Crew.start('e2e-restore', '2.5.3');
    images = await crew.push(1);
    const backup = await crew.backup();
    backupId = backup.backupId;
    assert.equal(backup.status, 'complete');
  });
  after(async () => crew?.stop());

  async function launch(...args: string[]): Promise<string> {
    const { workflowId } = resultOf<{ workflowId: string }>(await crew.command('restore', 'lab', '--backup', 'latest', '--detach', '--json', ...args), 0);
    return workflowId;
  }

  async function show(workflowId: string): Promise<Shown> {
    return resultOf(await crew.command('show', workflowId, '--json'), 0);
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

  async function ended(workflowId: string): Promise<Shown> {
    return until(async () => {
      const shown = await show(workflowId);
      return shown.status === 'running' || shown.status === 'waiting' ? undefined : shown;
    }, `the end of ${workflowId}`, 240);
  }

  const vote = (workflowId: string, name: string, verb = 'approve') => crew.command(verb, workflowId, '--gate', name, '--by', 'operator', '--reason', 'test');

  it('is refused while the cluster is healthy', async () => {
    const shown = await ended(await launch());
    assert.equal(shown.status, 'failed');
    assert.match(shown.error ?? '', /healthy/);
  });

  it('is planned without force where an earlier one did not come to its end', async () => {
    const mark = path.join(crew.vault, 'lab', 'operations', 'unfinished-restore');
    await mkdir(path.dirname(mark), { recursive: true, mode: 0o700 });
    await writeFile(mark, '{}\n', { mode: 0o600 });
    const workflowId = await launch();
    await gate(workflowId, 'plan');
    await crew.command('cancel', workflowId);
    assert.equal((await ended(workflowId)).status, 'cancelled');
    await rm(mark);
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

  it('names the owners that the target UCP does not know', async () => {
    await crew.dtr.lab.ucp.api('DELETE', '/accounts/alice');
    const shown = await ended(await launch('--force'));
    assert.match(shown.error ?? '', /alice/);
    const accepted = await launch('--force', '--accept-missing-owners');
    await gate(accepted, 'plan');
    assert.equal((await crew.command('cancel', accepted)).code, 0);
    assert.equal((await ended(accepted)).status, 'cancelled');
  });

  it('brings everything back on a host that was rebuilt empty, with votes given while no worker was up', async () => {
    const { hostKey } = await rebuild(crew.dtr.lab, 'node-1', { images: true, trust: false });
    const [id] = crew.dtr.ids;
    const unknownKey = await ended(await launch('--accept-missing-owners'));
    assert.match(unknownKey.error ?? '', /host key/i);
    const { client } = await temporal();
    const handle = await client.workflow.start('restore', {
      workflowId: 'restore/lab/by-hand', taskQueue: 'drydock',
      args: [{ cluster: 'lab', backup: backupId, acceptMissingOwners: true, targets: [{ replicaId: id, node: 'node-1', hostKey }] }],
    });
    await gate(handle.workflowId, 'plan');
    await crew.killWorker('SIGKILL');
    const cast = await vote(handle.workflowId, 'plan');
    assert.equal(cast.code, 0, cast.stderr);
    await sleep(1000);
    await crew.startWorker();
    for (const name of ['destroy', 'release']) {
      await gate(handle.workflowId, name);
      assert.equal((await vote(handle.workflowId, name)).code, 0);
    }
    const result = (await handle.result()) as RestoreResult;
    assert.equal(result.status, 'restored');
    assert.ok((await crew.vaultFiles()).every((file) => !file.endsWith('unfinished-restore')));
    assert.ok(result.counts.pulled >= images.repositories.length);
    for (const { repository, tag, digest } of images.images) {
      const pulled = crew.dtr.pull(`${repository}@${digest}`, 'pulled');
      assert.equal(pulled.code, 0, `${repository}:${tag}: ${pulled.stderr}`);
    }
    assert.ok((await crew.crons()).some((cron) => cron.action === 'gc'));
  });
});
