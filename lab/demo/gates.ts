/** The people of the story: someone at the terminal, or the demo itself, who decide by the same update. */
import { createInterface } from 'node:readline/promises';
import type { Gate } from '../../domain/contract';
import { DrydockError } from '../../domain/errors';
import type { Console } from '../../client/console';
import { explain } from '../../client/failures';
import type { OperationSummary } from '../../client/operations';
import type { Progress } from '../../client/progress';
import type { Session } from '../../client/session';
import { castVote } from '../../client/votes';

interface Decision {
  decision: 'approve' | 'reject';
  by: string;
  reason: string;
}

export class Gatekeeper {
  private readonly decided = new Set<string>();

  /** `ask`: a person at the terminal decides; else every gate is approved, by each approver in turn. */
  constructor(
    private readonly session: Session,
    private readonly screen: Console,
    private readonly ask: boolean,
    private readonly signal: AbortSignal,
  ) {}

  /** Decides at the gate where the run waits, if it waits at one; the progress has printed the plan by then. */
  async decide(run: OperationSummary, progress: Progress): Promise<void> {
    const { gate } = run;
    const key = gate && `${gate.name} ${gate.planDigest}`;
    if (!gate || !key || this.decided.has(key)) return;
    progress.pause();
    const decision = this.ask ? await this.question(gate) : this.approval(gate);
    try {
      const vote = await castVote(this.session, { workflowId: run.workflowId, gate: gate.name, planDigest: gate.planDigest, ...decision });
      this.decided.add(key);
      this.screen.out(`${decision.by}: ${decision.decision} at gate ${gate.name} (sent as ${vote.via}): ${vote.message}`);
    } catch (error) {
      // Without an answer, and after a person's slip, the gate is still open: the next look comes back to it.
      const openStill = error instanceof DrydockError && (error.kind === 'TemporalUnavailable' || (error.kind === 'Refused' && this.ask));
      if (!openStill) throw error;
      const { message, remedy } = explain(error);
      this.screen.out(`${message}${remedy ? ` (${remedy})` : ''}`);
    }
  }

  private approval(gate: Gate): Decision {
    // One approver after the other, so that the record shows more than one name.
    const by = gate.approvers[this.decided.size % gate.approvers.length] ?? '';
    // A step that failed, or a registry that differs, is what the demo must not pass over.
    if (gate.choices.some(({ decision }) => decision === 'retry')) return { decision: 'reject', by, reason: `nothing is wrong in the demo: ${gate.question}` };
    return { decision: 'approve', by, reason: 'the demo runs without a person' };
  }

  private async question(gate: Gate): Promise<Decision> {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    // In this mode the terminal gives Ctrl-C to us as a key.
    terminal.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
    const { signal } = this;
    try {
      for (;;) {
        const answer = (await terminal.question(`Approve gate "${gate.name}"? [y/n] `, { signal })).trim().toLowerCase();
        if (!['y', 'yes', 'n', 'no'].includes(answer)) continue;
        const approves = answer.startsWith('y');
        const [first = ''] = gate.approvers;
        const by = (await terminal.question(`Your name (approvers: ${gate.approvers.join(', ')}) [${first}] `, { signal })).trim() || first;
        return { decision: approves ? 'approve' : 'reject', by, reason: `${approves ? 'approved' : 'rejected'} at the terminal of the demo` };
      }
    } finally {
      terminal.close();
    }
  }
}
