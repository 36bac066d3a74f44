import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Spool } from '../../adapters/stream/spool';
import { collect, scratchDirectory, type Scratch } from '../helpers/vault';

const KIB = 1024;

describe('a spool', () => {
  let scratch: Scratch;
  const spool = (memoryBytes: number): Spool => new Spool({ directory: join(scratch.path, 'spool'), memoryBytes });
  beforeEach(async () => {
    scratch = await scratchDirectory();
  });
  afterEach(() => scratch.remove());

  it('takes all of its input while nobody reads, beyond what memory may hold, and gives it back unchanged', async () => {
    const pieces = Array.from({ length: 200 }, (_, n) => randomBytes(1 + ((n * 7919) % (90 * KIB))));
    const tested = spool(100 * KIB);
    const source = Readable.from(pieces);
    source.pipe(tested);
    await once(source, 'end');
    assert.ok(tested.readableLength < 2 * 1024 * KIB);
    assert.ok((await collect(tested)).equals(Buffer.concat(pieces)));
  });

  it('keeps the order when its reader is now faster and now slower than its writer', async () => {
    const pieces = Array.from({ length: 600 }, () => randomBytes(8 * KIB));
    const received: Buffer[] = [];
    let taken = 0;
    const uneven = new Writable({
      highWaterMark: 1,
      write: (chunk: Buffer, _encoding, done) => {
        received.push(chunk);
        taken += 1;
        setTimeout(done, taken % 50 < 3 ? 15 : 0);
      },
    });
    const source = (async function* () {
      for (const [n, piece] of pieces.entries()) {
        if (n % 100 === 99) await sleep(30);
        yield piece;
      }
    })();
    await pipeline(source, spool(64 * KIB), uneven);
    assert.ok(Buffer.concat(received).equals(Buffer.concat(pieces)));
  });

  it('leaves no file behind, not even while it is in use', async () => {
    const tested = spool(KIB);
    tested.write(randomBytes(10 * KIB));
    await new Promise<void>((resolve) => tested.write(randomBytes(10 * KIB), () => resolve()));
    assert.deepEqual(await readdir(join(scratch.path, 'spool')), []);
    tested.destroy();
    await once(tested, 'close');
  });

  it('holds its writer back, and loses nothing, where it can make no file', async () => {
    await writeFile(join(scratch.path, 'spool'), 'a file where the folder should be');
    const pieces = Array.from({ length: 50 }, () => randomBytes(200 * KIB));
    const tested = spool(300 * KIB);
    const source = Readable.from(pieces);
    source.pipe(tested);
    await sleep(100);
    assert.equal(source.readableEnded, false);
    assert.ok((await collect(tested)).equals(Buffer.concat(pieces)));
  });

  it('ends with the error of its source', async () => {
    const source = (async function* () {
      yield randomBytes(20 * KIB);
      await Promise.reject(new Error('the source broke'));
    })();
    await assert.rejects(pipeline(source, spool(KIB), async (output) => void (await collect(output as AsyncIterable<Buffer>))), /the source broke/);
  });
});
