import { createInterface } from 'node:readline/promises';
import type { Gate, RestoreInput } from '../../domain/contract';
import { createConsole, type Console } from '../console';
import { explain } from '../failures';
import type { Snapshot } from '../follow';
import { startOperation } from '../operations';
import type { Progress } from '../progress';
import { afterStart } from '../run-to-end';
import { clusterOf, openSession, optionalConfig, type Session } from '../session';
import { parseTarget } from '../targets';
import { vaultNamed } from '../vaults';
import { castVote } from '../votes';

export interface RestoreOptions {
  config?: string;
  backup: string;
  vault?: string;
  target?: string[];
  force?: boolean;
  acceptMissingOwners?: boolean;
  acceptUnsigned?: boolean;
  reason?: string;
  detach?: boolean;
  approveAs?: string;
  json?: boolean;
}

/** Starts a restore and, unless detached, watches it through its gates to its end. */
export async function run(cluster: string, options: RestoreOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = await optionalConfig(options.config);
  if (local) clusterOf(local, cluster);
  if (local && options.vault !== undefined) vaultNamed(local, options.vault);
  const targets = await Promise.all((options.target ?? []).map(parseTarget));
  const session = await openSession(local);
  try {
    const input: RestoreInput = {
      cluster,
      backup: options.backup,
      vault: options.vault,
      targets: targets.length > 0 ? targets : undefined,
      force: options.force,
      acceptMissingOwners: options.acceptMissingOwners,
      acceptUnsigned: options.acceptUnsigned,
      reason: options.reason,
    };
    const started = await startOperation(session, { type: 'restore', input });
    const asker = options.approveAs !== undefined && screen.interactive ? new GateAsker(session, screen, options.approveAs) : undefined;
    return await afterStart(session, started, screen, { ...options, onSnapshot: asker && ((snapshot, progress) => asker.ask(snapshot, progress)) });
  } finally {
    await session.close();
  }
}

/** Offers the vote right here, once for each gate and plan, to the approver named by `--approve-as`. */
class GateAsker {
  private readonly asked = new Set<string>();

  constructor(
    private readonly session: Session,
    private readonly screen: Console,
    private readonly approver: string,
  ) {}

  async ask({ run }: Snapshot, progress: Progress): Promise<void> {
    const { gate } = run;
    if (!gate || this.asked.has(`${gate.name} ${gate.planDigest}`)) return;
    this.asked.add(`${gate.name} ${gate.planDigest}`);
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
  private async question(gate: Gate): Promise<{ decision: 'approve' | 'reject'; reason: string } | undefined> {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    const interrupted = new AbortController();
    terminal.once('SIGINT', () => interrupted.abort());
    try {
      const { signal } = interrupted;
      const answer = (await terminal.question(`${this.approver}, approve gate "${gate.name}"? Type approve, reject, or Enter to leave it open: `, { signal })).trim().toLowerCase();
      if (answer !== 'approve' && answer !== 'reject') return undefined;
      const reason = (await terminal.question('Reason: ', { signal })).trim();
      return { decision: answer, reason: reason || 'decided at the terminal' };
    } catch (error) {
      if (!interrupted.signal.aborted) throw error;
      process.kill(process.pid, 'SIGINT');
      return undefined;
    } finally {
      terminal.close();
    }
  }
}
