/**
 * No step changes anything for a run that does not hold its cluster's lock: a run that was reset replays the lock's start, but its lock ended with the run that
 * it was reset from.
 */
import { activityInfo } from '@temporalio/activity';
import { WorkflowNotFoundError, type WorkflowExecutionDescription } from '@temporalio/client';
import { lockId } from '../domain/contract';
import { DrydockError } from '../domain/errors';
import type { ActivityDeps } from './cluster';

/** Throws Refused when `lock/<cluster>` does not run or has another run as its parent; TemporalUnavailable when that cannot be asked now. */
export async function refuseWithoutLock(deps: ActivityDeps, cluster: string): Promise<void> {
  if (deps.refuseWithoutLock) return deps.refuseWithoutLock(cluster);
  const lock = await describeLock(deps, lockId(cluster));
  const { workflowExecution } = activityInfo();
  const parent = lock?.parentExecution;
  if (lock?.status.name === 'RUNNING' && parent?.workflowId === workflowExecution?.workflowId && parent?.runId === workflowExecution?.runId) return;
  const holder = lock?.status.name === 'RUNNING' ? `${parent?.workflowId ?? 'another run'} (run ${parent?.runId ?? '-'}) does` : 'nobody does';
  throw new DrydockError('Refused', `this run (${workflowExecution?.runId}) does not hold the lock ${lockId(cluster)}, ${holder}: it was reset, or its lock was ended by hand, and it changes nothing without it`, {
    remedy: `start the operation anew; what is left switched off is put back by \`drydock reconcile ${cluster}\``,
  });
}

async function describeLock(deps: ActivityDeps, id: string): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await deps.client.workflow.getHandle(id).describe();
  } catch (cause) {
    if (cause instanceof WorkflowNotFoundError) return undefined;
    throw new DrydockError('TemporalUnavailable', `Temporal does not say who holds ${id}`, { remedy: 'check the Temporal server', cause });
  }
}
