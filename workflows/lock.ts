import { ApplicationFailure, CancellationScope, condition, ParentClosePolicy, sleep, startChild, workflowInfo } from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { lockId, vaultsLockId, WORKFLOW } from '../domain/contract';
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
  if (await tryLock(lockId(cluster))) return;
  throw fail('Conflict', `Another operation holds the cluster ${cluster} (see the parent of the run ${lockId(cluster)}): one at a time.`, 'wait for it or cancel it, then start again');
}

/** Nothing is removed from a cluster's vaults while one is filled from another. Held until this run closes. */
export async function holdVaultsLock(cluster: string): Promise<void> {
  if (await tryVaultsLock(cluster)) return;
  throw fail('Conflict', `Backups of ${cluster} are being copied or removed already (see the parent of the run ${vaultsLockId(cluster)}): one at a time.`, 'wait for it or cancel it, then start again');
}

/** False when another run holds it. */
export function tryVaultsLock(cluster: string): Promise<boolean> {
  return tryLock(vaultsLockId(cluster));
}

async function tryLock(id: string): Promise<boolean> {
  // Not cancellable: the lock must outlive a cancel until everything is put back.
  return CancellationScope.nonCancellable(async () => {
    for (let attempt = 1; ; attempt++) {
      try {
        await startChild(WORKFLOW.lock, {
          workflowId: id,
          parentClosePolicy: ParentClosePolicy.TERMINATE,
          memo: { holder: workflowInfo().workflowId },
          staticSummary: `held by ${workflowInfo().workflowId}`,
          args: [],
        });
        return true;
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        if (attempt === TRIES) return false;
        await sleep(500, { summary: 'the lock may be free in a moment' });
      }
    }
  });
}
