import { createInterface } from 'node:readline/promises';
import type { Decision, Gate } from '../domain/contract';
import type { Console } from './console';
import { explain } from './failures';
import type { Snapshot } from './follow';
import type { Progress } from './progress';
import type { Session } from './session';
import { castVote } from './votes';

/** Offers the vote right here, once for each gate and plan, to the approver named by `--approve-as`. */
export class GateAsker {
  private readonly asked = new Set<string>();

  constructor(
    private readonly session: Session,
    private readonly screen: Console,
    private readonly approver: string,
  ) {}

  async ask({ run }: Snapshot, progress: Progress): Promise<void> {
    const { gate } = run;
    if (!gate) return;
    // A step that failed again opens its gate again, for the same plan.
    const key = `${gate.name} ${gate.planDigest} ${gate.openedAt}`;
    if (this.asked.has(key)) return;
    this.asked.add(key);
    progress.pause();
    const decision = await this.question(gate);
    if (!decision) {
      this.screen.say('Left open: the run waits.');
      return;
    }
    try {
      const vote = await castVote(this.session, { workflowId: run.workflowId, gate: gate.name, by: this.approver, planDigest: gate.planDigest, ...decision });
      this.screen.say(vote.message);
    } catch (error) {
      const { message, remedy } = explain(error);
      this.screen.say(`${message}${remedy ? ` (${remedy})` : ''}`);
    }
  }

  /** Undefined leaves the gate open. Ctrl-C at the question ends the watching, as it does everywhere else. */
  private async question(gate: Gate): Promise<{ decision: Decision; reason: string } | undefined> {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    const interrupted = new AbortController();
    terminal.once('SIGINT', () => interrupted.abort());
    try {
      const { signal } = interrupted;
      const words = gate.choices.map(({ decision }) => decision).join(', ');
      const answer = (await terminal.question(`${this.approver}, what do you decide at gate "${gate.name}"? Type ${words}, or Enter to leave it open: `, { signal })).trim().toLowerCase();
      const choice = gate.choices.find(({ decision }) => decision === answer);
      if (choice === undefined) return undefined;
      const reason = (await terminal.question('Reason: ', { signal })).trim();
      return { decision: choice.decision, reason: reason || 'decided at the terminal' };
    } catch (error) {
      if (!interrupted.signal.aborted) throw error;
      process.kill(process.pid, 'SIGINT');
      return undefined;
    } finally {
      terminal.close();
    }
  }
}
