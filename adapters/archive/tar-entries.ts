/** A tar archive as a sequence of members whose data can be read one after the other. */
import type { TarMember } from './tar-header';
import { TarParser } from './tar-parser';

export interface TarEntry extends TarMember {
  /** Where the data starts in the archive. */
  dataOffset: number;
  /** The data; what is not read when the next entry is asked for is skipped. */
  data: AsyncIterable<Buffer>;
}

type Event = { kind: 'member'; member: TarMember; dataOffset: number } | { kind: 'data'; chunk: Buffer } | { kind: 'end' };

/** Yields the members in order. Throws IntegrityMismatch when the archive is damaged or cut short. */
export async function* readTar(source: AsyncIterable<Buffer>): AsyncGenerator<TarEntry> {
  const events = eventsOf(source);
  try {
    for (;;) {
      const next = await events.next();
      if (next.done) return;
      if (next.value.kind !== 'member') continue;
      const data = new MemberData(events);
      yield { ...next.value.member, dataOffset: next.value.dataOffset, data: data.read() };
      await data.skipRest();
    }
  } finally {
    // Lets go of the source when the reader stops early.
    await events.return(undefined);
  }
}

class MemberData {
  private ended = false;

  constructor(private readonly events: AsyncGenerator<Event>) {}

  async *read(): AsyncGenerator<Buffer> {
    for (let chunk = await this.next(); chunk; chunk = await this.next()) yield chunk;
  }

  async skipRest(): Promise<void> {
    while (await this.next());
  }

  private async next(): Promise<Buffer | null> {
    if (this.ended) return null;
    const step = await this.events.next();
    if (!step.done && step.value.kind === 'data') return step.value.chunk;
    this.ended = true;
    return null;
  }
}

async function* eventsOf(source: AsyncIterable<Buffer>): AsyncGenerator<Event> {
  let queue: Event[] = [];
  const parser = new TarParser({
    member: (member, dataOffset) => queue.push({ kind: 'member', member, dataOffset }),
    data: (chunk) => queue.push({ kind: 'data', chunk }),
    memberEnd: () => queue.push({ kind: 'end' }),
  });
  for await (const chunk of source) {
    parser.write(chunk);
    const ready = queue;
    queue = [];
    yield* ready;
  }
  parser.end();
}
