/** Turns errors into Temporal failures whose `type` is the error's kind, so that retries, people and scripts can tell them apart. */
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { Context } from '@temporalio/activity';
import { DrydockError } from '../domain/errors';
import { isBoundByProgress, Patience } from './patience';
import { withPulse } from './pulse';

/** An activity as Temporal calls it, with errors classified at its edge. */
export function classified<A extends object>(activities: A): A {
  const wrapped: Record<string, unknown> = {};
  for (const [name, activity] of Object.entries(activities) as [string, (input: unknown) => Promise<unknown>][]) {
    wrapped[name] = async (input: unknown): Promise<unknown> => {
      const { info } = Context.current();
      const patience = new Patience(info);
      try {
        return await withPulse(patience, () => activity(input));
      } catch (error) {
        const failure = asFailure(error);
        throw failure instanceof ApplicationFailure && isBoundByProgress(info) ? patience.judge(failure) : failure;
      }
    };
  }
  return wrapped as A;
}

function asFailure(error: unknown): unknown {
  const { cancellationSignal } = Context.current();
  // Whatever a cancelled step broke on, the reason is the cancellation; Node's AbortError would hang the attempt.
  if (cancellationSignal.aborted) return cancellationSignal.reason;
  if (error instanceof CancelledFailure || error instanceof ApplicationFailure) return error;
  if (error instanceof DrydockError) {
    return ApplicationFailure.create({
      type: error.kind,
      message: error.message,
      nonRetryable: !error.retryable,
      details: [{ ...(error.remedy === undefined ? {} : { remedy: error.remedy }), ...error.details }],
    });
  }
  const message = error instanceof Error ? error.message : 'something that is no error was thrown';
  return ApplicationFailure.create({ type: 'Unexpected', message: `unexpected: ${message}`, cause: error instanceof Error ? error : undefined });
}
