import assert from 'node:assert/strict';
import type { Activities } from '../../activities/contract';
import type { BackupResult } from '../../domain/contract';
import { temporal, unique } from '../helpers/temporal';
import { playActivities, untilCancelled } from './fixtures/activities';
import { failureOf, newWorker, start, until } from './fixtures/harness';

const policy = async (): ReturnType<Activities['readPolicy']> => ({ approvers: [], releaseGate: true, verify: 'off', prunes: true, vault: 'main', copies: ['mirror'] });

describe('copies that take long', function () {
  this.timeout(90_000);

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
      for (const type of ['prune', 'copy']) assert.equal((await failureOf((await again(type)).result())).type, 'Conflict', type);
      assert.ok(!calls.includes('prune'));
      await copying.handle.cancel();
      assert.equal((await failureOf(copying.handle.result())).type, 'Cancelled');
    });
  });
});
