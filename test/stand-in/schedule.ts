/** Runs inside the workflow sandbox: activities of a sweep are given shorter times, or the cancellation type that loses, by the run's id. */
import { workflowInfo, type WorkflowInterceptors } from '@temporalio/workflow';

/** A worker that dies is noticed soon. */
export const KILLED = 'killed-';
/** As it would be without waiting for a cancelled step. */
export const HASTY = 'hasty-';

export const interceptors = (): WorkflowInterceptors => ({
  outbound: [{
    scheduleActivity: async (input, next) => {
      const { workflowId } = workflowInfo();
      const retry = { ...input.options.retry, initialInterval: '50ms' };
      const soon = workflowId.includes(KILLED) ? { heartbeatTimeout: '4s' as const, retry } : {};
      const hasty = workflowId.includes(HASTY) ? { cancellationType: 'TRY_CANCEL' as const } : {};
      return next({ ...input, options: { ...input.options, ...soon, ...hasty } });
    },
  }],
});
