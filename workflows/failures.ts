/** Failures of a run as the three doors show them: a kind, one sentence, a remedy. */
import { ActivityFailure, ApplicationFailure, CancellationScope, CancelledFailure, isCancellation, TimeoutFailure } from '@temporalio/workflow';
import type { z } from 'zod';
import { isErrorKind, type ErrorKind, type Sought } from '../domain/errors';
import { mistakesInWords } from '../domain/mistakes';

export function fail(kind: ErrorKind, message: string, remedy?: string): ApplicationFailure {
  return ApplicationFailure.create({ type: kind, message, nonRetryable: true, details: [remedy === undefined ? {} : { remedy }] });
}

/** Nothing is known under the name that a person gave. */
export function noSuch(message: string, remedy: string): ApplicationFailure {
  return ApplicationFailure.create({ type: 'NotFound' satisfies ErrorKind, message, nonRetryable: true, details: [{ remedy, sought: 'name' satisfies Sought }] });
}

/** Parses what a door sent; a mistake fails the run at once and touches nothing. */
export function parseInput<S extends z.ZodType>(schema: S, input: unknown): z.infer<S> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw fail('InvalidInput', 'The input is not understood: expected one JSON object, for example {"cluster":"prod"}.', 'start again with one JSON object as the README shows');
  }
  throw fail('InvalidInput', `The input is not understood: ${mistakesInWords(parsed.error, schema)}.`, 'start again with one JSON object as the README shows');
}

/** Ends a run with the sentence that was made for people, instead of Temporal's "Activity task failed" around it. */
export function inOwnWords<Input, Result>(workflow: (input: Input) => Promise<Result>): (input: Input) => Promise<Result> {
  return async (input) => {
    try {
      return await workflow(input);
    } catch (error) {
      throw unwrapped(error);
    }
  };
}

/** Cancellations and failures of an unknown kind stay as they are. */
function unwrapped(error: unknown): unknown {
  // A worker that died while its step was cancelled says nothing any more: what ended the run is the cancel all the same.
  if (CancellationScope.current().consideredCancelled && error instanceof ActivityFailure && error.cause instanceof TimeoutFailure) return new CancelledFailure('Workflow cancelled');
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof ApplicationFailure)) return error;
  const { type, message, details } = error.cause;
  if (!isErrorKind(type)) return error;
  return ApplicationFailure.create({ type, message, nonRetryable: true, details: details ?? undefined, cause: error });
}

export function isKind(error: unknown, kind: ErrorKind): boolean {
  return error instanceof ActivityFailure && error.cause instanceof ApplicationFailure && error.cause.type === kind;
}

/** The same failure, saying as well what could not be put back: then even a cancelled run must end as failed, or nobody would look. */
export function withLeftovers(error: unknown, leftovers: string[]): unknown {
  if (leftovers.length === 0) return error;
  const why = isCancellation(error) ? 'The run was cancelled' : sentenceOf(error).replace(/\.$/, '');
  return fail('NotPutBack', `${why}. And not all was put back: ${leftovers.join(' ')}`, 'put it back with `drydock reconcile CLUSTER`, or by hand');
}

/** The remedy that a failure carries, if it has one. */
export function remedyOf(error: unknown): string | undefined {
  if (error instanceof ActivityFailure) return remedyOf(error.cause);
  const [first] = error instanceof ApplicationFailure ? (error.details ?? []) : [];
  const remedy = first !== null && typeof first === 'object' && 'remedy' in first ? first.remedy : undefined;
  return typeof remedy === 'string' ? remedy : undefined;
}

/** The sentence in the middle of Temporal's wrapping. */
export function sentenceOf(error: unknown): string {
  if (error instanceof ActivityFailure && error.cause) return sentenceOf(error.cause);
  return error instanceof Error ? error.message : String(error);
}
