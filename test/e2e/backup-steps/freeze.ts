/** Deletion frozen and thawed. */
import assert from 'node:assert/strict';
import { waitFor } from '../../../lab/hosts/process';
import { activityEnvironment } from '../../helpers/backup-run';
import type { BackupScene } from './scene';

export function freeze(scene: BackupScene): void {
  describe('the freeze of deletion', () => {
    it('switches off the crons that delete and no other, and puts back exactly those', async () => {
      const before = await scene.crons();
      const run = scene.newRun();
      await run.freeze();
      assert.deepEqual(await scene.crons(), before.filter(({ action }) => action !== scene.gc));
      assert.deepEqual(scene.records(), [`${run.record.id}.2.json`]);
      const thawed = await run.run('thaw', { record: run.record });
      assert.deepEqual(thawed, { putBack: [scene.gc], left: [] });
      assert.deepEqual(await scene.crons(), before);
      assert.deepEqual(await run.run('thaw', { record: run.record }), { putBack: [], left: [] });
      assert.deepEqual(scene.records(), []);
    });

    it('leaves a cron that someone set meanwhile, and says so', async () => {
      const before = (await scene.crons()).find(({ action }) => action === scene.gc)!;
      const run = scene.newRun();
      await run.freeze();
      await scene.dtr.api('POST', '/api/v0/crons', { ...before, schedule: '0 30 4 * * 0' });
      const { putBack, left } = await run.run('thaw', { record: run.record });
      assert.deepEqual(putBack, []);
      assert.match(left.join(), /0 30 4 \* \* 0/);
      assert.equal((await scene.crons()).find(({ action }) => action === scene.gc)?.schedule, '0 30 4 * * 0');
      await scene.dtr.api('DELETE', `/api/v0/crons/${scene.gc}`);
      await scene.dtr.api('POST', '/api/v0/crons', { ...before });
    });

    it('puts back first what a dead operation left, and records its crons, not an empty list', async () => {
      const dead = scene.newRun();
      await dead.freeze();
      const run = scene.newRun();
      const { record: first, warnings } = await run.run('recordFreeze', {});
      assert.deepEqual(first.crons.map(({ action }) => action), [scene.gc]);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0]!, new RegExp(`switched off .* the operation ${dead.step.operation} .* ${scene.gc}\\.$`));
      assert.deepEqual(scene.records(), [`${first.id}.1.json`]);
      const second = activityEnvironment(2);
      await run.run('freeze', { record: (await run.run('recordFreeze', {}, second)).record });
      assert.deepEqual((await run.run('recordFreeze', {}, activityEnvironment(3))).record.crons.map(({ action }) => action), [scene.gc]);
      assert.deepEqual((await run.run('thaw', { record: first })).putBack, [scene.gc]);
    });

    it('notices a collection that was started by hand, and no other job', async () => {
      const run = scene.newRun();
      await run.check();
      const since = await run.freeze();
      assert.deepEqual(await run.run('deletionsSince', { facts: run.facts, since }), { jobs: [] });
      const { body } = await scene.dtr.api<{ id: string }>('POST', '/api/v0/jobs', { action: scene.gc, parameters: {} });
      const { jobs } = await run.run('deletionsSince', { facts: run.facts, since });
      assert.equal(jobs.length, 1);
      assert.match(jobs[0]!, new RegExp(`${scene.gc} \\(job ${body.id}, done`));
      await run.run('thaw', { record: run.record });
      await waitFor('the registry to be writable', 30, async () => (await scene.dtr.api<{ readOnlyRegistry?: boolean }>('GET', '/api/v0/meta/settings')).body.readOnlyRegistry !== true);
    });
  });
}
