/** The state of one run that people look at: steps, gate, votes, warnings. Kept in the workflow, shown by query, memo and current details. */
import {
  type ApplicationFailure, CancellationScope, condition, defineQuery, defineSignal, defineUpdate, setCurrentDetails, setHandler, upsertMemo, workflowInfo,
} from '@temporalio/workflow';
import {
  MEMO_KEY, MESSAGE,
  type Choice, type DecideInput, type DecideResult, type Gate, type OperationMemo, type OperationType, type OperationView, type StepView,
} from '../domain/contract';
import { APPROVE_OR_REJECT, examine, otherRun, type Vote } from '../domain/gates';
import { fail } from './failures';
import { listLines, type List } from './told';

const decideUpdate = defineUpdate<DecideResult, [DecideInput]>(MESSAGE.decide);
const decideSignal = defineSignal<[DecideInput]>(MESSAGE.decide);
const stateQuery = defineQuery<OperationView>(MESSAGE.state);

const DECIDE_HELP = 'Decide at the open gate: {"gate","decision":"approve"|"reject"|"retry","by","reason","planDigest"}; gate, planDigest and the choices stand in the current details.';
const VERBS = { approve: 'approved', reject: 'rejected', retry: 'asked for another try at' } as const;
/** Enough for any honest run; older unsuccessful votes are dropped first. */
const MAX_VOTES = 100;

export interface GateRequest {
  name: string;
  question: string;
  /** Markdown of all that is approved. */
  details: string;
  planDigest: string;
  approvers: string[];
  /** Absent: approve or reject. */
  choices?: Choice[];
}

export interface StageTime {
  name: string;
  title: string;
  seconds: number;
  /** Time in which the run waited for people. */
  waitedSeconds?: number;
  bytes?: number;
}

export class Operation {
  readonly stages: StageTime[] = [];
  readonly warnings: string[] = [];
  backupId: string | undefined;
  private readonly steps: StepView[] = [];
  private readonly votes: Vote[] = [];
  /** What is wrong now and may mend itself, by a key. */
  private readonly troubles = new Map<string, string>();
  private readonly lists: List[] = [];
  private isCancelling = false;
  private stage = 'starting';
  private gate: Gate | null = null;
  private outcome: Vote | null = null;

  constructor(
    readonly type: OperationType,
    readonly cluster: string,
    private readonly startedBy: string | undefined,
  ) {
    setHandler(stateQuery, () => this.view(), { description: 'Steps, gate, votes and warnings of this run' });
    // An update, because a person gets an answer at once: counted, or why not.
    setHandler(decideUpdate, (input) => this.decide(input), { description: DECIDE_HELP, validator: (input) => this.validate(input) });
    // The same as a signal, for when no worker is up: it waits in the history.
    setHandler(decideSignal, (input) => this.note(input), { description: `${DECIDE_HELP} Works while no worker is up; a wrong vote is noted without effect.` });
    this.publish();
    CancellationScope.current().cancelRequested.catch(() => {
      this.isCancelling = true;
      this.publish();
    });
  }

  /** Announces the steps to come, so that progress shows what is left. */
  expect(steps: [name: string, title: string][]): void {
    for (const [name, title] of steps) this.steps.push({ name, title, state: 'waiting' });
    this.publish();
  }

  /** Runs one step; `note` makes the line that is shown when it is done. */
  async step<T>(name: string, work: () => Promise<T>, note?: (result: T) => { text?: string; bytes?: number }): Promise<T> {
    const step = this.steps.find((s) => s.name === name);
    if (!step) throw new Error(`step ${name} was not announced`);
    step.state = 'running';
    step.startedAt = now();
    delete step.endedAt;
    this.stage = name;
    this.publish();
    try {
      const result = await work();
      const said = note?.(result) ?? {};
      if (said.text !== undefined) step.note = said.text;
      this.finish(step, 'done', said.bytes);
      return result;
    } catch (error) {
      this.finish(step, 'failed');
      throw error;
    }
  }

  titleOf(name: string): string {
    return this.steps.find((step) => step.name === name)?.title ?? name;
  }

  skip(name: string, why: string): void {
    const step = this.steps.find((s) => s.name === name);
    if (!step) throw new Error(`step ${name} was not announced`);
    step.state = 'skipped';
    step.note = why;
    this.publish();
  }

  warn(...sentences: string[]): void {
    for (const sentence of sentences) if (!this.warnings.includes(sentence)) this.warnings.push(sentence);
  }

  /** Lists to be read below the steps. They are shown when the step ends that has found them: a publication of their own would be a command that earlier histories lack. */
  tell(...lists: List[]): void {
    this.lists.push(...lists);
  }

  /** Shows among the warnings what is wrong now; null takes it away. */
  trouble(key: string, sentence: string | null): void {
    if (sentence === null ? !this.troubles.delete(key) : this.troubles.get(key) === sentence) return;
    if (sentence !== null) this.troubles.set(key, sentence);
    this.publish();
  }

  /** Waits, for days if need be, until people decide. Returns the vote; a rejection is returned, too. */
  async waitAtGate(request: GateRequest): Promise<Vote> {
    const openedAt = now();
    this.gate = { ...request, choices: request.choices ?? APPROVE_OR_REJECT, openedAt };
    this.outcome = null;
    this.stage = `gate: ${request.name}`;
    this.publish();
    try {
      await condition(() => this.outcome !== null);
      // The condition above has just seen it.
      return this.outcome!;
    } finally {
      this.stages.push({ name: `gate-${request.name}`, title: `Waiting for people: ${request.name}`, seconds: 0, waitedSeconds: secondsSince(openedAt) });
      this.gate = null;
      this.publish();
    }
  }

  private validate(input: unknown): void {
    const ballot = examine(input, this.gate, this.votes);
    if (!ballot.ok) throw refusal(ballot.sentence);
    // Only here, where a vote comes in: what was counted before a reset is replayed by the run that it leads to.
    const elsewhere = otherRun(ballot.vote, workflowInfo().runId);
    if (elsewhere !== null) throw refusal(elsewhere);
    if (this.outcome && !ballot.repeated) throw refusal(`The gate "${ballot.vote.gate}" has been decided already.`);
  }

  private decide(input: unknown): DecideResult {
    // A vote that came in the same moment may have decided the gate since the validator looked.
    const ballot = examine(input, this.gate, this.votes);
    if (!ballot.ok) throw refusal(ballot.sentence);
    const { gate, decision, by } = ballot.vote;
    if (!ballot.repeated) this.count(ballot.vote);
    const verb = VERBS[decision];
    return { accepted: true, gate, decision, by, message: ballot.repeated ? `${by} had ${verb} "${gate}" already.` : `${by} ${verb} "${gate}".` };
  }

  private note(input: unknown): void {
    const ballot = examine(input, this.gate, this.votes);
    if (ballot.ok) {
      if (!ballot.repeated && !this.outcome) this.count(ballot.vote);
      return;
    }
    const said = input !== null && typeof input === 'object' ? (input as Record<string, unknown>) : {};
    const text = (value: unknown): string => (typeof value === 'string' ? value.slice(0, 200) : '');
    this.remember({ gate: text(said.gate), decision: said.decision === 'reject' || said.decision === 'retry' ? said.decision : 'approve', by: text(said.by), planDigest: text(said.planDigest), at: now(), counted: false, note: ballot.sentence });
  }

  private count(vote: DecideInput): void {
    const counted: Vote = { ...vote, at: now(), counted: true };
    this.remember(counted);
    this.outcome = counted;
  }

  private remember(vote: Vote): void {
    if (this.votes.length >= MAX_VOTES) {
      const idle = this.votes.findIndex((v) => !v.counted);
      this.votes.splice(Math.max(idle, 0), 1);
    }
    this.votes.push(vote);
  }

  private finish(step: StepView, state: 'done' | 'failed', bytes?: number): void {
    step.state = state;
    step.endedAt = now();
    // A step that ran twice (after a collection, or a wait at a gate) counts with both times.
    const before = this.stages.find((s) => s.name === step.name);
    const seconds = secondsSince(step.startedAt ?? step.endedAt);
    if (before) before.seconds += seconds;
    else this.stages.push({ name: step.name, title: step.title, seconds });
    if (bytes !== undefined) this.stages.find((s) => s.name === step.name)!.bytes = bytes;
    this.publish();
  }

  private view(): OperationView {
    const { type, cluster, backupId, stage, gate, startedBy } = this;
    const view: OperationView = { type, cluster, backupId, stage, steps: this.steps, gate, votes: this.votes, warnings: [...this.warnings, ...this.troubles.values()], startedBy };
    return this.isCancelling ? { ...view, cancelling: true } : view;
  }

  /** Makes the state readable where no worker is needed (memo) and in the UI (current details). */
  private publish(): void {
    const memo: OperationMemo = { type: this.type, cluster: this.cluster, stage: this.stage, gate: this.gate, ...(this.backupId === undefined ? {} : { backupId: this.backupId }) };
    upsertMemo({ [MEMO_KEY]: memo });
    setCurrentDetails(this.markdown());
  }

  private markdown(): string {
    const lines: string[] = [];
    if (this.isCancelling) lines.push(this.cancellingText(), '');
    // What is wrong at this moment comes before all else.
    for (const trouble of this.troubles.values()) lines.push(`**Warning:** ${trouble}`, '');
    if (this.gate) lines.push(...gateLines(this.gate), '');
    lines.push('| Step | State | |', '| --- | --- | --- |');
    for (const step of this.steps) lines.push(`| ${cell(step.title)} | ${step.state} | ${cell(step.note ?? '')} |`);
    for (const warning of this.warnings) lines.push('', `Warning: ${warning}`);
    for (const list of this.lists) lines.push(...listLines(list));
    // The UI cuts off the last lines of what it draws. The letter itself, since the UI shows its name as it is written.
    return [...lines, '', '\u00a0', '', '\u00a0'].join('\n');
  }

  private cancellingText(): string {
    const running = this.steps.filter(({ state }) => state === 'running').map(({ title }) => title);
    if (running.length === 0) return '**Cancelling.**';
    return `**Cancelling:** waiting for *${running.join('*, *')}* to end. Only then is anything put back that it changed.`;
  }
}

function gateLines(gate: Gate): string[] {
  return [
    `## Waiting for people at the gate \`${gate.name}\``, '', gate.question, '',
    ...gate.choices.map(({ decision, means }) => `- \`${decision}\`: ${means}`), '',
    `planDigest: \`${gate.planDigest}\``, '', `Approvers: ${gate.approvers.join(', ')}`, '', gate.details,
  ];
}

/** Text as a cell of a table in markdown. */
function cell(text: string): string {
  return text.replace(/\|/g, '\\|').replace(/\s*\n\s*/g, ' ');
}

function refusal(sentence: string): ApplicationFailure {
  const failure = fail('Refused', sentence);
  // The UI shows whatever stands here below the sentence; people need no stack.
  failure.stack = '';
  return failure;
}

function now(): string {
  // Inside a workflow the clock is Temporal's, and the same on replay.
  return new Date().toISOString();
}

function secondsSince(start: string): number {
  return Math.max(0, (Date.parse(now()) - Date.parse(start)) / 1000);
}
