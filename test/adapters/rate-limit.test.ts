import assert from 'node:assert/strict';
import { RateLimit } from '../../adapters/stream/rate-limit';

const KIB = 1024;

describe('a rate limit', () => {
  async function timed(work: () => Promise<unknown>): Promise<number> {
    const start = performance.now();
    await work();
    return performance.now() - start;
  }

  it('keeps several streams together below the rate', async () => {
    const limit = new RateLimit(() => 1000 * KIB);
    const stream = async (): Promise<void> => {
      for (let n = 0; n < 10; n++) await limit.take(50 * KIB);
    };
    // 1000 KiB at 1000 KiB/s, less the quarter of a second that may pass at once.
    const ms = await timed(() => Promise.all([stream(), stream()]));
    assert.ok(ms >= 650, `${ms} ms`);
  });

  it('lets everything pass at once where there is no limit, and when it is lifted meanwhile', async () => {
    assert.ok((await timed(() => new RateLimit(() => null).take(1e12))) < 200);
    let rate: number | null = KIB;
    const limit = new RateLimit(() => rate);
    await limit.take(1000 * KIB);
    setTimeout(() => (rate = null), 50);
    assert.ok((await timed(() => limit.take(KIB))) < 3_000, 'the first bytes would be paid for only after a quarter of an hour');
  });

  it('rejects with the reason of a signal', async () => {
    const limit = new RateLimit(() => KIB);
    await limit.take(1000 * KIB);
    const cancel = new AbortController();
    const waiting = limit.take(KIB, cancel.signal);
    cancel.abort(new Error('enough'));
    await assert.rejects(waiting, (error: Error) => (error.cause as Error | undefined)?.message === 'enough' || error.message === 'enough');
  });
});
