/** Casting a vote at a gate: as an update when a worker can answer, else as a signal that waits for one. */
import { WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError } from '@temporalio/client';
import { MESSAGE, type Decision, type DecideInput, type DecideResult, type Gate, type OperationView } from '../domain/contract';
import { DrydockError } from '../domain/errors';
import { examine } from '../domain/gates';
import { explain } from './failures';
import { describeOperation, type OperationSummary } from './operations';
import { wayOut } from './stuck';
import { askWorker } from './workers';
import type { Session } from './session';

export interface Vote {
  workflowId: string;
  gate: string;
  decision: Decision;
  by: string;
  reason?: string;
  /** Absent: the digest of the gate that is open now, which is the one `beforeSending` gets to see. */
  planDigest?: string;
}

export interface VoteOutcome {
  workflowId: string;
  gate: string;
  decision: Decision;
  by: string;
  /** Null for an earlier vote whose digest is not at hand. */
  planDigest: string | null;
  /** `update`: the run has answered. `signal`: no worker listens; the vote waits in the run's history. `earlier`: it counted before. */
  via: 'update' | 'signal' | 'earlier';
  /** True when the run has accepted the vote; null while nobody can say. */
  accepted: true | null;
  message: string;
}

const ANSWER_SECONDS = 20;

/**
 * Sends one vote. `beforeSending` sees what is voted on, and may throw to send none. Throws Refused with the run's own sentence when it does not take the
 * vote, TemporalUnavailable when no answer came (the vote may count all the same), NotFound for an unknown run.
 */
export async function castVote(session: Session, vote: Vote, beforeSending: (gate: Gate, run: OperationSummary) => void | Promise<void> = () => undefined): Promise<VoteOutcome> {
  const run = await describeOperation(session, vote.workflowId);
  const gate = run.gate?.name === vote.gate ? run.gate : undefined;
  const { view, failure } = await askWorker(session, vote.workflowId);
  const stuck = run.stuck ?? failure;
  if (!gate) {
    const earlier = countedBefore(view, vote);
    if (earlier) return outcome(vote, earlier.planDigest, 'earlier', true, `this vote has counted already, at ${earlier.at}`);
    throw new DrydockError('Refused', notOpen(run, vote.gate), { remedy: `see \`drydock show ${vote.workflowId}\`` });
  }
  await beforeSending(gate, run);
  const input: DecideInput = { gate: vote.gate, decision: vote.decision, by: vote.by, reason: vote.reason, planDigest: vote.planDigest ?? gate.planDigest, runId: run.runId };
  return view ? sendUpdate(session, vote, input) : sendSignal(session, vote, input, gate, stuck);
}

async function sendUpdate(session: Session, vote: Vote, input: DecideInput): Promise<VoteOutcome> {
  try {
    const answer = await session.call(
      (client) => client.workflow.getHandle(vote.workflowId).executeUpdate<DecideResult, [DecideInput]>(MESSAGE.decide, { args: [input] }),
      ANSWER_SECONDS,
    );
    return outcome(vote, input.planDigest, 'update', true, answer.message);
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) {
      throw new DrydockError('Refused', explain(error).message, { remedy: 'the vote has not counted', cause: error });
    }
    if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || (error instanceof DrydockError && error.kind === 'TemporalUnavailable')) {
      throw new DrydockError('TemporalUnavailable', `no answer within ${ANSWER_SECONDS} s: the vote may still count`, {
        remedy: `look with \`drydock show ${vote.workflowId}\`; sending the same vote again does no harm`,
        cause: error,
      });
    }
    throw error;
  }
}

/** Nobody answers a signal, so what the run would refuse for certain is refused here. */
async function sendSignal(session: Session, vote: Vote, input: DecideInput, gate: Gate, stuck: string | null): Promise<VoteOutcome> {
  const ballot = examine(input, gate, []);
  if (!ballot.ok) throw new DrydockError('Refused', ballot.sentence, { remedy: 'the vote was not sent' });
  await session.call((client) => client.workflow.getHandle(vote.workflowId).signal(MESSAGE.decide, input));
  if (stuck !== null) {
    return outcome(vote, input.planDigest, 'signal', null, `a worker listens, but cannot go on with this run (${stuck}); the vote was left with the run and counts once a worker can. ${wayOut(vote.workflowId)}`);
  }
  return outcome(vote, input.planDigest, 'signal', null, 'no worker listens now; the vote was left with the run and counts as soon as one does');
}

function outcome(vote: Vote, planDigest: string | null, via: VoteOutcome['via'], accepted: true | null, message: string): VoteOutcome {
  return { workflowId: vote.workflowId, gate: vote.gate, decision: vote.decision, by: vote.by, planDigest, via, accepted, message };
}

function countedBefore(view: OperationView | undefined, vote: Vote): { at: string; planDigest: string | null } | undefined {
  const same = view?.votes.findLast((v) => v.gate === vote.gate && v.decision === vote.decision && v.by === vote.by && v.counted);
  return same && { at: same.at, planDigest: vote.planDigest ?? null };
}

function notOpen(run: OperationSummary, gate: string): string {
  if (run.status !== 'running' && run.status !== 'waiting') return `${run.workflowId} is over (${run.status}): there is nothing to decide`;
  if (run.gate) return `gate "${gate}" is not open; the run waits at gate "${run.gate.name}"`;
  return `gate "${gate}" is not open; the run is at stage "${run.stage}"`;
}
