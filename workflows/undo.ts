import type { Policy } from '../activities/contract';
import { sentenceOf } from './failures';
import type { Operation } from './operation';
import { PuttingBack, type PutBackRequest } from './put-back';

/** What takes back the steps done so far, last first. Each is registered before its step acts, so each must bear having nothing to do. */
export class Undo {
  private readonly actions: PutBackRequest<void>[] = [];
  private readonly staying: string[] = [];

  constructor(
    private readonly operation: Operation,
    private readonly policy: Policy['putBack'],
  ) {}

  add(action: PutBackRequest<void>): void {
    this.actions.push(action);
  }

  /** What stays changed whatever comes, as a sentence for whoever ends the run. */
  cannotUndo(sentence: string): void {
    this.staying.push(sentence);
  }

  /** From here on nothing can be taken back. */
  forget(): void {
    this.actions.length = 0;
  }

  /** Runs whatever was cancelled, each action for days if need be; one that is given up is answered as a sentence, as is what cannot be undone, and the others still run. */
  async run(): Promise<string[]> {
    const failed: string[] = [];
    for (let action = this.actions.pop(); action; action = this.actions.pop()) {
      try {
        await new PuttingBack(this.operation, this.policy, action).end();
      } catch (error) {
        failed.push(sentenceOf(error));
      }
    }
    this.operation.warn(...failed);
    return [...failed, ...this.staying];
  }
}
