import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { HashThread } from '../../adapters/stream/hashing';

describe('a hashing thread', function () {
  // A thread takes its time to start on a busy machine.
  this.timeout(60_000);
  let thread: HashThread;
  beforeEach(() => (thread = new HashThread()));
  afterEach(() => thread.close());

  async function* pieces(data: Buffer, step: number, own: boolean): AsyncGenerator<Buffer> {
    for (let at = 0; at < data.length; at += step) {
      const piece = data.subarray(at, at + step);
      yield await Promise.resolve(own ? Buffer.from(new Uint8Array(piece).buffer) : piece);
    }
  }

  it('gives the digest of one stream after the other, whatever their pieces, and leaves shared memory alone', async () => {
    for (const [size, step, own] of [[0, 10, false], [1, 10, true], [9_000_000, 1 << 20, true], [9_000_000, 65_536, false]] as const) {
      const data = randomBytes(size);
      const sha256 = createHash('sha256').update(data).digest('hex');
      let seen = 0;
      assert.deepEqual(await thread.hash(pieces(data, step, own), (bytes) => (seen += bytes)), { bytes: size, sha256 });
      assert.equal(seen, size);
      assert.equal(createHash('sha256').update(data).digest('hex'), sha256);
    }
  });

  it('passes on the error of its source', async () => {
    const broken = (async function* () {
      yield await Promise.resolve(randomBytes(100));
      throw new Error('connection lost');
    })();
    await assert.rejects(thread.hash(broken, () => undefined), /connection lost/);
  });

  it('fails when it was ended in the middle', async () => {
    const endless = (async function* () {
      for (;;) yield await Promise.resolve(randomBytes(1 << 20));
    })();
    const hashing = assert.rejects(thread.hash(endless, () => undefined), /hashing thread ended/);
    await thread.close();
    await hashing;
  });
});
