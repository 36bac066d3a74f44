import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { feed } from '../../adapters/stream/feed';

describe('feeding a stream', () => {
  /** A source that writes each piece into the same memory. */
  async function* reusing(pieces: string[]): AsyncGenerator<Buffer> {
    const memory = Buffer.alloc(8);
    for (const piece of pieces) yield memory.subarray(0, memory.write(piece));
  }

  it('asks for the next piece only when the target is done with the one before', async () => {
    let got = '';
    let isEnded = false;
    const slow = new Writable({
      highWaterMark: 1 << 20,
      write: (chunk: Buffer, _encoding, done) => void sleep(5).then(() => {
        got += chunk.toString();
        done();
      }),
      final: (done) => {
        isEnded = true;
        done();
      },
    });
    await feed(reusing(['one', 'two', 'three']), slow);
    assert.equal(got, 'onetwothree');
    assert.ok(isEnded);
  });

  it('throws what the source throws and leaves the target open', async () => {
    const target = new Writable({ write: (_chunk, _encoding, done) => done() });
    const source = (async function* () {
      yield Buffer.from('a');
      throw new Error('the source broke');
    })();
    await assert.rejects(feed(source, target), /the source broke/);
    assert.equal(target.writableEnded, false);
    assert.equal(target.listenerCount('error') + target.listenerCount('close'), 0);
  });

  it('throws what breaks the target, also while it holds a piece for ever', async () => {
    const target = new Writable({ write: () => undefined });
    const feeding = feed(reusing(['a', 'b']), target);
    setImmediate(() => target.destroy(new Error('the target broke')));
    await assert.rejects(feeding, /the target broke/);
  });

  it('throws what breaks the target while the source takes its time, and lets the source go', async () => {
    const target = new Writable({ write: (_chunk, _encoding, done) => done() });
    let isLetGo = false;
    const source: AsyncIterable<Buffer> = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined), return: () => ((isLetGo = true), Promise.resolve({ done: true, value: undefined })) }) };
    const feeding = feed(source, target);
    setImmediate(() => target.destroy(new Error('the target broke')));
    await assert.rejects(feeding, /the target broke/);
    assert.ok(isLetGo);
  });

  it('throws when the target was closed before it began, or is closed without a reason', async () => {
    const closed = new Writable({ write: (_chunk, _encoding, done) => done() }).destroy();
    await assert.rejects(feed(reusing(['a']), closed), { code: 'ERR_STREAM_PREMATURE_CLOSE' });
    const target = new Writable({ write: () => undefined });
    const feeding = feed(reusing(['a']), target);
    setImmediate(() => target.destroy());
    await assert.rejects(feeding, { code: 'ERR_STREAM_PREMATURE_CLOSE' });
  });
});
