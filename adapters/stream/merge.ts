/**
 * Yields what several generators yield, as it comes. When one fails or the reader stops early, `stop` is called, which must make the others
 * end, and their end is waited for.
 */
export async function* merge<T>(sources: AsyncGenerator<T>[], stop: () => void): AsyncGenerator<T> {
  const waiting = new Map(sources.map((source) => [source, step(source)]));
  try {
    while (waiting.size > 0) {
      const { source, result } = await Promise.race(waiting.values());
      if (result.done) {
        waiting.delete(source);
      } else {
        waiting.set(source, step(source));
        yield result.value;
      }
    }
  } finally {
    if (waiting.size > 0) stop();
    const ends = [...waiting].map(async ([source, pending]) => {
      await Promise.allSettled([pending, source.return(undefined)]);
    });
    await Promise.all(ends);
  }
}

async function step<T>(source: AsyncGenerator<T>): Promise<{ source: AsyncGenerator<T>; result: IteratorResult<T> }> {
  return { source, result: await source.next() };
}
