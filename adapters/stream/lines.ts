const NEWLINE = 0x0a;

/**
 * The lines of a UTF-8 text without their ends, many at a time: an iterator's step for each of a million lines costs more than what is done with them. `refuse` makes
 * the error for a line of more than `maxLineBytes`, which would otherwise be gathered in memory.
 */
export async function* linesOf(source: AsyncIterable<Buffer>, maxLineBytes: number, refuse: () => Error): AsyncGenerator<string[]> {
  for await (const block of blocksOf(source, maxLineBytes, refuse)) yield block.toString('utf8').split('\n');
}

/** As `linesOf`, not yet taken apart: whole lines, without the end of the last one. */
export async function* blocksOf(source: AsyncIterable<Buffer>, maxLineBytes: number, refuse: () => Error): AsyncGenerator<Buffer> {
  let carried: Buffer[] = [];
  let carriedBytes = 0;
  for await (const chunk of source) {
    const end = chunk.lastIndexOf(NEWLINE);
    if (end < 0) {
      carried.push(chunk);
      carriedBytes += chunk.length;
    } else {
      const whole = chunk.subarray(0, end);
      yield carriedBytes === 0 ? whole : Buffer.concat([...carried, whole]);
      carried = end + 1 === chunk.length ? [] : [chunk.subarray(end + 1)];
      carriedBytes = chunk.length - end - 1;
    }
    if (carriedBytes > maxLineBytes) throw refuse();
  }
  if (carriedBytes > 0) yield Buffer.concat(carried);
}
