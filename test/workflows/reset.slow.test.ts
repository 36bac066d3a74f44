import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { WorkflowHandle } from '@temporalio/client';
import type { Activities } from '../../activities/contract';
import type { ActivityDeps } from '../../activities/cluster';
import { freeLock } from '../../activities/free-lock';
import { refuseWithoutLock } from '../../activities/lock-guard';
import { lockId } from '../../domain/contract';
import { DrydockError } from '../../domain/errors';
import { failure, playActivities } from './fixtures/activities';
import { failureOf, start, until, withRun, type Run } from './fixtures/harness';
import { temporal } from '../helpers/temporal';

describe('a run that is reset', function () {
  this.timeout(90_000);

  /** Steps that change something ask for the lock, as those of a worker do. */
  async function guarded(): Promise<ReturnType<typeof playActivities>> {
    const { client } = await temporal();
    const guard = async (cluster: string): Promise<void> => {
      await refuseWithoutLock({ client } as ActivityDeps, cluster).catch((error: unknown) => {
        throw error instanceof DrydockError ? failure(error.kind, error.message) : error;
      });
    };
    const { activities: usual } = playActivities();
    const stopReplica: Activities['stopReplica'] = async (step) => {
      await guard(step.cluster);
      return usual.stopReplica(step);
    };
    const destroyReplica: Activities['destroyReplica'] = async (step) => {
      await guard(step.cluster);
      return usual.destroyReplica(step);
    };
    const freeing: Activities['freeLock'] = async ({ lock }) => ({ isFree: await freeLock({ client } as ActivityDeps, lock) });
    return playActivities({ stopReplica, destroyReplica, freeLock: freeing });
  }

  /** Resets to before the decision that scheduled the first such step; returns the new run. */
  async function resetBefore(run: Run, step: string): Promise<WorkflowHandle> {
    const { client } = await temporal();
    const { events = [] } = await run.handle.fetchHistory();
    const scheduled = events!.find((event) => event.activityTaskScheduledEventAttributes?.activityType?.name === step);
    const { runId } = await run.handle.describe();
    const answer = await client.workflowService.resetWorkflowExecution({
      namespace: 'default', requestId: randomUUID(), reason: 'a test', workflowExecution: { workflowId: run.handle.workflowId, runId },
      workflowTaskFinishEventId: scheduled!.activityTaskScheduledEventAttributes!.workflowTaskCompletedEventId,
    });
    return client.workflow.getHandle(run.handle.workflowId, answer.runId);
  }

  it('changes nothing without the lock, which ended with the run before, and says so', async () => {
    const { activities, calls } = await guarded();
    await withRun('restore', activities, async (run) => {
      await run.gate('plan');
      await run.decide({});
      await run.gate('destroy');
      await run.decide({ decision: 'reject', reason: 'not yet' });
      await failureOf(run.handle.result());
      assert.equal(calls.filter((name) => name === 'stopReplica').length, 1, 'the run that held the lock was let through');
      const again = await resetBefore(run, 'stopReplica');
      const failed = await failureOf(again.result());
      assert.equal(failed.type, 'Refused');
      assert.match(failed.message, /does not hold the lock lock\/c-.*, nobody does: it was reset/);
    });
  });

  it('asks at the gate anew: what was approved in the run before is no answer', async () => {
    const { activities, calls } = await guarded();
    await withRun('restore', activities, async (run) => {
      await run.gate('plan');
      await run.decide({});
      await run.gate('destroy');
      const { runId } = await run.handle.describe();
      await run.decide({ runId });
      await run.gate('release');
      const destroyed = calls.filter((name) => name === 'destroyReplica').length;
      await resetBefore(run, 'refuseReturned');
      const gate = await until(async () => {
        const state = await run.state().catch(() => undefined);
        return state?.gate?.name === 'destroy' ? state.gate : undefined;
      }, 'the gate of the new run');
      assert.equal(gate.name, 'destroy');
      assert.equal(calls.filter((name) => name === 'destroyReplica').length, destroyed);
      await run.handle.terminate();
      assert.equal(await lockState(run), 'RUNNING', 'the server leaves the lock of the run before');
      const next = await start('reconcile', run.queue, { cluster: run.cluster });
      await next.handle.result();
      assert.notEqual(await lockState(run), 'RUNNING');
    });
  });

  async function lockState({ cluster }: Run): Promise<string> {
    const { client } = await temporal();
    return (await client.workflow.getHandle(lockId(cluster)).describe()).status.name;
  }
});
