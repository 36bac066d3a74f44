/** What a run tells while it goes on: lines for what changed, bars for what moves. */
import { MultiBar, type SingleBar } from 'cli-progress';
import type { Gate, StepView } from '../domain/contract';
import type { Console } from './console';
import type { ActivityView, Snapshot } from './follow';
import { between, bytes, seconds, visible } from './format';

export interface Progress {
  update(snapshot: Snapshot): void;
  note(text: string): void;
  /** Takes the bars away so that a question can be asked; the next update brings them back. */
  pause(): void;
  end(): void;
}

/** Bars where a person looks on, plain lines elsewhere. */
export function createProgress(screen: Console): Progress {
  return screen.interactive ? new BarProgress(screen) : new LineProgress(screen);
}

/** How a person votes from another shell. */
export function howToVote(workflowId: string, gate: Gate): string[] {
  const who = gate.approvers.join(' or ');
  return [
    `${who} can decide, here in another shell or in the Temporal UI:`,
    ...gate.choices.map(({ decision }) => `  drydock ${decision.padEnd(7)} ${workflowId} --gate ${gate.name} --plan-digest ${gate.planDigest} --by NAME --reason TEXT`),
    ...gate.choices.map(({ decision, means }) => `  ${decision}: ${means}`),
  ];
}

/** Lines for all that has changed between two looks; `previous` is undefined for the first. */
export function changes(previous: Snapshot | undefined, next: Snapshot): string[] {
  return [
    ...stageChanges(previous, next),
    ...newEntries(previous?.view?.warnings, next.view?.warnings).map((text) => `warning: ${text}`),
    ...newEntries(previous?.view?.votes, next.view?.votes).map((vote) => `${vote.by}: ${vote.decision} at gate ${vote.gate}${vote.counted ? '' : ` (has no effect${vote.note ? `: ${vote.note}` : ''})`}`),
    ...next.activities.flatMap((activity) => retryLine(previous?.activities.find((a) => a.id === activity.id), activity)),
    ...gateChanges(previous, next),
  ];
}

function stageChanges(previous: Snapshot | undefined, next: Snapshot): string[] {
  if (!next.view) return previous?.run.stage === next.run.stage ? [] : [`stage: ${next.run.stage}`];
  return next.view.steps.flatMap((step) => {
    const before = previous?.view?.steps.find((s) => s.name === step.name);
    return before?.state === step.state ? [] : stepLine(step);
  });
}

function stepLine(step: StepView): string[] {
  const note = step.note ? `: ${step.note}` : '';
  switch (step.state) {
    case 'waiting':
      return [];
    case 'running':
      return [`${step.title} ...`];
    case 'done':
      return [`${step.title} done${step.startedAt && step.endedAt ? ` in ${seconds(between(step.startedAt, step.endedAt))}` : ''}${note}`];
    case 'skipped':
      return [`${step.title} skipped${note}`];
    case 'failed':
      return [`${step.title} failed${note}`];
  }
}

function newEntries<T>(previous: T[] | undefined, next: T[] | undefined): T[] {
  return (next ?? []).slice(previous?.length ?? 0);
}

function retryLine(previous: ActivityView | undefined, activity: ActivityView): string[] {
  if (activity.attempt <= 1 || activity.attempt === previous?.attempt) return [];
  return [`${activity.type}: attempt ${activity.attempt}${activity.lastFailure ? `, because ${activity.lastFailure}` : ''}`];
}

function gateChanges(previous: Snapshot | undefined, next: Snapshot): string[] {
  const gate = next.run.gate;
  if (!gate || (previous?.run.gate?.name === gate.name && previous.run.gate.planDigest === gate.planDigest)) return [];
  return ['', `Waiting at gate "${gate.name}": ${gate.question}`, '', ...gate.details.split('\n'), '', `Plan digest ${gate.planDigest}`, ...howToVote(next.run.workflowId, gate), ''];
}

/** `12.3 MiB of 40.0 MiB (31 %), 12/88 blobs`. */
function amount(activity: ActivityView): string | undefined {
  const p = activity.progress;
  if (!p) return undefined;
  const total = p.bytesTotal ? ` of ${bytes(p.bytesTotal)} (${Math.floor((100 * p.bytesDone) / p.bytesTotal)} %)` : '';
  const items = p.itemsDone === undefined ? '' : `, ${p.itemsDone}${p.itemsTotal === undefined ? '' : `/${p.itemsTotal}`} items`;
  return `${p.phase} ${bytes(p.bytesDone)}${total}${items}`;
}

const LINE_EVERY_MS = 10_000;

class LineProgress implements Progress {
  private previous: Snapshot | undefined;
  private nextAmount = Date.now() + LINE_EVERY_MS;

  constructor(private readonly screen: Console) {}

  update(snapshot: Snapshot): void {
    for (const line of changes(this.previous, snapshot)) this.note(line);
    this.previous = keepView(this.previous, snapshot);
    if (Date.now() < this.nextAmount) return;
    this.nextAmount = Date.now() + LINE_EVERY_MS;
    for (const activity of snapshot.activities) {
      const text = amount(activity);
      if (text) this.note(text);
    }
  }

  note(text: string): void {
    this.screen.say(text === '' ? '' : `${new Date().toISOString().slice(11, 19)}  ${text}`);
  }

  pause(): void {
    // Lines need no room on the screen.
  }

  end(): void {
    // Nothing is left open.
  }
}

class BarProgress implements Progress {
  private previous: Snapshot | undefined;
  private multi: MultiBar | undefined;
  private readonly bars = new Map<string, SingleBar>();

  constructor(private readonly screen: Console) {}

  update(snapshot: Snapshot): void {
    const lines = changes(this.previous, snapshot);
    this.previous = keepView(this.previous, snapshot);
    if (lines.length > 0) {
      this.pause();
      for (const line of lines) this.say(line);
    }
    if (snapshot.run.endedAt === null) this.draw(snapshot.activities.filter((activity) => activity.progress !== undefined));
  }

  note(text: string): void {
    this.pause();
    this.say(this.screen.colors.yellow(text));
  }

  pause(): void {
    this.multi?.stop();
    this.multi = undefined;
    this.bars.clear();
  }

  end(): void {
    this.pause();
  }

  private say(line: string): void {
    const { colors } = this.screen;
    if (/ done( in|$|:)/.test(line)) this.screen.say(`${colors.green('✓')} ${line}`);
    else if (/ failed(:|$)/.test(line)) this.screen.say(`${colors.red('✗')} ${line}`);
    else if (line.startsWith('Waiting at gate')) this.screen.say(colors.bold(line));
    else this.screen.say(line.startsWith('warning:') ? colors.yellow(line) : line);
  }

  private draw(activities: ActivityView[]): void {
    for (const [id, bar] of this.bars) {
      if (activities.some((activity) => activity.id === id)) continue;
      this.multi?.remove(bar);
      this.bars.delete(id);
    }
    for (const activity of activities) {
      const { bytesDone = 0, bytesTotal = 0 } = activity.progress ?? {};
      // A bar without a known end would stand at 100 %, so it is drawn against twice what is done.
      const total = bytesTotal > 0 ? bytesTotal : Math.max(1, bytesDone * 2);
      const text = { text: visible(amount(activity) ?? '') };
      const bar = this.bars.get(activity.id);
      if (bar) {
        bar.setTotal(total);
        bar.update(Math.min(bytesDone, total), text);
      } else {
        this.multi ??= new MultiBar({ format: '  {bar} {text}', barsize: 24, hideCursor: true, clearOnComplete: true, linewrap: false, stopOnComplete: false, stream: process.stderr, barCompleteChar: '█', barIncompleteChar: '░' });
        this.bars.set(activity.id, this.multi.create(total, Math.min(bytesDone, total), text));
      }
    }
    this.multi?.update();
  }
}

/** While no worker answers, the last view known stands, so that its steps are not told twice. */
function keepView(previous: Snapshot | undefined, next: Snapshot): Snapshot {
  return next.view ? next : { ...next, view: previous?.view };
}
