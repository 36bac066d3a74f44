import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import v8 from 'node:v8';
import vm from 'node:vm';
import { merge } from '../../adapters/stream/merge';

describe('merged generators', () => {
  async function* count(name: string, to: number): AsyncGenerator<string> {
    for (let n = 1; n <= to; n++) yield await Promise.resolve(`${name}${n}`);
  }

  async function* endless(signal: AbortSignal, ended: string[]): AsyncGenerator<string> {
    try {
      yield 'first';
      await sleep(60_000, undefined, { signal });
    } finally {
      ended.push('endless');
    }
  }

  it('yield everything of all, each in its own order', async () => {
    const all = [];
    for await (const value of merge([count('a', 3), count('b', 0), count('c', 5)], () => assert.fail('nothing has to be stopped'))) all.push(value);
    assert.deepEqual(all.filter((value) => value.startsWith('a')), ['a1', 'a2', 'a3']);
    assert.deepEqual(all.filter((value) => value.startsWith('c')), ['c1', 'c2', 'c3', 'c4', 'c5']);
    assert.equal(all.length, 8);
  });

  it('end the others when one fails, and when the reader stops', async () => {
    async function* broken(): AsyncGenerator<string> {
      yield await Promise.resolve('before');
      throw new Error('broken');
    }
    for (const [source, expected] of [[broken(), /broken/], [count('a', 1_000), /enough/]] as const) {
      const stop = new AbortController();
      const ended: string[] = [];
      await assert.rejects(async () => {
        for await (const value of merge([endless(stop.signal, ended), source], () => stop.abort())) if (value === 'a5') throw new Error('enough');
      }, expected);
      assert.deepEqual(ended, ['endless']);
    }
  });

  it('need no more memory for a hundred thousand values of one while another has nothing to say', async function () {
    this.timeout(20_000);
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc') as () => void;
    const stop = new AbortController();
    let [seen, before] = [0, 0];
    for await (const value of merge([endless(stop.signal, []), count('a', 100_000)], () => stop.abort())) {
      if (value === 'a1000' || value === 'a100000') collect();
      if (value === 'a1000') before = process.memoryUsage().heapUsed;
      if (value === 'a100000') break;
      seen += 1;
    }
    const grown = process.memoryUsage().heapUsed - before;
    assert.equal(seen, 100_000);
    assert.ok(grown < 4_000_000, `grew by ${grown} bytes`);
  });

  it('are held back while the reader is slow', async () => {
    let made = 0;
    async function* eager(): AsyncGenerator<number> {
      for (;;) yield await Promise.resolve((made += 1));
    }
    for await (const value of merge([eager(), eager()], () => undefined)) {
      await sleep(20);
      if (value > 2) break;
    }
    assert.ok(made < 100, `${made} values were made`);
  });
});
