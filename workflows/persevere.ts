/** Behind the point of no return: no step is a dead end, and whatever ends the run says what state the registry is in. */
import { ApplicationFailure, isCancellation } from '@temporalio/workflow';
import type { Choice } from '../domain/contract';
import { fail, remedyOf, sentenceOf } from './failures';
import type { Operation } from './operation';

/** What people are told wherever the run ends, and who decides. */
export interface Behind {
  approvers: string[];
  planDigest: string;
  /** What the registry is like now, as a whole sentence; set anew by each step. */
  state: string;
  /** How to go on from that state. */
  remedy: string;
}

/** A step that fails for good waits at a gate of its own (`<step>-failed`), where people have it tried again or stop the run. */
export async function persevere<T>(operation: Operation, behind: Behind, step: string, work: () => Promise<T>, note?: (result: T) => { text?: string; bytes?: number }): Promise<T> {
  for (;;) {
    try {
      return await operation.step(step, work, note);
    } catch (error) {
      if (isCancellation(error) || !isAboutTheWorld(error)) throw error;
      await askToRetry(operation, behind, step, error);
    }
  }
}

/** A defect of Drydock itself is Temporal's to show; a failure that has a kind is people's to decide. */
function isAboutTheWorld(error: unknown): boolean {
  return error instanceof Error && error.name === 'ActivityFailure';
}

/** Returns when people want the step tried again. */
export async function askToRetry(operation: Operation, behind: Behind, step: string, error: unknown): Promise<void> {
  const { approvers, planDigest, state } = behind;
  const remedy = remedyOf(error);
  const choices: Choice[] = [
    { decision: 'retry', means: 'try this step again; what it has done already is kept' },
    { decision: 'reject', means: 'stop here, with the registry as it is now' },
  ];
  const vote = await operation.waitAtGate({
    name: `${step}-failed`,
    question: `The step "${operation.titleOf(step)}" failed: ${sentenceOf(error)} Mend the cause, then have it tried again.`,
    details: [...(remedy === undefined ? [] : [`What to do: ${remedy}`, '']), `As it is now: ${state}`].join('\n'),
    planDigest, approvers, choices,
  });
  if (vote.decision === 'reject') throw fail('Unfinished', `${sentenceOf(error)} ${vote.by} stopped the restore there: ${vote.reason ?? 'no reason given'}. ${state}`, behind.remedy);
}

/** What a run ends with that is cancelled or broken off behind the point of no return: failed, naming the state. */
export function unfinished(error: unknown, behind: Behind): unknown {
  if (error instanceof ApplicationFailure && error.type === 'Unfinished') return error;
  const why = isCancellation(error) ? 'The run was cancelled behind the point of no return, from where nothing can be put back.' : sentenceOf(error);
  return fail('Unfinished', `${why} ${behind.state}`, behind.remedy);
}
