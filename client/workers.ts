/** Whether anybody listens: asked before a vote is sent, and while a run makes no progress. */
import { MESSAGE, type OperationView } from '../domain/contract';
import type { Session } from './session';

/** A poll lasts up to a minute; a worker whose last poll began longer ago is gone. The server itself forgets after five. */
const POLL_SECONDS = 75;

/** TASK_QUEUE_TYPE_WORKFLOW of Temporal's API. */
const WORKFLOW_QUEUE = 1;

/** Whether a worker has polled the task queue within the last poll's length. It may have died since. */
export async function workerPolls(session: Session): Promise<boolean> {
  const { settings } = session;
  const answer = await session.call((client) =>
    client.workflowService.describeTaskQueue({
      namespace: settings.namespace,
      taskQueue: { name: settings.taskQueue },
      taskQueueType: WORKFLOW_QUEUE,
    }),
  );
  const oldest = Date.now() / 1000 - POLL_SECONDS;
  return (answer.pollers ?? []).some((poller) => Number(poller.lastAccessTime?.seconds ?? 0) > oldest);
}

/** The run's own view, answered by a worker; undefined when none answers in time. */
export async function queryView(session: Session, workflowId: string, seconds = 5): Promise<OperationView | undefined> {
  try {
    return await session.call((client) => client.workflow.getHandle(workflowId).query<OperationView>(MESSAGE.state), seconds);
  } catch {
    // No worker, a worker that is starting, or a run before its first step: the memo has to do.
    return undefined;
  }
}

/**
 * The view, or undefined when no worker is there. A worker that was killed a moment ago still counts as polling, so only an
 * answer proves that one lives.
 */
export async function viewFromWorker(session: Session, workflowId: string): Promise<OperationView | undefined> {
  return (await workerPolls(session)) ? queryView(session, workflowId) : undefined;
}
