/**
 * How long a step without a limit of attempts goes on: as long as it gets anywhere. Attempts in a row that got no further than those before are
 * counted across attempts and workers, in the heartbeat; the last of them is final.
 */
import { ApplicationFailure } from '@temporalio/common';
import type { Info } from '@temporalio/activity';
import type { Heartbeat } from '../domain/contract';

/** With the pauses of `long` that is some seven minutes in which nothing moves. */
export const FRUITLESS_ATTEMPTS = 12;

/** Kept in the heartbeat: how far any attempt has come, and how many in a row, this one included, have come no further. */
export interface Reached {
  bytes: number;
  items: number;
  fruitless: number;
}

export class Patience {
  private readonly before: Reached;
  private now: Reached;

  constructor(info: Pick<Info, 'heartbeatDetails'>) {
    const kept = (info.heartbeatDetails as (Heartbeat & { reached?: Reached }) | undefined)?.reached;
    // What the attempts before could not say (a worker that died in its first second) counts as nothing reached.
    this.before = kept ?? { bytes: 0, items: 0, fruitless: 0 };
    this.now = { ...this.before, fruitless: this.before.fruitless + 1 };
  }

  /** The same report, with what the next attempt has to know. */
  note(progress: Heartbeat | undefined): { reached: Reached } {
    const { bytesDone = 0, itemsDone = 0 } = progress ?? {};
    const goesOn = bytesDone > this.before.bytes || itemsDone > this.before.items;
    this.now = { bytes: Math.max(this.now.bytes, bytesDone), items: Math.max(this.now.items, itemsDone), fruitless: goesOn ? 0 : this.now.fruitless };
    return { ...progress, reached: this.now };
  }

  /** The failure of this attempt, final when it was the last that may come to nothing. */
  judge(failure: ApplicationFailure): ApplicationFailure {
    if (failure.nonRetryable || this.now.fruitless < FRUITLESS_ATTEMPTS) return failure;
    return ApplicationFailure.create({
      type: failure.type ?? undefined, nonRetryable: true, details: failure.details ?? undefined, cause: failure.cause,
      message: `${failure.message} (${this.now.fruitless} attempts in a row got no further)`,
    });
  }
}

/** True for steps whose attempts nobody else bounds: neither by number nor by time. */
export function isBoundByProgress({ retryPolicy, scheduleToCloseTimeoutMs }: Pick<Info, 'retryPolicy' | 'scheduleToCloseTimeoutMs'>): boolean {
  return !retryPolicy?.maximumAttempts && !scheduleToCloseTimeoutMs;
}
