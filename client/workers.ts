/** Whether anybody listens: asked before a vote is sent, and while a run makes no progress. */
import { MESSAGE, type OperationView } from '../domain/contract';
import type { Session } from './session';
import { stuckInQuery } from './stuck';

/**
 * A poll lasts up to a minute; a worker whose last poll began longer ago is gone. The server itself forgets after five. Where something in between cuts each poll
 * at a minute, the worker waits before it asks again, so that the gap may be longer.
 */
const POLL_SECONDS = 120;

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

export interface WorkerAnswer {
  /** Absent when none answers in time. */
  view?: OperationView;
  /** Why a worker that is there cannot go on with this run; null where that is not so. */
  failure: string | null;
}

/** The run's own view, answered by a worker. */
export async function queryView(session: Session, workflowId: string, seconds = 5): Promise<WorkerAnswer> {
  try {
    return { view: await session.call((client) => client.workflow.getHandle(workflowId).query<OperationView>(MESSAGE.state), seconds), failure: null };
  } catch (error) {
    // No worker, a worker that is starting, or a run before its first step: the memo has to do.
    return { failure: stuckInQuery(error) };
  }
}

/**
 * The view, or none when no worker is there. A worker that was killed a moment ago still counts as polling, so only an
 * answer proves that one lives.
 */
export async function askWorker(session: Session, workflowId: string): Promise<WorkerAnswer> {
  return (await workerPolls(session)) ? queryView(session, workflowId) : { failure: null };
}
