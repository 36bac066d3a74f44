/** Puts back what a run had changed: tried for days, whatever the error, and shown meanwhile. */
import { CancellationScope, isCancellation, sleep } from '@temporalio/workflow';
import type { Policy } from '../activities/contract';
import { fail, sentenceOf } from './failures';
import type { Operation } from './operation';
import { spanOf } from './text';

/** Between two rounds that failed for good, by the number of rounds before: errors that mend themselves are tried again within a round. */
const PAUSES_S = [1, 2, 5, 10, 30];
const LONGEST_PAUSE_S = 300;

export interface PutBackRequest<T> {
  /** Of its warning among the others. */
  key: string;
  /** What stays as it is until this succeeds: `the crons onlinegc ("0 0 1 * * *") are switched off`. */
  state: string;
  /** What a person does about it when it is given up. */
  remedy: string;
  /** One round, by the proxy `round`. */
  run: () => Promise<T>;
}

/** Begins at once, and goes on beside whatever the run does next. A cancel of the run does not touch it; only `endOrGiveUp` does. */
export class PuttingBack<T> {
  private readonly ended: Promise<T>;
  /** Cancelled when it is given up, and by nothing else. */
  private readonly rounds = new CancellationScope({ cancellable: true, parent: new CancellationScope({ cancellable: false }) });
  private readonly began = Date.now();
  private isShown = false;
  private isOver = false;
  private failure = '';

  constructor(
    private readonly operation: Operation,
    private readonly policy: Policy['putBack'],
    private readonly request: PutBackRequest<T>,
  ) {
    this.ended = CancellationScope.nonCancellable(() => this.begin());
    // Whoever needs the outcome asks for it; until then a failure is not one that nobody handles.
    this.ended.catch(() => undefined);
  }

  /** Waits until it has ended, but no longer than until it is shown as a warning. A cancel of the run is not felt here. */
  async untilShown(): Promise<void> {
    const left = this.began + this.policy.warnAfter * 1000 - Date.now();
    if (this.isOver || left <= 0) return;
    await CancellationScope.nonCancellable(async () => {
      await Promise.race([this.ended.catch(() => undefined), sleep(left, { summary: 'then the run goes on beside what is put back' })]);
    });
  }

  /** Waits until it has ended, for days if need be. Throws when it was given up. */
  end(): Promise<T> {
    return CancellationScope.nonCancellable(() => this.ended);
  }

  /** The same, but once it is shown as a warning, a cancel of the run (an earlier one, too) gives it up: throws NotPutBack that says what stays changed. */
  async endOrGiveUp(): Promise<T> {
    await this.untilShown();
    if (this.isOver) return this.ended;
    try {
      return await Promise.race([this.ended, CancellationScope.current().cancelRequested]);
    } catch (error) {
      if (!isCancellation(error)) throw error;
      this.rounds.cancel();
      // The round in progress may still succeed.
      return await this.end().catch(() => {
        throw this.givenUp('The run was cancelled while it was tried');
      });
    }
  }

  private async begin(): Promise<T> {
    const watching = this.rounds.run(() => this.showLater()).catch(() => undefined);
    try {
      return await this.rounds.run(() => this.loop());
    } finally {
      this.isOver = true;
      this.rounds.cancel();
      await watching;
      this.operation.trouble(this.request.key, null);
      if (this.isShown) this.operation.warn(`For ${spanOf(Date.now() - this.began)} ${this.request.state}.`);
    }
  }

  private async loop(): Promise<T> {
    for (let failed = 0; ; failed += 1) {
      try {
        return await this.request.run();
      } catch (error) {
        if (isCancellation(error)) throw error;
        this.failure = sentenceOf(error);
        this.show();
        if (Date.now() - this.began > this.policy.giveUpAfter * 1000) throw this.givenUp(`It was tried for ${spanOf(Date.now() - this.began)}`);
        await sleep((PAUSES_S[failed] ?? LONGEST_PAUSE_S) * 1000, { summary: 'before it is tried again' });
      }
    }
  }

  private async showLater(): Promise<void> {
    await sleep(this.policy.warnAfter * 1000, { summary: 'then it is shown as a warning' });
    this.isShown = true;
    this.show();
  }

  private show(): void {
    if (!this.isShown || this.isOver) return;
    const last = this.failure === '' ? '' : ` The last failure: ${this.failure}`;
    this.operation.trouble(this.request.key, `STILL ${this.request.state}; it is tried again and again.${last}`);
  }

  private givenUp(why: string): Error {
    const last = this.failure === '' ? '' : `: ${this.failure}`;
    return fail('NotPutBack', `${why}${last}. Now ${this.request.state}.`, this.request.remedy);
  }
}
