/** Runs one operation and shows it as the `drydock` command does. */
import type { Console } from '../../client/console';
import { follow } from '../../client/follow';
import { startOperation, type OperationInput, type OperationSummary } from '../../client/operations';
import { createProgress } from '../../client/progress';
import { reportOf } from '../../client/run-to-end';
import type { Session } from '../../client/session';
import { LabError } from '../hosts/process';
import type { Gatekeeper } from './gates';

export interface Play {
  session: Session;
  screen: Console;
  gatekeeper: Gatekeeper;
  /** Aborts on Ctrl-C and when `drydock up` ends. */
  signal: AbortSignal;
  /** A run that takes longer than this has gone wrong; undefined where a person decides. */
  limitMinutes: number | undefined;
}

/** A run that a person stopped at a gate: an end of the story, but not the promised one. */
export class RejectedError extends LabError {}

/** Returns the completed run. Throws LabError when it ends in another way, RejectedError when a person rejected. */
export async function runOperation(play: Play, operation: OperationInput): Promise<OperationSummary> {
  const { session, screen, gatekeeper } = play;
  const limit = play.limitMinutes === undefined ? undefined : AbortSignal.timeout(play.limitMinutes * 60_000);
  const signal = limit === undefined ? play.signal : AbortSignal.any([play.signal, limit]);
  const started = await startOperation(session, operation);
  screen.out(`${started.workflowId}${started.url === null ? '' : `, also at ${started.url}`}`);
  const progress = createProgress(screen);
  try {
    const run = await follow(session, started.workflowId, {
      signal,
      onNotice: (text) => progress.note(text),
      onSnapshot: async (snapshot) => {
        progress.update(snapshot);
        await gatekeeper.decide(snapshot.run, progress);
      },
    });
    play.signal.throwIfAborted();
    if (run === undefined) throw new LabError(`${started.workflowId} has not ended within ${play.limitMinutes} min`);
    progress.end();
    return completed(run, screen);
  } finally {
    progress.end();
  }
}

function completed(run: OperationSummary, screen: Console): OperationSummary {
  if (run.status === 'completed') {
    for (const line of reportOf(run)) screen.out(line);
    return run;
  }
  const message = `${run.workflowId} ${run.status}: ${run.error ?? 'no reason is known'}${run.remedy === null ? '' : ` (${run.remedy})`}`;
  throw run.errorKind === 'Rejected' ? new RejectedError(message) : new LabError(message);
}
