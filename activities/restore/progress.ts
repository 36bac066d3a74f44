/** Heartbeats of one step: regular, with what is done so far. */
import { Context } from '@temporalio/activity';
import type { Heartbeat } from '../../domain/contract';

const BEAT_MS = 3_000;

export class Progress {
  private now: Heartbeat;
  private readonly context = Context.current();
  private readonly timer: NodeJS.Timeout;

  constructor(phase: string) {
    this.now = { phase, bytesDone: 0 };
    this.beat();
    this.timer = setInterval(() => this.beat(), BEAT_MS);
  }

  /** Shown with the next beat. */
  update(change: Partial<Heartbeat>): void {
    this.now = { ...this.now, ...change };
  }

  /** Kept by the server at once, for the next attempt of this step. */
  remember(cursor: unknown): void {
    this.now = { ...this.now, cursor };
    this.beat();
  }

  /** What an earlier attempt of this step remembered. */
  get remembered(): unknown {
    const details = this.context.info.heartbeatDetails as Partial<Heartbeat> | undefined;
    return details?.cursor;
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private beat(): void {
    this.context.heartbeat(this.now);
  }
}

/** Beats while the work runs. */
export async function withProgress<T>(phase: string, work: (progress: Progress) => Promise<T>): Promise<T> {
  const progress = new Progress(phase);
  const before = progress.remembered;
  // A beat without it would make the server forget what the earlier attempt said.
  if (before !== undefined) progress.remember(before);
  try {
    return await work(progress);
  } finally {
    progress.stop();
  }
}
