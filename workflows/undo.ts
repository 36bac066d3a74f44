import { CancellationScope } from '@temporalio/workflow';
import type { Operation } from './operation';
import { sentenceOf } from './failures';

/** What takes back the steps done so far, last first. Each is registered before its step acts, so each must bear having nothing to do. */
export class Undo {
  private readonly actions: { title: string; run: () => Promise<void> }[] = [];

  constructor(private readonly operation: Operation) {}

  add(title: string, run: () => Promise<void>): void {
    this.actions.push({ title, run });
  }

  /** From here on nothing can be taken back. */
  forget(): void {
    this.actions.length = 0;
  }

  /** Runs whatever was cancelled; an undo that fails is a warning that names it, and the others still run. Returns those warnings. */
  async run(): Promise<string[]> {
    const failed: string[] = [];
    await CancellationScope.nonCancellable(async () => {
      for (let action = this.actions.pop(); action; action = this.actions.pop()) {
        try {
          await action.run();
        } catch (error) {
          failed.push(`could not ${action.title}: ${sentenceOf(error)}`);
        }
      }
    });
    this.operation.warn(...failed);
    return failed;
  }
}
