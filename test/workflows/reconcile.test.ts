import assert from 'node:assert/strict';
import type { Activities } from '../../activities/contract';
import type { ReconcileResult } from '../../domain/contract';
import { freezeRecord, restoreRecord, stopRecord } from '../helpers/changes';
import { playActivities } from './fixtures/activities';
import { withRun } from './fixtures/harness';

describe('workflow reconcile', function () {
  this.timeout(90_000);

  /** Runs it on these records; `order` lists what was put back, in its order. */
  async function reconciled(changes: Awaited<ReturnType<Activities['listChanges']>>['changes'], input = {}): Promise<{ result: ReconcileResult; calls: string[]; order: string[] }> {
    const order: string[] = [];
    const { activities, calls } = playActivities({
      listChanges: async () => ({ changes, notes: ['What was recorded in vault tape only is not known: it is away.'] }),
      putBack: async ({ change }) => {
        order.push(`${change.kind} ${change.runId}`);
        return { putBack: [`${change.kind} ${change.runId}`], left: [] };
      },
    });
    const result = await withRun('reconcile', activities, (run) => run.handle.result() as Promise<ReconcileResult>, input);
    return { result, calls, order };
  }

  it('starts containers first, since a registry that is stopped takes nothing back, then the rest from the oldest on', async () => {
    const { result, calls, order } = await reconciled([freezeRecord({ runId: '1' }), stopRecord({ runId: '2' }), stopRecord({ runId: '3' }), restoreRecord({ runId: '2' })]);
    assert.deepEqual(order, ['stop 3', 'stop 2', 'freeze 1', 'restore 2']);
    assert.deepEqual(calls.slice(-1), ['sweepContainers']);
    assert.deepEqual(result.left, ['What was recorded in vault tape only is not known: it is away.'], 'what cannot be seen does not pass as nothing');
    assert.ok(!calls.includes('endRestore'));
  });

  it('ends an unfinished restore only when it is told to, before it looks', async () => {
    const { result, calls } = await reconciled([], { endRestore: 'restore_lab_1' });
    assert.deepEqual(calls, ['readPolicy', 'endRestore', 'listChanges', 'sweepContainers']);
    assert.deepEqual(result.putBack, ['the mark of restore_lab_1']);
  });
});
