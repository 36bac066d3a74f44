import { setTimeout as sleep } from 'node:timers/promises';

/** So much may pass at once after a pause: a quarter of a second's worth. */
const BURST_SECONDS = 0.25;
/** A limit that changes with the time of day is noticed within this time. */
const LONGEST_WAIT_MS = 1_000;

/** Keeps several streams together below a rate. `bytesPerSecond` is asked each time, so that it may change by the hour; null means no limit. */
export class RateLimit {
  /** When the bytes that have passed so far are paid for. */
  private paidUntil = 0;

  constructor(
    private readonly bytesPerSecond: () => number | null,
    private readonly now: () => number = Date.now,
  ) {}

  /** Resolves when these bytes may pass. Rejects with the signal's reason. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    for (;;) {
      const rate = this.bytesPerSecond();
      if (rate === null) return;
      const now = this.now();
      this.paidUntil = Math.max(this.paidUntil, now - BURST_SECONDS * 1000);
      if (this.paidUntil <= now) {
        this.paidUntil += (bytes / rate) * 1000;
        return;
      }
      await sleep(Math.min(this.paidUntil - now, LONGEST_WAIT_MS), undefined, { signal });
    }
  }
}
