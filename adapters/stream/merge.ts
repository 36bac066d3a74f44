/** So much may wait for the reader, for each source. */
const AHEAD = 16;

/**
 * Yields what several generators yield, as it comes. When one fails or the reader stops early, `stop` is called, which must make the others
 * end, and their end is waited for.
 */
export async function* merge<T>(sources: AsyncGenerator<T>[], stop: () => void): AsyncGenerator<T> {
  const queue = new MergeQueue<T>(sources.length * AHEAD);
  const feeding = sources.map((source) => queue.feed(source));
  try {
    for (let next = await queue.next(); next !== undefined; next = await queue.next()) yield next.value;
  } finally {
    queue.close();
    if (queue.open > 0) stop();
    await Promise.all(feeding);
  }
}

/** What the sources have yielded and the reader has not taken; a full one holds the sources back. Nothing is waited for twice: a promise keeps all that ever waited for it. */
class MergeQueue<T> {
  /** Sources that have not ended. */
  open = 0;
  private values: T[] = [];
  private failure: { error: unknown } | undefined;
  private closed = false;
  private waiting: (() => void)[] = [];

  constructor(private readonly room: number) {}

  /** Takes a source to its end. Never rejects: the reader gets its error. */
  async feed(source: AsyncGenerator<T>): Promise<void> {
    this.open += 1;
    try {
      for await (const value of source) {
        this.values.push(value);
        this.notify();
        while (this.values.length >= this.room && !this.isOver) await this.change();
        if (this.isOver) break;
      }
    } catch (error) {
      this.failure ??= { error };
    } finally {
      this.open -= 1;
      this.notify();
    }
  }

  /** The next value; undefined when all sources have ended. Throws the first failure of any, behind what had come before it. */
  async next(): Promise<{ value: T } | undefined> {
    while (this.values.length === 0) {
      if (this.failure !== undefined) throw this.failure.error;
      if (this.open === 0) return undefined;
      await this.change();
    }
    const value = this.values.shift()!;
    this.notify();
    return { value };
  }

  /** The reader takes no more. */
  close(): void {
    this.closed = true;
    this.notify();
  }

  private get isOver(): boolean {
    return this.closed || this.failure !== undefined;
  }

  private change(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  private notify(): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const resolve of waiting) resolve();
  }
}
