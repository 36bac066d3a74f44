import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OpeningThread, type Ciphertext } from '../../adapters/vault/opening';
import { openCiphertext } from '../../adapters/vault/ciphertext';
import { SegmentWriter } from '../../adapters/vault/segment-writer';
import { vaultPaths } from '../../domain/vault-format';
import { failure } from '../helpers/failure';
import { readKeys, scratchVault, writeKeys } from '../helpers/vault';
import { openStored } from '../../adapters/vault/open-stored';
import { readIndexes } from '../../adapters/vault/segment-index';

async function* pieces(data: Buffer, step: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += step) yield await Promise.resolve(Buffer.from(data.subarray(at, at + step)));
}

describe('an opening thread', function () {
  // A thread takes its time to start on a busy machine.
  this.timeout(60_000);
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  beforeEach(async () => (scratch = await scratchVault()));
  afterEach(() => scratch.remove());

  it('hashes what it is given in pieces of any size, and what it reads itself, and can be used again', async () => {
    const thread = OpeningThread.take();
    try {
      for (const [size, step] of [[0, 1], [1, 1], [100_000, 7_777], [5 << 20, 1 << 20], [9_000_001, 65_536]] as const) {
        const data = randomBytes(size);
        const sha256 = createHash('sha256').update(data).digest('hex');
        let seen = 0;
        assert.deepEqual(await thread.run(pieces(data, step), { hash: true }, (bytes) => (seen += bytes)), { sha256, bad: [] });
        assert.equal(seen, size);
        const file = path.join(scratch.path, `data-${size}`);
        await writeFile(file, data);
        const handle = await open(file);
        try {
          assert.equal((await thread.run({ fd: handle.fd, bytes: size, signal: undefined }, { hash: true })).sha256, sha256);
        } finally {
          await handle.close();
        }
      }
    } finally {
      thread.release();
    }
  });

  it('fails with the error of its source, of a cancel, and of its own end', async () => {
    async function* broken(): AsyncGenerator<Buffer> {
      yield await Promise.resolve(Buffer.alloc(10));
      throw new Error('connection lost');
    }
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) yield await Promise.resolve(Buffer.alloc(1 << 20));
    }
    const thread = OpeningThread.take();
    await assert.rejects(thread.run(broken(), { hash: true }), /connection lost/);
    const hashing = assert.rejects(thread.run(endless(), { hash: true }), /opening was stopped/);
    thread.stop();
    await hashing;
    const another = OpeningThread.take();
    const handle = await open(path.join(scratch.path, 'vault.json')).catch(() => open('/dev/zero'));
    await assert.rejects(another.run({ fd: handle.fd, bytes: 1 << 30, signal: AbortSignal.abort(new Error('cancelled')) }, { hash: true }), /cancelled/);
    another.stop();
    await handle.close();
  });

  it('hears of a cancel, and of a stall, while the thread hangs in a read', async () => {
    const handle = await open('/dev/zero');
    const hanging = (): OpeningThread => {
      const thread = OpeningThread.take();
      // A disk that answers no read any more cannot be had here: a thread that never hears of its work looks the same.
      (thread as unknown as { worker: { postMessage: () => void } }).worker.postMessage = () => undefined;
      return thread;
    };
    try {
      const stop = new AbortController();
      const cancelled = hanging();
      setTimeout(() => stop.abort(new Error('cancelled by a person')), 50);
      await assert.rejects(cancelled.run({ fd: handle.fd, bytes: 1 << 20, signal: stop.signal }, { hash: true }), /cancelled by a person/);
      cancelled.stop();
      const stalled = hanging();
      await failure(stalled.run({ fd: handle.fd, bytes: 1 << 30, signal: undefined, stallMs: 100 }, { hash: true }), 'Stalled');
      stalled.stop();
    } finally {
      await handle.close();
    }
  });

  it('does not call it a stall when the reader of the blobs is slow', async () => {
    const { vault } = scratch;
    const data = randomBytes(9 << 20);
    const sha256 = createHash('sha256').update(data).digest('hex');
    const writer = new SegmentWriter({ vault, cluster: 'lab', keys: writeKeys, writtenBy: 'test', segmentBytes: 64 << 20 });
    await writer.push({ path: `docker/registry/v2/blobs/sha256/${sha256.slice(0, 2)}/${sha256}/data`, size: data.length, sha256 }, pieces(data, 1 << 19));
    await writer.finish();
    for await (const { header, blobs: places } of readIndexes(vault, 'lab')) {
      const name = vaultPaths.segment('lab', header.segment);
      const message = await openStored(vault, name, readKeys);
      const { source, close } = await openCiphertext(vault, name);
      const thread = OpeningThread.take();
      let bytes = 0;
      for await (const blob of thread.blobs({ ...(source as Extract<Ciphertext, { fd: number }>), stallMs: 200 }, { segment: header.segment, ...message, places })) {
        for await (const part of blob.data) {
          if (bytes === 0) await sleep(600);
          bytes += part.length;
        }
      }
      assert.equal(bytes, data.length);
      thread.release();
      await close();
    }
  });

  it('gives the blobs of a segment, and hashes to its end what cannot be decrypted', async () => {
    const { vault } = scratch;
    const blobs = [300, 1 << 20, 5 << 20].map((size) => randomBytes(size));
    const writer = new SegmentWriter({ vault, cluster: 'lab', keys: writeKeys, writtenBy: 'test', segmentBytes: 64 << 20 });
    for (const data of blobs) {
      const sha256 = createHash('sha256').update(data).digest('hex');
      await writer.push({ path: `docker/registry/v2/blobs/sha256/${sha256.slice(0, 2)}/${sha256}/data`, size: data.length, sha256 }, pieces(data, 1 << 19));
    }
    await writer.finish();
    for await (const { header, blobs: places } of readIndexes(vault, 'lab')) {
      const name = vaultPaths.segment('lab', header.segment);
      const message = await openStored(vault, name, readKeys);
      const { source, close } = await openCiphertext(vault, name);
      const thread = OpeningThread.take();
      const found: Buffer[] = [];
      for await (const { data } of thread.blobs(source, { segment: header.segment, ...message, places })) {
        const parts: Buffer[] = [];
        for await (const part of data) parts.push(part);
        found.push(Buffer.concat(parts));
      }
      await close();
      assert.deepEqual(found.map((data) => data.length), blobs.map((data) => data.length));
      assert.ok(found.every((data, at) => data.equals(blobs[at]!)));

      // A forged index: two blobs at one place. None of them is taken for read because the other was.
      const [one, other] = places;
      const forged = [one!, { ...other!, offset: one!.offset }];
      const misled = OpeningThread.take();
      const again = await openCiphertext(vault, name);
      await assert.rejects(async () => {
        for await (const { data } of misled.blobs(again.source, { segment: header.segment, ...message, places: forged })) for await (const part of data) assert.ok(part.length > 0);
      }, /does not hold/);
      misled.stop();
      await again.close();

      const stored = await vault.readAll(name, 64 << 20);
      stored[stored.length >> 1]! ^= 1;
      const cut = stored.subarray(0, stored.length - 7);
      const job = { hash: true, open: { segment: header.segment, ...message, places, give: false } };
      const flipped = await thread.run(pieces(stored, 1 << 20) as Ciphertext, job);
      assert.equal(flipped.sha256, createHash('sha256').update(stored).digest('hex'));
      assert.ok(flipped.unopened?.kind === 'IntegrityMismatch' && flipped.bad.length > 0);
      const short = await thread.run(pieces(cut, 1 << 20), job);
      assert.equal(short.sha256, createHash('sha256').update(cut).digest('hex'));
      assert.match(short.unopened?.message ?? '', /cut short/);
      thread.release();
    }
  });
});
