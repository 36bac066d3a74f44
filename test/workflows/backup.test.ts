import assert from 'node:assert/strict';
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { BackupResult } from '../../domain/contract';
import { FACTS, failure, playActivities, untilCancelled } from './fixtures/activities';
import { failureOf, newWorker, start, until, withRun } from './fixtures/harness';
import { temporal, unique } from '../helpers/temporal';

describe('workflow backup', function () {
  this.timeout(90_000);

  it('takes the metadata before the last image pass, and seals after the thaw', async () => {
    const { activities, calls } = playActivities();
    const result = await withRun('backup', activities, (run) => run.handle.result() as Promise<BackupResult>);
    assert.equal(result.status, 'complete');
    assert.match(result.backupId, /^\d{8}T\d{6}Z-[0-9a-f]{6}$/);
    assert.deepEqual(calls, ['readPolicy', 'checkBackup', 'copyImages', 'recordFreeze', 'freeze', 'takeMetadata', 'copyImages', 'deletionsSince', 'thaw', 'prove', 'seal', 'verifyBackup', 'cleanUp']);
  });

  it('thaws when the metadata fails, and says why the run failed', async () => {
    const { activities, calls } = playActivities({ takeMetadata: async () => { throw failure('BootstrapperFailed', 'no quorum'); } });
    const failed = await withRun('backup', activities, (run) => failureOf(run.handle.result()));
    assert.deepEqual(failed, { type: 'BootstrapperFailed', message: 'no quorum' });
    assert.ok(calls.includes('thaw'));
    assert.ok(!calls.includes('seal'));
  });

  it('fails with the sentence of the step that failed, where the UI shows it first', async () => {
    const { activities } = playActivities({ readPolicy: async () => { throw failure('InvalidInput', 'there is no cluster "c"'); } });
    const error = await withRun('backup', activities, (run) => run.handle.result().then(() => undefined, (reason: unknown) => reason));
    assert.ok(error instanceof WorkflowFailedError);
    assert.ok(error.cause instanceof ApplicationFailure);
    assert.deepEqual([error.cause.type, error.cause.message], ['InvalidInput', 'there is no cluster "c"']);
  });

  it('refuses an input that is no object in one sentence', async () => {
    const { activities, calls } = playActivities();
    const { client } = await temporal();
    const queue = unique('queue');
    const failed = await (await newWorker(queue, activities)).runUntil(() => failureOf(client.workflow.execute('backup', { workflowId: unique('backup'), taskQueue: queue, args: ['prod'] })));
    assert.deepEqual(failed, { type: 'InvalidInput', message: 'The input is not understood: expected one JSON object, for example {"cluster":"prod"}.' });
    assert.deepEqual(calls, []);
  });

  it('thaws when it is cancelled in the middle of a stream, and ends as cancelled', async () => {
    const { activities, calls } = playActivities({ takeMetadata: untilCancelled });
    await withRun('backup', activities, async (run) => {
      await until(async () => calls.includes('takeMetadata') || undefined, 'the metadata');
      await run.handle.cancel();
      assert.equal((await failureOf(run.handle.result())).type, 'Cancelled');
      assert.equal((await run.handle.describe()).status.name, 'CANCELLED');
    });
    assert.deepEqual(calls.slice(-2), ['thaw', 'cleanUp']);
  });

  it('goes on thawing while the registry does not answer', async () => {
    let tries = 0;
    const { activities } = playActivities({
      thaw: async () => {
        tries += 1;
        if (tries < 3) throw new Error('connection refused');
        return { putBack: ['onlinegc'], left: [] };
      },
    });
    const result = await withRun('backup', activities, (run) => run.handle.result() as Promise<BackupResult>);
    assert.equal(result.status, 'complete');
    assert.equal(tries, 3);
  });

  it('does metadata and second pass again when a collection ran during the freeze', async () => {
    let asked = 0;
    const { activities, calls } = playActivities({ deletionsSince: async () => ({ jobs: (asked += 1) === 1 ? ['onlinegc_blobs, done'] : [] }) });
    const result = await withRun('backup', activities, (run) => run.handle.result() as Promise<BackupResult>);
    assert.equal(calls.filter((name) => name === 'takeMetadata').length, 2);
    assert.match(result.warnings.join(' '), /onlinegc_blobs/);
  });

  it('stops doing it again after two times and lets the proof decide', async () => {
    const { activities, calls } = playActivities({ deletionsSince: async () => ({ jobs: ['gc'] }) });
    const result = await withRun('backup', activities, (run) => run.handle.result() as Promise<BackupResult>);
    assert.equal(calls.filter((name) => name === 'takeMetadata').length, 3);
    assert.match(result.warnings.join(' '), /kept running/);
  });

  it('takes the metadata again when the working files went with their worker', async () => {
    let asked = 0;
    const usual = playActivities().activities;
    const { activities, calls } = playActivities({
      prove: async (input) => {
        if ((asked += 1) === 1) throw failure('WorkLost', 'gone');
        return usual.prove(input);
      },
    });
    const result = await withRun('backup', activities, (run) => run.handle.result() as Promise<BackupResult>);
    assert.equal(result.status, 'complete');
    assert.equal(calls.filter((name) => name === 'thaw').length, 2);
  });

  it('leaves the images out where they are declared external, and says so', async () => {
    const { activities, calls } = playActivities({ checkBackup: async () => ({ ...FACTS, volume: null, storage: { kind: 'external', external: 'storage team' } }) });
    const result = await withRun('backup', activities, (run) => run.handle.result() as Promise<BackupResult>);
    assert.ok(!calls.includes('copyImages'));
    assert.match(result.warnings.join(' '), /not in this backup: storage team/);
  });

  it('refuses an unknown field of its input at once and touches nothing', async () => {
    const { activities, calls } = playActivities();
    const failed = await withRun('backup', activities, (run) => failureOf(run.handle.result()), { clutser: 'x' });
    assert.equal(failed.type, 'InvalidInput');
    assert.match(failed.message, /clutser/);
    assert.deepEqual(calls, []);
  });

  it('refuses a second operation on a cluster while one runs, and frees it when that one is terminated', async () => {
    const { activities, calls } = playActivities({ copyImages: untilCancelled });
    const queue = unique('queue');
    const { client } = await temporal();
    await (await newWorker(queue, activities)).runUntil(async () => {
      const first = await start('backup', queue);
      await until(async () => calls.includes('copyImages') || undefined, 'the first pass');
      const second = await client.workflow.start('backup', { workflowId: unique('backup'), taskQueue: queue, args: [{ cluster: first.cluster }] });
      const refused = await failureOf(second.result());
      assert.equal(refused.type, 'Locked');
      await first.handle.terminate('test');
      const third = await client.workflow.start('reconcile', { workflowId: unique('reconcile'), taskQueue: queue, args: [{ cluster: first.cluster }] });
      assert.deepEqual(await third.result(), { cluster: first.cluster, putBack: ['onlinegc'], left: [] });
    });
  });
});
