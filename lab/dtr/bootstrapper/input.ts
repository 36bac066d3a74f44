import type { Duplex } from 'node:stream';
import { once } from 'node:events';
import { Fatal } from '../common/log';
import { archiveVersion } from './archive';

/** Writes the input to an attached container's standard input and ends it; a container that stops reading ends the feeding. */
export async function storeOnNode(stream: Duplex, input?: AsyncIterable<Buffer>): Promise<void> {
  if (!input) return;
  let open = true;
  stream.once('close', () => (open = false));
  stream.on('error', () => (open = false));
  for await (const chunk of input) {
    if (!open) return;
    if (!stream.write(chunk)) await Promise.race([once(stream, 'drain'), once(stream, 'close')]).catch(() => undefined);
  }
  if (open) stream.end();
}

/**
 * Looks at the first entry of an archive on standard input before anything is changed. Returns the whole input again.
 * Throws Fatal on an empty input, on something else than an archive, and on one of another version.
 */
export async function openArchive(input: AsyncIterable<Buffer>, version: string): Promise<AsyncIterable<Buffer>> {
  const iterator = input[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  while (head.length < 512) {
    const next = await iterator.next();
    if (next.done) break;
    head = Buffer.concat([head, next.value]);
  }
  if (head.length === 0) throw new Fatal('Failed to restore: the backup on standard input is empty: EOF');
  if (head.length < 512) throw new Fatal('Failed to restore: the backup on standard input is cut off: unexpected EOF');
  const name = head.subarray(0, 100).toString().replace(/\0.*$/, '');
  const found = archiveVersion(name);
  if (found === null) throw new Fatal('Failed to restore: standard input is not a DTR backup: archive/tar: invalid tar header');
  if (found !== version) throw new Fatal(`Failed to restore: the backup was created by DTR version ${found}, but this is version ${version}. Restore with the version of the backup`);
  return resume(head, iterator);
}

async function* resume(head: Buffer, iterator: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield head;
  for (;;) {
    const next = await iterator.next();
    if (next.done) return;
    yield next.value;
  }
}
