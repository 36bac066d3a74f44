/** What a step has done so far, for its heartbeats; and what it wants the next attempt to know. */
import { activityInfo } from '@temporalio/activity';
import type { Heartbeat } from '../../domain/contract';
import { report } from '../pulse';

/** Streams report each chunk; people need no more than this. */
const REPORT_MS = 500;

export class Progress {
  private now: Heartbeat;
  private reportedAt = 0;

  constructor(phase: string) {
    const before = this.remembered;
    // A beat without it would make the server forget what the earlier attempt said.
    this.now = { phase, bytesDone: 0, ...(before === undefined ? {} : { cursor: before }) };
    this.send();
  }

  update(change: Partial<Heartbeat>): void {
    const { phase } = this.now;
    this.now = { ...this.now, ...change };
    if (this.now.phase !== phase || Date.now() - this.reportedAt > REPORT_MS) this.send();
  }

  /** Kept for the next attempt of this step. */
  remember(cursor: unknown): void {
    this.now = { ...this.now, cursor };
    this.send();
  }

  /** What an earlier attempt of this step remembered. */
  get remembered(): unknown {
    return (activityInfo().heartbeatDetails as Partial<Heartbeat> | undefined)?.cursor;
  }

  private send(): void {
    this.reportedAt = Date.now();
    report(this.now);
  }
}
