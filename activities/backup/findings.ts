import { DrydockError } from '../../domain/errors';

/** Collects what stands in the way, so that a person hears all of it at once. */
export class Findings {
  private readonly errors: DrydockError[] = [];

  add(message: string, remedy: string): void {
    this.note(new DrydockError('Refused', message, { remedy }));
  }

  /** Runs a part of the check; what goes wrong becomes a finding and the answer undefined. Other errors than ours pass through. */
  async attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DrydockError)) throw error;
      this.note(error);
      return undefined;
    }
  }

  /** Two parts of the check may trip over the same thing, which is told once. */
  private note(error: DrydockError): void {
    if (!this.errors.some(({ kind, message }) => kind === error.kind && message === error.message)) this.errors.push(error);
  }

  get any(): boolean {
    return this.errors.length > 0;
  }

  /**
   * Throws when there is any finding: one alone as it is, several as one Refused. Where all of them may mend themselves (a host that
   * does not answer), the error keeps a kind that is worth repeating.
   */
  throwIfAny(): void {
    const [first] = this.errors;
    if (first === undefined) return;
    if (this.errors.length === 1) throw first;
    const kind = this.errors.every((error) => error.retryable) ? first.kind : 'Refused';
    const sentences = this.errors.map(({ message, remedy }, at) => `(${at + 1}) ${message}${remedy === undefined ? '' : ` - ${remedy}`}`);
    throw new DrydockError(kind, `${this.errors.length} things stand in the way: ${sentences.join('; ')}`, {
      remedy: 'mend each of them, then start the backup again',
      details: { findings: this.errors.map(({ kind: each, message, remedy }) => ({ kind: each, message, remedy: remedy ?? '' })) },
    });
  }
}
