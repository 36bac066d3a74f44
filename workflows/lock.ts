import { ApplicationFailure, CancellationScope, condition, ParentClosePolicy, sleep, startChild, workflowInfo } from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { lockId, WORKFLOW } from '../domain/contract';
import { fail } from './failures';

/** Exists, and nothing else: the server refuses a second run of this id, and ends it with its parent. */
export async function lock(): Promise<void> {
  if (!workflowInfo().parent) throw ApplicationFailure.nonRetryable('A lock is held by an operation; it is not started by hand.', 'InvalidInput');
  await condition(() => false);
}

/** The server frees a lock some 0.2 s after its holder has closed. */
const TRIES = 4;

/** One operation at a time on a cluster. Held until this run closes, however it closes. */
export async function holdLock(cluster: string): Promise<void> {
  // Not cancellable: the lock must outlive a cancel until everything is put back.
  await CancellationScope.nonCancellable(async () => {
    for (let attempt = 1; ; attempt++) {
      try {
        await startChild(WORKFLOW.lock, {
          workflowId: lockId(cluster),
          parentClosePolicy: ParentClosePolicy.TERMINATE,
          memo: { holder: workflowInfo().workflowId },
          staticSummary: `held by ${workflowInfo().workflowId}`,
          args: [],
        });
        return;
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        if (attempt === TRIES) {
          throw fail('Conflict', `Another operation holds the cluster ${cluster} (see the parent of the run ${lockId(cluster)}): one at a time.`, 'wait for it or cancel it, then start again');
        }
        await sleep(500, { summary: 'the lock may be free in a moment' });
      }
    }
  });
}
