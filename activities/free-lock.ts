/** A lock whose holder is over: a reset ends the run that held it and leaves the lock, which nobody would ever end. */
import { WorkflowNotFoundError, type WorkflowExecutionDescription } from '@temporalio/client';
import { DrydockError } from '../domain/errors';
import type { ActivityDeps } from './cluster';

/** Ends the lock `id` when the run that holds it is closed or gone. True when it is free now. Throws TemporalUnavailable. */
export async function freeLock({ client }: ActivityDeps, id: string): Promise<boolean> {
  const describe = async (workflowId: string, runId?: string): Promise<WorkflowExecutionDescription | undefined> => {
    try {
      return await client.workflow.getHandle(workflowId, runId).describe();
    } catch (cause) {
      if (cause instanceof WorkflowNotFoundError) return undefined;
      throw new DrydockError('TemporalUnavailable', `Temporal does not say who holds ${id}`, { remedy: 'check the Temporal server', cause });
    }
  };
  const lock = await describe(id);
  if (lock?.status.name !== 'RUNNING') return true;
  const { parentExecution: holder } = lock;
  const held = holder?.workflowId ? await describe(holder.workflowId, holder.runId ?? undefined) : undefined;
  if (held?.status.name === 'RUNNING' || held?.status.name === 'PAUSED') return false;
  try {
    await client.workflow.getHandle(id, lock.runId).terminate(`its holder ${holder?.workflowId ?? ''} (run ${holder?.runId ?? '-'}) is over`);
  } catch (cause) {
    // It has ended by itself meanwhile.
    if (!(cause instanceof WorkflowNotFoundError)) throw new DrydockError('TemporalUnavailable', `Temporal does not end the lock ${id}`, { remedy: 'check the Temporal server', cause });
  }
  return true;
}
