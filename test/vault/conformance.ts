/** What every kind of vault must do: one suite, run against a directory, a real SFTP server and a real S3 server. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { refuseOther } from '../../adapters/vault/known-vaults';
import type { Vault } from '../../adapters/vault/vault';
import { collect, isError, scratchDirectory } from '../helpers/vault';

/** A fresh vault somewhere, checked once, with what a test must be able to see from behind. */
export interface Place {
  vault: Vault;
  /** The same vault through a connection of its own, as another process has it. */
  another(): Vault;
  /** Puts small objects in by the server's back side, without Drydock. */
  seed(names: string[]): Promise<void>;
  /** Names in a folder, empty folders included; none in a bucket. */
  folders(of: string): Promise<string[]>;
  /** What half-written uploads have left on the server. */
  leftovers(): Promise<string[]>;
  stop(): Promise<void>;
}

export interface Kind {
  name: string;
  start(): Promise<Place>;
  /** On a disk with room for about `bytes`; null where a disk cannot be made small here. */
  small(bytes: number): Promise<Place | null>;
  /** For a user who may read, but not write. */
  readOnly(): Promise<Place | null>;
  /** Where the server takes a few MiB of an object and then says that the quota is used up. */
  quota?(): Promise<Place | null>;
  /** Of the largest object, in bytes. */
  largeBytes: number;
}

const MIB = 1 << 20;

export async function names(vault: Vault, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of vault.list(prefix)) found.push(entry.name);
  return found;
}

/** The same pseudo-random bytes each time, without holding them all. */
function* pattern(bytes: number): Generator<Buffer> {
  const piece = randomBytes(MIB);
  for (let left = bytes; left > 0; left -= piece.length) {
    piece.writeUIntBE(left, 0, 6);
    yield Buffer.from(piece.subarray(0, Math.min(left, piece.length)));
  }
}

function* zeros(bytes: number): Generator<Buffer> {
  const piece = Buffer.alloc(MIB);
  for (let left = bytes; left > 0; left -= piece.length) yield piece.subarray(0, Math.min(left, piece.length));
}

export function conformance(kind: Kind): void {
  describe(`a vault: ${kind.name}`, function () {
    this.timeout(120_000);
    let place: Place;
    let vault: Vault;
    let folder = '';
    let test = 0;
    before(async () => {
      place = await kind.start();
      ({ vault } = place);
    });
    after(() => place?.stop());
    // Each test in a folder of its own: one server serves them all.
    beforeEach(() => void (folder = `t${(test += 1)}`));

    it('gets a vault.json on its first check, keeps it on the next, and leaves no probe', async () => {
      const first = await vault.readAll('vault.json', 10_000);
      assert.equal((JSON.parse(first.toString()) as { format: number }).format, 1);
      await place.another().check();
      assert.deepEqual(await vault.readAll('vault.json', 10_000), first);
      assert.deepEqual(await names(vault, ''), ['vault.json']);
    });

    it('lets exactly one of 20 racing writers create a name, and the others hear Conflict', async () => {
      const doors = Array.from({ length: 4 }, () => place.another());
      const name = `${folder}/backups/x/manifest.json`;
      const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => doors[i % 4]!.put(name, `writer ${i}`)));
      const won = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [i] : []));
      for (const outcome of outcomes) if (outcome.status === 'rejected') isError('Conflict', /never rewritten/)(outcome.reason);
      assert.equal(won.length, 1);
      assert.equal((await vault.readAll(name, 1000)).toString(), `writer ${won[0]}`);
      assert.deepEqual(await place.leftovers(), [], 'losers leave nothing behind');
      await Promise.all(doors.map((door) => door.close()));
    });

    it('lets exactly one of several racing writers of large objects create a name, whole', async () => {
      const contents = Array.from({ length: 3 }, () => randomBytes(20 * MIB));
      const name = `${folder}/large`;
      const outcomes = await Promise.allSettled(contents.map(async (content) => {
        const upload = await vault.upload(name, { expectedBytes: content.length });
        await pipeline(Readable.from([content]), upload.stream);
        await upload.commit();
      }));
      const won = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [i] : []));
      assert.equal(won.length, 1, outcomes.map((outcome) => (outcome.status === 'rejected' ? String(outcome.reason) : 'won')).join('; '));
      assert.ok((await collect(await vault.read(name))).equals(contents[won[0]!]!));
      assert.deepEqual(await place.leftovers(), []);
    });

    it('lists a name at once after it was written, through any connection, and not after it was removed', async () => {
      const other = place.another();
      for (let i = 0; i < 10; i += 1) {
        await vault.put(`${folder}/${i}`, 'x');
        assert.equal((await names(other, `${folder}/`)).length, i + 1);
        assert.equal((await other.stat(`${folder}/${i}`))?.size, 1);
      }
      await vault.remove(`${folder}/3`);
      await vault.remove(`${folder}/3`);
      assert.equal((await names(other, `${folder}/`)).includes(`${folder}/3`), false);
      assert.equal(await other.stat(`${folder}/3`), null);
      await vault.put(`${folder}/3`, 'again');
      assert.equal((await other.readAll(`${folder}/3`, 10)).toString(), 'again');
      await other.close();
    });

    it('gives back whole objects and ranges of them', async () => {
      const content = randomBytes(3_000_000);
      const name = `${folder}/a.index`;
      await vault.put(name, content);
      assert.ok((await collect(await vault.read(name))).equals(content));
      assert.ok((await collect(await vault.read(name, { offset: 1_500_000, length: 1_200_000 }))).equals(content.subarray(1_500_000, 2_700_000)));
      assert.ok((await collect(await vault.read(name, { offset: 2_999_999 }))).equals(content.subarray(2_999_999)));
      assert.ok((await collect(await vault.read(name, { offset: 2_999_990, length: 100 }))).equals(content.subarray(2_999_990)), 'a range may reach over the end');
      assert.equal((await collect(await vault.read(name, { offset: 3_000_000, length: 100 }))).length, 0, 'and may begin at it');
      assert.equal((await vault.stat(name))?.size, content.length);
      assert.equal(await vault.stat(`${folder}/none`), null);
      await assert.rejects(vault.read(`${folder}/none`), isError('NotFound', /none/));
      await assert.rejects(vault.readAll(name, 1000), isError('IntegrityMismatch', /more than the 1000/));
      await vault.put(`${folder}/empty`, '');
      assert.equal((await collect(await vault.read(`${folder}/empty`))).length, 0);
    });

    it('lets an object be read by several at once, while others are written and given up half-way', async () => {
      const content = Buffer.concat([...pattern(12 * MIB)]);
      await vault.put(`${folder}/old`, content);
      const upload = await vault.upload(`${folder}/new`);
      const writing = pipeline(Readable.from(pattern(30 * MIB)), upload.stream);
      const readers = await Promise.all([vault.read(`${folder}/old`), vault.read(`${folder}/old`, { offset: MIB }), vault.read(`${folder}/old`)]);
      for await (const first of readers[2]) {
        assert.ok((first as Buffer).length > 0);
        break;
      }
      assert.ok((await collect(readers[0])).equals(content));
      assert.ok((await collect(readers[1])).equals(content.subarray(MIB)));
      await writing;
      await upload.commit();
      assert.equal((await vault.stat(`${folder}/new`))?.size, 30 * MIB);
    });

    it('shows nothing of an upload before its commit, and an abort leaves nothing', async () => {
      for (const bytes of [100_000, 25 * MIB]) {
        const upload = await vault.upload(`${folder}/a.tar.gpg`);
        await new Promise<void>((resolve, reject) => upload.stream.write(randomBytes(bytes), (error) => (error ? reject(error) : resolve())));
        assert.deepEqual(await names(place.vault, `${folder}/`), []);
        assert.equal(await vault.stat(`${folder}/a.tar.gpg`), null);
        await upload.abort();
        await upload.abort();
        assert.deepEqual(await place.leftovers(), []);
        await assert.rejects(upload.commit(), isError('Conflict', /already aborted/));
      }
    });

    it('lists 100,000 names in order, and any prefix of them', async () => {
      const expected = Array.from({ length: 100_000 }, (_, i) => `${folder}/d${i % 10}/${String(i).padStart(6, '0')}.index`).sort();
      await place.seed(expected);
      assert.deepEqual(await names(vault, `${folder}/`), expected);
      assert.equal((await names(vault, `${folder}/d3/0000`)).length, 10);
      for await (const entry of vault.list(`${folder}/d7/`)) {
        assert.equal(entry.name, `${folder}/d7/000007.index`, 'the first comes before all are read');
        break;
      }
    });

    it('orders names with folders among them as their bytes, and takes any character that a name may have', async () => {
      const odd = ['b/1', 'a/b.d', 'a/b/1', 'a/b-c', 'a/b/0', 'a/c', 'a/p+plus+', 'a/x:y@z=1', 'a/_under', 'a/Z', `a/${'l'.repeat(200)}`].map((name) => `${folder}/${name}`);
      for (const name of odd) await vault.put(name, name);
      assert.deepEqual(await names(vault, `${folder}/`), [...odd].sort());
      assert.deepEqual(await names(vault, `${folder}/a/b`), ['a/b-c', 'a/b.d', 'a/b/0', 'a/b/1'].map((name) => `${folder}/${name}`));
      assert.deepEqual(await names(vault, `${folder}/absent/`), []);
      for (const name of odd) assert.equal((await vault.readAll(name, 1000)).toString(), name);
    });

    it('refuses names that could lead elsewhere, before anything is sent', async () => {
      for (const name of ['', '/etc/passwd', '../x', 'a/../b', 'a//b', 'a/', 'a/.hidden', 'a\nb', 'a b', '.drydock-tmp/x', 'ä', 'a\\b', 'a%2e', 'x'.repeat(1000)]) {
        await assert.rejects(vault.put(name, 'x'), isError('InvalidInput', /cannot be a name/), name);
        await assert.rejects(vault.read(name), isError('InvalidInput', /cannot be a name/), name);
        await assert.rejects(vault.remove(name), isError('InvalidInput', /cannot be a name/), name);
      }
    });

    it(`takes an object of ${(kind.largeBytes / 2 ** 30).toFixed(1)} GiB with flat memory and gives it back`, async function () {
      this.timeout(600_000);
      const upload = await vault.upload(`${folder}/large`, { expectedBytes: kind.largeBytes });
      globalThis.gc?.();
      const before = process.memoryUsage.rss();
      let peak = 0;
      const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 100);
      try {
        await pipeline(Readable.from(zeros(kind.largeBytes)), upload.stream);
        await upload.commit();
        assert.equal((await vault.stat(`${folder}/large`))?.size, kind.largeBytes);
        const expected = createHash('sha256');
        for (const piece of zeros(kind.largeBytes)) expected.update(piece);
        const found = createHash('sha256');
        for await (const piece of (await vault.read(`${folder}/large`)) as AsyncIterable<Buffer>) found.update(piece);
        assert.equal(found.digest('hex'), expected.digest('hex'));
      } finally {
        clearInterval(watch);
        await vault.remove(`${folder}/large`);
      }
      assert.ok(peak - before < 256 * MIB, `memory grew by ${Math.round((peak - before) / MIB)} MiB`);
    });

    it('tells its own time, whatever the clock of the worker says', async () => {
      const real = Date.now;
      const before = real();
      // A worker whose clock is two hours fast.
      Date.now = () => real() + 2 * 60 * 60 * 1000;
      try {
        const told = (await vault.clock()).getTime();
        assert.ok(Math.abs(told - before) < 60_000, `it said ${new Date(told).toISOString()}`);
        await vault.put(`${folder}/x`, 'x');
        assert.ok(Math.abs((await vault.stat(`${folder}/x`))!.modified.getTime() - before) < 60_000);
        assert.equal((await vault.readAll(`${folder}/x`, 10)).toString(), 'x');
      } finally {
        Date.now = real;
      }
      assert.deepEqual(await place.leftovers(), []);
    });

    it('removes a folder that nothing is in, and no other', async () => {
      await vault.put(`${folder}/a/x`, 'x');
      await vault.removeFolder(`${folder}/a`);
      assert.equal((await vault.readAll(`${folder}/a/x`, 10)).toString(), 'x');
      await vault.remove(`${folder}/a/x`);
      await vault.removeFolder(`${folder}/a`);
      await vault.removeFolder(`${folder}/a`);
      assert.deepEqual(await place.folders(folder), []);
    });

    it('that was used before is refused when it is not there, and when another stands in its place', async () => {
      const { path, remove } = await scratchDirectory();
      const named = { vault, name: 'main', stateDir: path };
      const content = await vault.readAll('vault.json', 10_000);
      try {
        await refuseOther(named);
        await vault.remove('vault.json');
        await assert.rejects(refuseOther(named), isError('Refused', /is not there: it has no vault\.json/));
        await vault.check();
        await assert.rejects(refuseOther(named), isError('Refused', /is another vault/));
        await vault.remove('vault.json');
        await vault.put('vault.json', content);
        await refuseOther(named);
      } finally {
        await remove();
      }
    });

    it('locks nothing unless it is told to', async () => {
      assert.equal(vault.lockDays, null);
      await vault.put(`${folder}/x`, 'x');
      assert.equal(await vault.extendRetention(`${folder}/x`, new Date(Date.now() + 1e9)), null);
    });

    it('of an unknown newer format is refused with a sentence', async () => {
      const content = (await vault.readAll('vault.json', 10_000)).toString();
      await vault.remove('vault.json');
      await vault.put('vault.json', content.replace('"format":1', '"format":2'));
      await assert.rejects(vault.check(), isError('VersionMismatch', /has format 2; this Drydock knows format 1/));
      await vault.remove('vault.json');
      await vault.put('vault.json', content);
      await vault.check();
    });

    it('can be used again after it was closed', async () => {
      await vault.close();
      await vault.put(`${folder}/x`, 'x');
      assert.equal((await vault.readAll(`${folder}/x`, 10)).toString(), 'x');
    });
  });

  describe(`a vault in trouble: ${kind.name}`, function () {
    this.timeout(120_000);
    let place: Place | null = null;
    afterEach(async () => {
      await place?.stop();
      place = null;
    });

    it('on a full disk fails saying how far it came, and keeps what was there whole', async function () {
      place = await kind.small(24 * MIB);
      if (!place) this.skip();
      const { vault } = place;
      const old = randomBytes(MIB);
      await vault.put('old', old);
      const upload = await vault.upload('new', { expectedBytes: 100 * MIB });
      await assert.rejects(
        (async () => {
          await pipeline(Readable.from(pattern(100 * MIB)), upload.stream);
          await upload.commit();
        })(),
        isError('NoSpace', /disk is full|no room|takes no more/),
      );
      await upload.abort();
      assert.ok((await vault.readAll('old', 2 * MIB)).equals(old));
      assert.equal(await vault.stat('new'), null);
      assert.deepEqual(await place.leftovers(), []);
      await vault.put('small', 'there is room again');
    });

    it('over its quota fails saying so', async function () {
      place = (await kind.quota?.()) ?? null;
      if (!place) this.skip();
      const upload = await place.vault.upload('new', { expectedBytes: 100 * MIB });
      await assert.rejects(
        (async () => {
          await pipeline(Readable.from(pattern(30 * MIB)), upload.stream);
          await upload.commit();
        })(),
        isError('NoSpace', /quota/),
      );
      await upload.abort();
      assert.equal(await place.vault.stat('new'), null);
      assert.deepEqual(await place.leftovers(), []);
    });

    it('that may not be written says permission denied, and can still be read', async function () {
      place = await kind.readOnly();
      if (!place) this.skip();
      const { vault } = place;
      await assert.rejects(vault.put('x', 'x'), isError('NotPermitted', /permission denied|read-only/));
      await assert.rejects(vault.remove('vault.json'), isError('NotPermitted', /permission denied|read-only/));
      await assert.rejects(vault.check(), isError('NotPermitted', /permission denied|read-only/));
      assert.equal((await vault.readAll('vault.json', 10_000)).length > 0, true);
    });
  });
}
