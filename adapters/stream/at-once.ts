/** Work on many things at the same time, but not on all of them. */

/**
 * Results in the order of `items`; at most `limit` of them are under way. After an error no further one is begun, and it is thrown when those under way
 * have ended, so that nothing goes on behind the caller's back.
 */
export async function mapAtOnce<T, R>(items: readonly T[], limit: number, work: (item: T, at: number) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const at = next;
      next += 1;
      try {
        results[at] = await work(items[at]!, at);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
  return results;
}

/**
 * Results in the order of `items`, at most `limit` of them under way or waiting to be taken. Whoever stops early leaves nothing behind: what is under way is
 * waited for, and its outcome dropped.
 */
export async function* readAhead<T, R>(items: Iterable<T> | AsyncIterable<T>, limit: number, work: (item: T) => Promise<R>): AsyncGenerator<R> {
  const waiting: Promise<R>[] = [];
  try {
    for await (const item of items) {
      const started = work(item);
      // Awaited in its turn; an error before that must not end the process.
      started.catch(() => undefined);
      waiting.push(started);
      if (waiting.length >= limit) yield await waiting.shift()!;
    }
    while (waiting.length > 0) yield await waiting.shift()!;
  } finally {
    await Promise.allSettled(waiting);
  }
}
