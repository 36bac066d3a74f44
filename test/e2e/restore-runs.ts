/** Restores of one lab as a test drives them: by the functions that the command stands on, so that a look costs no process. */
import type { RestoreInput } from '../../domain/contract';
import { cancelOperation, describe, describeOperation, startOperation, type OperationSummary } from '../../client/operations';
import { openSession, requiredConfig, type Session } from '../../client/session';
import { castVote, type Vote, type VoteOutcome } from '../../client/votes';
import { historyText } from '../helpers/temporal';
import { until } from '../workflows/fixtures/harness';

/** Stages of a busy machine. */
const PATIENCE_SECONDS = 420;

export class RestoreRuns {
  private constructor(private readonly session: Session) {}

  static async open(config: string, address: string): Promise<RestoreRuns> {
    return new RestoreRuns(await openSession(await requiredConfig(config), { address, namespace: 'default', taskQueue: 'drydock', uiUrl: 'http://127.0.0.1:8233', connection: {} }));
  }

  async start(input: Partial<RestoreInput> & { cluster?: string } = {}): Promise<string> {
    return (await startOperation(this.session, { type: 'restore', input: { cluster: 'lab', backup: 'latest', ...input } })).workflowId;
  }

  look(workflowId: string): Promise<OperationSummary> {
    return describeOperation(this.session, workflowId);
  }

  /** Waits until the run stands at this gate; throws its error when it ends before. */
  gate(workflowId: string, name: string): Promise<OperationSummary & { gate: NonNullable<OperationSummary['gate']> }> {
    return this.seen(workflowId, `gate ${name}`, (run) => (run.gate?.name === name ? { ...run, gate: run.gate } : undefined));
  }

  /** Waits until the run is at this stage. */
  async stage(workflowId: string, name: string): Promise<void> {
    await this.seen(workflowId, `stage ${name}`, (run) => run.stage === name || undefined);
  }

  end(workflowId: string): Promise<OperationSummary> {
    return until(async () => {
      const run = await this.look(workflowId);
      return run.endedAt === null ? undefined : run;
    }, `the end of ${workflowId}`, PATIENCE_SECONDS);
  }

  /** Starts a restore that must not get as far as a gate; returns what a person reads. */
  async refused(input: Partial<RestoreInput> & { cluster?: string } = {}): Promise<string> {
    const run = await this.end(await this.start(input));
    if (run.status !== 'failed') throw new Error(`${run.workflowId} was not refused but ended as ${run.status}`);
    return `${run.errorKind}: ${run.error}. ${run.remedy ?? ''}`;
  }

  vote(workflowId: string, gate: string, more: Partial<Vote> = {}): Promise<VoteOutcome> {
    return castVote(this.session, { workflowId, gate, decision: 'approve', by: 'operator', reason: 'test', ...more });
  }

  /** Waits for each gate and approves it. */
  async approve(workflowId: string, ...gates: string[]): Promise<void> {
    for (const gate of gates) {
      await this.gate(workflowId, gate);
      await this.vote(workflowId, gate);
    }
  }

  cancel(workflowId: string): Promise<void> {
    return cancelOperation(this.session, workflowId);
  }

  /** How often each step was begun, by its name. */
  async attempts(workflowId: string): Promise<Map<string, number>> {
    const { raw } = await describe(this.session, workflowId);
    const { events } = await this.session.client.workflow.getHandle(workflowId, raw.workflowExecutionInfo?.execution?.runId ?? undefined).fetchHistory();
    const names = new Map<string, string>();
    const attempts = new Map<string, number>();
    for (const event of events ?? []) {
      if (event.activityTaskScheduledEventAttributes) names.set(String(event.eventId), event.activityTaskScheduledEventAttributes.activityType?.name ?? '');
      const started = event.activityTaskStartedEventAttributes;
      if (!started) continue;
      const name = names.get(String(started.scheduledEventId)) ?? '';
      attempts.set(name, Math.max(attempts.get(name) ?? 0, started.attempt ?? 1));
    }
    return attempts;
  }

  /** All that Temporal keeps of a run, as one text. */
  history(workflowId: string): Promise<string> {
    return historyText(this.session.client, workflowId);
  }

  close(): Promise<void> {
    return this.session.close();
  }

  private seen<T>(workflowId: string, what: string, pick: (run: OperationSummary) => T | undefined): Promise<T> {
    return until(async () => {
      const run = await this.look(workflowId);
      if (run.endedAt !== null) throw new Error(`${workflowId} ended as ${run.status} before ${what}: ${run.error ?? ''}`);
      return pick(run);
    }, what, PATIENCE_SECONDS);
  }
}
