import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ContentCache } from '../../adapters/vault/content-cache';
import { scratchDirectory, type Scratch } from '../helpers/vault';

describe('copies of what never changes in a vault', () => {
  let scratch: Scratch;
  beforeEach(async () => void (scratch = await scratchDirectory()));
  afterEach(() => scratch.remove());

  const refOf = (content: Buffer): { bytes: number; sha256: string } => ({ bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') });
  const fileOf = (sha256: string): string => join(scratch.path, sha256.slice(0, 2), sha256);
  const files = async (): Promise<string[]> => (await readdir(scratch.path, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name }) => name).sort();

  it('are believed only with the digest that is asked for; a spoilt one is thrown away', async () => {
    const content = Buffer.from('an index');
    const ref = refOf(content);
    const cache = new ContentCache(scratch.path);
    assert.equal(await cache.read(ref), null);
    await cache.write(ref.sha256, content);
    assert.deepEqual(await cache.read(ref), content);
    await writeFile(fileOf(ref.sha256), 'an Index');
    assert.equal(await cache.read(ref), null);
    assert.deepEqual(await files(), []);
  });

  it('of what was worked out are believed only with a digest of their own', async () => {
    const cache = new ContentCache(scratch.path);
    const { sha256 } = refOf(Buffer.from('a list'));
    await cache.writeDerived(sha256, Buffer.from('ids'));
    assert.equal((await cache.readDerived(sha256))?.toString(), 'ids');
    await writeFile(`${fileOf(sha256)}.derived`, `${'0'.repeat(64)}ids`);
    assert.equal(await cache.readDerived(sha256), null);
  });

  it('go when nobody has read them for long, and the oldest ones when there are too many', async () => {
    const cache = new ContentCache(scratch.path, 25);
    const contents = ['first     ', 'second    ', 'third     '].map((text) => Buffer.from(text));
    for (const [at, content] of contents.entries()) {
      const { sha256 } = refOf(content);
      await cache.write(sha256, content);
      const time = new Date(Date.now() - (10 - at) * 3_600_000);
      await utimes(fileOf(sha256), time, time);
    }
    await cache.sweep();
    assert.deepEqual(await files(), contents.slice(1).map((content) => refOf(content).sha256).sort());
    await cache.write('f'.repeat(64), Buffer.from('x'));
    await cache.sweep(Date.now() + 91 * 86_400_000);
    assert.deepEqual(await files(), []);
  });

  it('are written by several at once without harm, and a folder that cannot be written is none', async () => {
    const content = Buffer.from('the same');
    const ref = refOf(content);
    await Promise.all(Array.from({ length: 8 }, () => new ContentCache(scratch.path).write(ref.sha256, content)));
    assert.deepEqual([await files(), await new ContentCache(scratch.path).read(ref)], [[ref.sha256], content]);
    const nowhere = new ContentCache(join(fileOf(ref.sha256), 'below a file'));
    await nowhere.write(ref.sha256, content);
    assert.equal(await nowhere.read(ref), null);
  });
});
