import { createInterface } from 'node:readline/promises';
import { EXIT, type Decision } from '../../domain/contract';
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

/** Approves, rejects or has tried again at a gate, after printing what is decided. */
export async function run(decision: Decision, workflowId: string, options: VoteOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const { gate, by, reason, planDigest } = options;
  if (planDigest === undefined && !screen.interactive) {
    throw new DrydockError('InvalidInput', 'a vote without a terminal needs --plan-digest: it counts for the plan that was read, not for the one that stands there by now', { remedy: `read it with \`drydock show ${workflowId}\`, which prints the line to send` });
  }
  const session = await openSession(await optionalConfig(options.config));
  try {
    const vote = await castVote(session, { workflowId, gate, decision, by, reason, planDigest }, async (open, run) => {
      screen.out(`${workflowId}${run.cluster ? `, cluster ${run.cluster}` : ''}: gate "${open.name}" - ${open.question}`);
      for (const line of open.details.split('\n')) screen.out(`  ${line}`);
      screen.out(`Plan digest ${open.planDigest}`);
      if (planDigest === undefined) await confirm(decision, open.name);
    });
    screen.out(vote.message);
    if (options.json) screen.json(vote);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof DrydockError) || (error.kind !== 'Refused' && error.kind !== 'Rejected')) throw error;
    printFailure(error);
    return EXIT.rejected;
  } finally {
    await session.close();
  }
}

/** Whoever has read another plan, in the UI or an hour ago, sees the one that is voted on before the vote is sent. Throws Rejected for another answer than yes. */
async function confirm(decision: Decision, gate: string): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const interrupted = new AbortController();
  terminal.once('SIGINT', () => interrupted.abort());
  try {
    const answer = await terminal.question(`Is this the plan that you have read? Type yes to ${decision} at gate "${gate}": `, { signal: interrupted.signal });
    if (answer.trim().toLowerCase() === 'yes') return;
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
  } finally {
    terminal.close();
  }
  throw new DrydockError('Rejected', 'the vote was not sent', { remedy: 'the gate stays open' });
}
