import assert from 'node:assert/strict';
import type { Activities } from '../../activities/contract';
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
      assert.ok(calls.indexOf('refuseReturned') < calls.indexOf('markUnfinished'));
      assert.ok(calls.indexOf('setReadOnly') < calls.indexOf('confirmRestore'));
      await run.decide({});
      const result = (await run.handle.result()) as RestoreResult;
      assert.deepEqual(result.replicas.map((replica) => replica.node), ['node-1', 'node-2']);
    });
    assert.deepEqual(calls.slice(calls.indexOf('markUnfinished')), [
      'markUnfinished', 'fenceNode', 'destroyReplica', 'passNoReturn', 'restoreImages', 'restoreMetadata', 'waitHealthy', 'recordHold', 'setReadOnly', 'holdDeletions', 'confirmRestore', 'joinReplica', 'waitHealthy', 'setReadOnly', 'restoreCrons', 'reportReturned',
      'markFinished',
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

  it('destroys nothing and starts the containers again when a host that was said to be off answers', async () => {
    const { activities, calls } = playActivities({ refuseReturned: async () => { throw failure('Refused', 'node-3 was to be off, and answers'); } });
    const failed = await withRun('restore', activities, async (run) => {
      for (const name of ['plan', 'destroy']) {
        await run.gate(name);
        await run.decide({});
      }
      return failureOf(run.handle.result());
    });
    assert.deepEqual(failed, { type: 'Refused', message: 'node-3 was to be off, and answers' });
    assert.deepEqual(calls.slice(-3), ['stopReplica', 'refuseReturned', 'startReplica']);
  });

  it('ends as failed, naming what was not put back, when the undo of a cancelled run fails', async () => {
    const { activities } = playActivities({ startReplica: async () => { throw failure('EngineUnavailable', 'the engine of node-1 does not answer'); } });
    const failed = await withRun('restore', activities, async (run) => {
      await run.gate('plan');
      await run.decide({});
      await run.gate('destroy');
      await run.handle.cancel();
      return failureOf(run.handle.result());
    });
    assert.match(failed.message, /not all was put back: could not start the containers of replica 00000000000a on node-1 again: the engine of node-1 does not answer/);
  });

  describe('before anything is destroyed', () => {
    /** Approves both gates; the run is expected to fail. */
    async function failing(changes: Partial<Activities>): Promise<{ calls: string[]; failed: { type: string; message: string } }> {
      const { activities, calls } = playActivities(changes);
      const failed = await withRun('restore', activities, async (run) => {
        for (const name of ['plan', 'destroy']) {
          await run.gate(name);
          await run.decide({});
        }
        return failureOf(run.handle.result());
      });
      return { calls, failed };
    }

    it('starts the containers again when what it is about to destroy cannot be recorded', async () => {
      const { calls, failed } = await failing({ markUnfinished: async () => { throw failure('NotPermitted', 'it is mounted read-only'); } });
      assert.deepEqual(failed, { type: 'NotPermitted', message: 'it is mounted read-only' });
      assert.deepEqual(calls.slice(-3), ['markUnfinished', 'unmarkUnfinished', 'startReplica']);
    });

    it('starts the containers again when a host cannot be taken out of the Swarm', async () => {
      const { calls } = await failing({ fenceNode: async () => { throw failure('InvalidInput', 'it must be demoted first'); } });
      assert.deepEqual(calls.slice(-3), ['fenceNode', 'unmarkUnfinished', 'startReplica']);
    });

    it('starts the containers again when the first replica could not be destroyed at all', async () => {
      const { calls } = await failing({ destroyReplica: async () => { throw failure('HostUnreachable', 'node-1 does not answer'); } });
      assert.deepEqual(calls.slice(-4), ['destroyReplica', 'hasPassedNoReturn', 'unmarkUnfinished', 'startReplica']);
    });

    it('starts nothing and keeps its mark when something was destroyed, or nobody can say whether', async () => {
      const destroyReplica: Activities['destroyReplica'] = async () => { throw failure('HostUnreachable', 'node-1 does not answer'); };
      const begun = await failing({ destroyReplica, hasPassedNoReturn: async () => true });
      assert.equal(begun.calls.at(-1), 'hasPassedNoReturn');
      assert.match(begun.failed.message, /node-1 does not answer And not all was put back: the restore is behind its point of no return/);
      const unknown = await failing({ destroyReplica, hasPassedNoReturn: async () => { throw failure('NotPermitted', 'stateDir cannot be used'); } });
      assert.equal(unknown.calls.at(-1), 'hasPassedNoReturn');
    });
  });

  it('counts a vote anew when the same plan is put to people again after another one', async () => {
    let made = 0;
    // As when a host comes and goes: the plan of the first gate is that of the third one.
    const digests = ['1', '2', '1', '1'];
    const { activities } = playActivities({ planRestore: async () => ({ ...PLAN, digest: digests[(made += 1) - 1]!.repeat(64) }) });
    await withRun('restore', activities, async (run) => {
      const seen = async (digest: string) => until(async () => {
        const { gate } = await run.state();
        return gate?.name === 'plan' && gate.planDigest === digest.repeat(64) ? gate : undefined;
      }, `the plan ${digest}`);
      await seen('1');
      await run.decide({});
      await seen('2');
      assert.match((await failureOf(run.decide({ planDigest: '1'.repeat(64) }))).message, /another plan/);
      await run.decide({});
      await seen('1');
      await run.decide({});
      await run.gate('destroy');
    });
  });

  it('puts the crons back without a gate where the policy says so', async () => {
    const { activities, calls } = playActivities({ readPolicy: async () => ({ approvers: ['operator'], releaseGate: false, verify: 'L2' }) });
    await withRun('restore', activities, async (run) => {
      for (const name of ['plan', 'destroy']) {
        await run.gate(name);
        await run.decide({});
      }
      const { stages } = (await run.handle.result()) as RestoreResult;
      assert.ok(stages.every(({ name }) => name !== 'gate-release'));
    });
    assert.ok(calls.includes('restoreCrons'));
  });

  it('asks for the release of crons that only the restored metadata had, and hands them on', async () => {
    const onlinegc = { action: 'tag_pruning', schedule: '0 0 2 * * *', retries: 0, parameters: null, deadline: '' };
    let handed: unknown;
    const { activities } = playActivities({
      recordHold: async () => ({ held: [onlinegc] }),
      restoreCrons: async ({ held }) => {
        handed = held;
        return { putBack: [], left: [] };
      },
    });
    await withRun('restore', activities, async (run) => {
      for (const name of ['plan', 'destroy']) {
        await run.gate(name);
        await run.decide({});
      }
      assert.match((await run.gate('release')).question, /onlinegc, tag_pruning/);
      await run.decide({});
      await run.handle.result();
    });
    assert.deepEqual(handed, [onlinegc]);
  });

  it('that is cancelled at the release is over: the next restore is not taken for its continuation', async () => {
    const { activities, calls } = playActivities();
    await withRun('restore', activities, async (run) => {
      for (const name of ['plan', 'destroy']) {
        await run.gate(name);
        await run.decide({});
      }
      await run.gate('release');
      await run.handle.cancel();
      assert.equal((await failureOf(run.handle.result())).type, 'Cancelled');
    });
    assert.equal(calls.at(-1), 'markFinished');
    assert.ok(!calls.includes('restoreCrons'));
  });

  it('waits at a gate without a timer, a step or a time limit, so that days add nothing to its history', async () => {
    const { activities } = playActivities();
    await withRun('restore', activities, async (run) => {
      await run.gate('plan');
      const { raw } = await run.handle.describe();
      assert.deepEqual(raw.pendingActivities ?? [], []);
      const { workflowExecutionTimeout, workflowRunTimeout } = raw.executionConfig ?? {};
      assert.deepEqual([Number(workflowExecutionTimeout?.seconds ?? 0), Number(workflowRunTimeout?.seconds ?? 0)], [0, 0]);
      const { events } = await run.handle.fetchHistory();
      assert.ok((events ?? []).every((event) => !event.timerStartedEventAttributes));
    });
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
