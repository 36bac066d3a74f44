import assert from 'node:assert/strict';
import type { WorkflowHandle } from '@temporalio/client';
import type { Activities } from '../../activities/contract';
import type { BackupResult } from '../../domain/contract';
import { temporal, unique } from '../helpers/temporal';
import { playActivities, POLICY, untilCancelled } from './fixtures/activities';
import { failureOf, newWorker, start, until } from './fixtures/harness';

const policy = async (): ReturnType<Activities['readPolicy']> => ({ ...POLICY, approvers: [], verify: 'off', prunes: true, vault: 'main', copies: ['mirror'] });

describe('copies that take long', function () {
  this.timeout(180_000);

  it('keep no backup from starting, and nothing is removed while they are being made', async () => {
    const { client } = await temporal();
    const queue = unique('queue');
    const { activities, calls } = playActivities({ readPolicy: policy, copyBackups: untilCancelled });
    const worker = await newWorker(queue, activities);
    await worker.runUntil(async () => {
      const copying = await start('copy', queue);
      await until(async () => calls.includes('copyBackups') || undefined, 'the copy');
      const { cluster } = copying;
      const again = (type: string) => client.workflow.start(type, { workflowId: unique(type), taskQueue: queue, args: [{ cluster }] });
      const backup = await ((await again('backup')).result() as Promise<BackupResult>);
      assert.deepEqual([backup.status, backup.warnings], ['complete', ['Copies and retention were left to the next backup: somebody copies or removes backups of this cluster right now.']]);
      for (const type of ['prune', 'copy']) assert.equal((await failureOf((await again(type)).result())).type, 'Locked', type);
      assert.ok(!calls.includes('prune'));
      await copying.handle.cancel();
      assert.equal((await failureOf(copying.handle.result())).type, 'Cancelled');
    });
  });

  /** Two backups of one cluster: the second is started while the first one fills its copy. */
  async function twoBackups(more: Partial<Activities>, work: (first: WorkflowHandle, second: WorkflowHandle, copiesEnd: () => void, calls: readonly string[]) => Promise<void>): Promise<void> {
    const { client } = await temporal();
    const queue = unique('queue');
    let copiesEnd = (): void => undefined;
    const ended = new Promise<void>((resolve) => (copiesEnd = resolve));
    const { activities, calls } = playActivities({
      readPolicy: policy,
      copyBackups: async ({ to }) => {
        await ended;
        return { vault: to, copied: [], already: 1, leftOut: [], objects: 0, bytes: 0, findingCount: 0, findings: [], notes: [] };
      },
      ...more,
    });
    await (await newWorker(queue, activities)).runUntil(async () => {
      const first = await start('backup', queue);
      await until(async () => calls.includes('copyBackups') || undefined, 'the copy');
      const second = await client.workflow.start('backup', { workflowId: unique('backup'), taskQueue: queue, args: [{ cluster: first.cluster }] });
      try {
        await work(first.handle, second, copiesEnd, calls);
      } finally {
        copiesEnd();
      }
    });
  }

  it('inside a backup keep the next backup from nothing, and retention follows them', async () => {
    await twoBackups({}, async (first, second, copiesEnd, calls) => {
      assert.deepEqual(((await second.result()) as BackupResult).warnings, ['Copies and retention were left to the next backup: somebody copies or removes backups of this cluster right now.']);
      copiesEnd();
      assert.deepEqual(((await first.result()) as BackupResult).warnings, []);
      assert.equal(calls.filter((name) => name === 'prune').length, 2, 'in the vault and in the copy');
    });
  });

  it('leave retention to the next backup when that is under way by the time they end', async () => {
    let checks = 0;
    let goOn = (): void => undefined;
    const usual = playActivities().activities;
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    await twoBackups({
      checkBackup: async (step) => {
        if ((checks += 1) > 1) await waiting;
        return usual.checkBackup(step);
      },
    }, async (first, second, copiesEnd, calls) => {
      try {
        await until(async () => checks > 1 || undefined, 'the second backup');
        copiesEnd();
        assert.deepEqual(((await first.result()) as BackupResult).warnings, ['Retention was left to the next backup: another operation of this cluster began while the copies were made.']);
        assert.equal(calls.includes('prune'), false);
      } finally {
        goOn();
      }
      await second.result();
    });
  });
});
