import { DrydockError } from '../../domain/errors';
import type { Finding } from '../../domain/restore-plan';

/** Collects all that speaks against a restore, so that a person hears it at once. */
export class Refusals {
  private readonly found: DrydockError[] = [];

  constructor(private readonly signal: AbortSignal | undefined) {}

  add(...findings: Finding[]): void {
    for (const { what, remedy } of findings) this.found.push(new DrydockError('Refused', what, { remedy }));
  }

  /** Runs one check; its error becomes a reason and the answer undefined. */
  async attempt<T>(check: () => Promise<T>): Promise<T | undefined> {
    try {
      return await check();
    } catch (error) {
      this.signal?.throwIfAborted();
      if (!(error instanceof DrydockError)) throw error;
      if (!this.found.some(({ message }) => message === error.message)) this.found.push(error);
      return undefined;
    }
  }

  /** One reason keeps its kind, where that is final; several become one Refused. */
  throwIfAny(): void {
    const [first] = this.found;
    if (first === undefined) return;
    if (this.found.length === 1 && !first.retryable) throw first;
    const sentences = this.found.map(({ message, remedy }, at) => `(${at + 1}) ${message}${remedy === undefined ? '' : `. Remedy: ${remedy}`}`);
    const count = this.found.length === 1 ? 'one reason speaks' : `${this.found.length} reasons speak`;
    throw new DrydockError('Refused', `nothing was changed, ${count} against this restore: ${sentences.join('; ')}`, {
      remedy: 'mend what is named, then start the restore again',
      details: { findings: this.found.map(({ kind, message, remedy }) => ({ kind, message, remedy: remedy ?? '' })) },
    });
  }
}
