import { ApplicationFailure, CancellationScope, condition, defineSignal, ParentClosePolicy, setHandler, sleep, startChild, workflowInfo, type ChildWorkflowHandle } from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { lockId, vaultsLockId, WORKFLOW } from '../domain/contract';
import { operationKey } from '../domain/operation-key';
import { quick } from './activities';
import { fail } from './failures';

const releaseSignal = defineSignal('release');

/** Exists, and nothing else: the server refuses a second run of this id, and ends it with its parent, or when the parent says so. */
export async function lock(): Promise<void> {
  if (!workflowInfo().parent) throw ApplicationFailure.nonRetryable('A lock is held by an operation; it is not started by hand.', 'InvalidInput');
  let isReleased = false;
  setHandler(releaseSignal, () => void (isReleased = true), { description: 'From the operation that holds the lock, when it needs it no longer' });
  await condition(() => isReleased);
}

/** The server frees a lock some 0.2 s after its holder has closed. */
const TRIES = 4;

export interface Lock {
  /** When this returns, another operation may have it. */
  release(): Promise<void>;
}

/** One operation at a time on a cluster. Held until it is released or this run closes, however it closes. */
export async function holdLock(cluster: string): Promise<Lock> {
  const lock = (await tryLock(lockId(cluster))) ?? (await lockOfTheDead(cluster, lockId(cluster)));
  if (lock) return lock;
  throw fail('Locked', `Another operation holds the cluster ${cluster} (see the parent of the run ${lockId(cluster)}): one at a time.`, 'wait for it or cancel it, then start again');
}

/** Nothing is removed from a cluster's vaults while one is filled from another. Held until this run closes. */
export async function holdVaultsLock(cluster: string): Promise<void> {
  if ((await tryVaultsLock(cluster)) || (await lockOfTheDead(cluster, vaultsLockId(cluster)))) return;
  throw fail('Locked', `Backups of ${cluster} are being copied or removed already (see the parent of the run ${vaultsLockId(cluster)}): one at a time.`, 'wait for it or cancel it, then start again');
}

/** False when another run holds it. */
export async function tryVaultsLock(cluster: string): Promise<boolean> {
  return (await tryLock(vaultsLockId(cluster))) !== null;
}

/** `holdLock`, or null when another run holds it. */
export function tryClusterLock(cluster: string): Promise<Lock | null> {
  return tryLock(lockId(cluster));
}

/** A reset may leave a lock whose holder is over. */
async function lockOfTheDead(cluster: string, id: string): Promise<Lock | null> {
  const { isFree } = await quick.freeLock.executeWithOptions({ summary: 'Does its holder still run?' }, [{ cluster, lock: id }]);
  return isFree ? tryLock(id) : null;
}

async function tryLock(id: string): Promise<Lock | null> {
  // Not cancellable: the lock must outlive a cancel until everything is put back.
  return CancellationScope.nonCancellable(async () => {
    for (let attempt = 1; ; attempt++) {
      try {
        const child = await startChild(WORKFLOW.lock, {
          workflowId: id,
          parentClosePolicy: ParentClosePolicy.TERMINATE,
          memo: { holder: workflowInfo().workflowId },
          // The id itself may be longer than a summary can be; the memo has it.
          staticSummary: `held by ${operationKey(workflowInfo().workflowId)}`,
          args: [],
        });
        return { release: () => release(child) };
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        if (attempt === TRIES) return null;
        await sleep(500, { summary: 'the lock may be free in a moment' });
      }
    }
  });
}

async function release(child: ChildWorkflowHandle<typeof lock>): Promise<void> {
  try {
    await child.signal(releaseSignal);
    await child.result();
  } catch {
    // Somebody has ended it by hand, so nobody is kept out any more; or this run is being cancelled, which its next step says.
  }
}
