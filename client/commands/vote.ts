import { EXIT } from '../../domain/contract';
import { DrydockError } from '../../domain/errors';
import { createConsole } from '../console';
import { printFailure } from '../failures';
import { openSession, optionalConfig } from '../session';
import { castVote } from '../votes';

export interface VoteOptions {
  config?: string;
  gate: string;
  by: string;
  reason?: string;
  planDigest?: string;
  json?: boolean;
}

/** Approves or rejects at a gate, after printing what is decided. */
export async function run(decision: 'approve' | 'reject', workflowId: string, options: VoteOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const session = await openSession(await optionalConfig(options.config));
  try {
    const { gate, by, reason, planDigest } = options;
    const vote = await castVote(session, { workflowId, gate, decision, by, reason, planDigest }, (open, run) => {
      screen.out(`${workflowId}${run.cluster ? `, cluster ${run.cluster}` : ''}: gate "${open.name}" - ${open.question}`);
      for (const line of open.details.split('\n')) screen.out(`  ${line}`);
      screen.out(`Plan digest ${open.planDigest}`);
    });
    screen.out(vote.message);
    if (options.json) screen.json(vote);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof DrydockError) || error.kind !== 'Refused') throw error;
    printFailure(error);
    return EXIT.rejected;
  } finally {
    await session.close();
  }
}
