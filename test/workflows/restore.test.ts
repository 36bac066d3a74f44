import assert from 'node:assert/strict';
import type { RestoreResult } from '../../domain/contract';
import { failure, PLAN, playActivities } from './fixtures/activities';
import { failureOf, newWorker, start, until, withRun } from './fixtures/harness';
import { temporal, unique } from '../helpers/temporal';

describe('workflow restore', function () {
  this.timeout(90_000);

  it('goes through its gates in order and changes nothing before the first', async () => {
    const { activities, calls } = playActivities();
    await withRun('restore', activities, async (run) => {
      await run.gate('plan');
      assert.deepEqual(calls, ['readPolicy', 'diagnose', 'planRestore']);
      await run.decide({});
      const destroy = await run.gate('destroy');
      assert.match(destroy.question, /POINT OF NO RETURN.*node-3/);
      assert.equal(calls.at(-1), 'stopReplica');
      await run.decide({});
      await run.gate('release');
      assert.ok(calls.indexOf('setReadOnly') < calls.indexOf('confirmRestore'));
      await run.decide({});
      const result = (await run.handle.result()) as RestoreResult;
      assert.deepEqual(result.replicas.map((replica) => replica.node), ['node-1', 'node-2']);
    });
    assert.deepEqual(calls.slice(calls.indexOf('markUnfinished')), [
      'markUnfinished', 'fenceNode', 'destroyReplica', 'restoreImages', 'restoreMetadata', 'waitHealthy', 'setReadOnly', 'confirmRestore', 'joinReplica', 'waitHealthy', 'setReadOnly', 'restoreCrons', 'markFinished', 'reportReturned',
    ]);
  });

  it('answers a vote that cannot count with a sentence, and stays at its gate', async () => {
    const { activities } = playActivities();
    await withRun('restore', activities, async (run) => {
      await run.gate('plan');
      assert.match((await failureOf(run.decide({ gate: 'destroy' }))).message, /"destroy" is not open; the run waits at "plan"/);
      assert.match((await failureOf(run.decide({ planDigest: 'f'.repeat(64) }))).message, /another plan/);
      assert.match((await failureOf(run.decide({ by: ' ' }))).message, /Nobody is named/);
      assert.match((await failureOf(run.decide({ by: 'mallory' }))).message, /not an approver.*operator, second/);
      assert.match((await failureOf(run.decide({ decision: 'reject', reason: '' }))).message, /needs a reason/);
      assert.equal((await run.state()).gate?.name, 'plan');
    });
  });

  it('takes the same vote again as success', async () => {
    const { activities } = playActivities();
    await withRun('restore', activities, async (run) => {
      const plan = await run.gate('plan');
      const vote = { gate: 'plan', by: 'second', planDigest: plan.planDigest };
      await run.decide(vote);
      await run.gate('destroy');
      assert.match((await run.decide(vote)).message, /already/);
      assert.equal((await run.state()).gate?.name, 'destroy');
    });
  });

  it('ends as rejected when the plan is rejected, with nothing changed', async () => {
    const { activities, calls } = playActivities();
    const failed = await withRun('restore', activities, async (run) => {
      await run.gate('plan');
      await run.decide({ decision: 'reject', reason: 'wrong backup' });
      return failureOf(run.handle.result());
    });
    assert.equal(failed.type, 'Rejected');
    assert.match(failed.message, /operator rejected.*wrong backup/);
    assert.ok(!calls.includes('stopReplica'));
  });

  it('starts the containers again when the point of no return is rejected', async () => {
    const { activities, calls } = playActivities();
    await withRun('restore', activities, async (run) => {
      await run.gate('plan');
      await run.decide({});
      await run.gate('destroy');
      await run.decide({ decision: 'reject', reason: 'not yet' });
      await failureOf(run.handle.result());
    });
    assert.deepEqual(calls.slice(-2), ['stopReplica', 'startReplica']);
  });

  it('starts the containers again when it is cancelled at the point of no return', async () => {
    const { activities, calls } = playActivities();
    await withRun('restore', activities, async (run) => {
      await run.gate('plan');
      await run.decide({});
      await run.gate('destroy');
      await run.handle.cancel();
      assert.equal((await failureOf(run.handle.result())).type, 'Cancelled');
    });
    assert.equal(calls.at(-1), 'startReplica');
  });

  it('puts a changed plan to people again', async () => {
    let made = 0;
    const { activities } = playActivities({ planRestore: async () => ({ ...PLAN, digest: ((made += 1) === 1 ? '1' : '2').repeat(64) }) });
    await withRun('restore', activities, async (run) => {
      await run.gate('plan');
      await run.decide({});
      const again = await until(async () => ((await run.state()).gate?.planDigest === '2'.repeat(64) ? (await run.state()).gate ?? undefined : undefined), 'the new plan');
      assert.equal(again.name, 'plan');
      await run.decide({});
      await run.gate('destroy');
    });
  });

  it('takes a vote by signal while no worker is up, and goes on when one comes', async () => {
    const { activities } = playActivities();
    const queue = unique('queue');
    const run = await (await newWorker(queue, activities)).runUntil(async () => {
      const started = await start('restore', queue);
      await started.gate('plan');
      return started;
    });
    // No worker is up now; the memo says what is waited for.
    const gate = await run.gate('plan');
    await run.handle.signal('decide', { gate: 'plan', decision: 'approve', by: 'operator', planDigest: 'wrong' });
    await run.handle.signal('decide', { gate: 'plan', decision: 'approve', by: 'operator', planDigest: gate.planDigest });
    await (await newWorker(queue, activities)).runUntil(async () => {
      await run.gate('destroy');
      const { votes } = await run.state();
      assert.deepEqual(votes.map((vote) => vote.counted), [false, true]);
      assert.match(votes[0]!.note ?? '', /another plan/);
    });
  });

  it('fails with the sentence of a refused plan before any gate', async () => {
    const { activities } = playActivities({ planRestore: async () => { throw failure('Refused', 'the cluster is healthy'); } });
    const failed = await withRun('restore', activities, (run) => failureOf(run.handle.result()));
    assert.deepEqual(failed, { type: 'Refused', message: 'the cluster is healthy' });
  });

  it('leaves collection off and says so when the release is rejected', async () => {
    const { activities, calls } = playActivities();
    const result = await withRun('restore', activities, async (run) => {
      for (const name of ['plan', 'destroy']) {
        await run.gate(name);
        await run.decide({});
      }
      await run.gate('release');
      await run.decide({ decision: 'reject', reason: 'salvage first' });
      return (await run.handle.result()) as RestoreResult;
    });
    assert.ok(!calls.includes('restoreCrons'));
    assert.match(result.warnings.join(' '), /stay off.*salvage first/);
  });

  it('refuses a wrong replica id in its targets, naming the field', async () => {
    const { activities } = playActivities();
    const failed = await withRun('restore', activities, (run) => failureOf(run.handle.result()), { targets: [{ replicaId: 'xyz', node: 'node-1' }] });
    assert.equal(failed.type, 'InvalidInput');
    assert.match(failed.message, /targets\.0\.replicaId: expected 12 hexadecimal digits/);
  });

  it('gives its handlers descriptions that the Temporal UI shows', async () => {
    const { activities } = playActivities();
    await withRun('restore', activities, async (run) => {
      await run.gate('plan');
      const metadata = await run.handle.query<{ definition?: { updateDefinitions?: { name: string; description: string }[] } }>('__temporal_workflow_metadata');
      const decide = metadata.definition?.updateDefinitions?.find((definition) => definition.name === 'decide');
      assert.match(decide?.description ?? '', /planDigest/);
      await temporal();
    });
  });
});
