/** Failures of a run as the three doors show them: a kind, one sentence, a remedy. */
import { ActivityFailure, ApplicationFailure } from '@temporalio/workflow';
import type { z } from 'zod';
import type { ErrorKind } from '../domain/errors';
import { mistakesInWords } from '../domain/mistakes';

export function fail(kind: ErrorKind, message: string, remedy?: string): ApplicationFailure {
  return ApplicationFailure.create({ type: kind, message, nonRetryable: true, details: [remedy === undefined ? {} : { remedy }] });
}

/** Parses what a door sent; a mistake fails the run at once and touches nothing. */
export function parseInput<S extends z.ZodType>(schema: S, input: unknown): z.infer<S> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw fail('InvalidInput', `The input is not understood: ${mistakesInWords(parsed.error, schema)}.`, 'start again with one JSON object as the README shows');
}

export function isKind(error: unknown, kind: ErrorKind): boolean {
  return error instanceof ActivityFailure && error.cause instanceof ApplicationFailure && error.cause.type === kind;
}

/** The sentence in the middle of Temporal's wrapping. */
export function sentenceOf(error: unknown): string {
  if (error instanceof ActivityFailure && error.cause) return sentenceOf(error.cause);
  return error instanceof Error ? error.message : String(error);
}
