/** A run with which no worker can go on: its next decision fails again and again, as after an upgrade that changed the workflow's code. */
import type { WorkflowExecutionDescription } from '@temporalio/client';
import type { Session } from './session';

/** A worker that was killed in the middle of a decision costs one attempt. */
const ATTEMPTS = 2;
const EVENTS = 20;

/** The server's own words for it, one line; null for a run that is well. */
export async function stuckText(session: Session, run: WorkflowExecutionDescription): Promise<string | null> {
  const attempt = run.raw.pendingWorkflowTask?.attempt ?? 0;
  if (attempt < ATTEMPTS) return null;
  const { history } = await session.call((client) =>
    client.workflowService.getWorkflowExecutionHistoryReverse({ namespace: session.settings.namespace, execution: { workflowId: run.workflowId, runId: run.runId }, maximumPageSize: EVENTS }),
  );
  for (const { workflowTaskFailedEventAttributes: failed, workflowTaskCompletedEventAttributes: completed } of history?.events ?? []) {
    // A later decision has come to its end: what failed before is over.
    if (completed) return null;
    if (failed) return firstLine(failed.failure?.message ?? `cause ${String(failed.cause)}`);
  }
  return null;
}

/** What a query's error says, where it says that the worker's code and the run do not fit; null for other errors. */
export function stuckInQuery(error: unknown): string | null {
  const text = error instanceof Error ? [error.message, error.cause instanceof Error ? error.cause.message : ''].join(' ') : '';
  return /TMPRL1100|nondetermini/i.test(text) ? firstLine(text.slice(Math.max(0, text.search(/\[TMPRL1100|nondetermini/i)))) : null;
}

export function wayOut(workflowId: string, cluster = workflowId.split('/')[1] ?? 'CLUSTER'): string {
  return `Start the build of the worker with which it began, until it has ended; or end it with \`temporal workflow terminate --workflow-id ${workflowId}\`, and put back what it had changed with \`drydock reconcile ${cluster}\`.`;
}

function firstLine(text: string): string {
  return (text.split('\n', 1)[0] ?? text).trim().slice(0, 300);
}
