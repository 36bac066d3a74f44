import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { END_OF_ARCHIVE, makeHeader, paddingOf } from '../../adapters/archive/tar-header';
import { readTar } from '../../adapters/archive/tar-entries';
import { TarParser } from '../../adapters/archive/tar-parser';
import { collect, isError, scratchDirectory, type Scratch } from '../helpers/vault';

async function* chunks(data: Buffer, step: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += step) yield await Promise.resolve(data.subarray(at, at + step));
}

async function members(archive: Buffer, step = 1000): Promise<{ name: string; type: string; data: Buffer; linkName: string; offset: number }[]> {
  const found = [];
  for await (const entry of readTar(chunks(archive, step))) found.push({ name: entry.name, type: entry.type, data: await collect(entry.data), linkName: entry.linkName, offset: entry.dataOffset });
  return found;
}

const BLOB = `docker/registry/v2/blobs/sha256/ab/${'ab'.repeat(32)}/data`;
const LONG = `${'long/'.repeat(60)}name`;

describe('tar archives', () => {
  let scratch: Scratch;
  before(async () => {
    scratch = await scratchDirectory();
  });
  after(() => scratch.remove());

  for (const format of ['ustar', 'posix', 'gnu']) {
    it(`that GNU tar writes as ${format} are read with names, links, data and offsets`, async () => {
      const root = join(scratch.path, format);
      const content = randomBytes(12_345);
      const names = format === 'ustar' ? [BLOB] : [BLOB, LONG, 'umläut'];
      for (const name of names) {
        await mkdir(dirname(join(root, name)), { recursive: true });
        await writeFile(join(root, name), content);
      }
      await symlink('target', join(root, 'link'));
      const archive = execFileSync('tar', ['-C', root, `--format=${format}`, '-cf', '-', ...names, 'link'], { maxBuffer: 1 << 24 });
      for (const step of [1, 511, 100_000]) {
        const found = await members(archive, step);
        assert.deepEqual(found.map((member) => member.name), [...names, 'link']);
        for (const member of found.slice(0, -1)) {
          assert.ok(member.data.equals(content));
          assert.ok(archive.subarray(member.offset, member.offset + 12_345).equals(content));
        }
        assert.equal(found.at(-1)!.type, 'symlink');
        assert.equal(found.at(-1)!.linkName, 'target');
      }
    });
  }

  it('that we write are listed and extracted by GNU tar, whatever the length of the name', async () => {
    const names = ['a', BLOB, LONG, `${'x'.repeat(180)}`, 'umläut/ä', `${'p'.repeat(150)}/${'n'.repeat(99)}`];
    const parts = names.flatMap((name, i) => [makeHeader({ name, type: 'file', size: i * 100, mode: 0o640, uid: 3_000_000, gid: 5 }), Buffer.alloc(i * 100, 65 + i), Buffer.alloc(paddingOf(i * 100))]);
    const archive = Buffer.concat([makeHeader({ name: 'folder', type: 'directory', mode: 0o700 }), ...parts, END_OF_ARCHIVE]);
    const file = join(scratch.path, 'ours.tar');
    await writeFile(file, archive);
    const listing = execFileSync('tar', ['--quoting-style=literal', '--numeric-owner', '-tvf', file]).toString().trim().split('\n');
    assert.equal(listing.length, names.length + 1);
    assert.match(listing[0]!, /^drwx------ .* folder\/$/);
    for (const [i, name] of names.entries()) assert.ok(listing[i + 1]!.startsWith('-rw-r----- 3000000/5') && listing[i + 1]!.endsWith(` ${name}`), listing[i + 1]);
    const out = join(scratch.path, 'ours');
    await mkdir(out);
    execFileSync('tar', ['-C', out, '--no-same-owner', '-xf', file]);
    for (const [i, name] of names.entries()) assert.ok((await readFile(join(out, name))).equals(Buffer.alloc(i * 100, 65 + i)));
    assert.deepEqual((await members(archive)).map((member) => member.name), ['folder/', ...names]);
  });

  it('of sizes beyond 8 GiB carry a size that we and GNU tar read', () => {
    const size = 9 * 2 ** 30;
    const header = makeHeader({ name: BLOB, type: 'file', size });
    let found = 0;
    new TarParser({ member: (member) => (found = member.size), data: () => undefined, memberEnd: () => undefined }).write(header);
    assert.equal(found, size);
    let listing = '';
    try {
      execFileSync('tar', ['-tvf', '-'], { input: header, stdio: ['pipe', 'pipe', 'ignore'] });
    } catch (error) {
      listing = String((error as { stdout: Buffer }).stdout);
    }
    assert.match(listing, new RegExp(` ${size} `));
  });

  it('are refused wherever they are cut', async () => {
    const archive = Buffer.concat([makeHeader({ name: 'a', type: 'file', size: 600 }), Buffer.alloc(1024), makeHeader({ name: 'b', type: 'file', size: 0 }), END_OF_ARCHIVE]);
    assert.equal((await members(archive)).length, 2);
    for (let cut = 0; cut < archive.length; cut += 64) await assert.rejects(members(archive.subarray(0, cut)), isError('IntegrityMismatch', cut === 0 ? /empty/ : /cut short after \d+ bytes/));
  });

  it('are refused when a header is damaged or something follows the end', async () => {
    const archive = Buffer.concat([makeHeader({ name: 'a', type: 'file', size: 0 }), END_OF_ARCHIVE]);
    const flipped = Buffer.from(archive);
    flipped[0]! ^= 1;
    await assert.rejects(members(flipped), isError('IntegrityMismatch', /wrong checksum/));
    await assert.rejects(members(Buffer.concat([archive, archive])), isError('IntegrityMismatch', /behind its end/));
    await assert.rejects(members(randomBytes(2048)), isError('IntegrityMismatch', /wrong checksum/));
    assert.equal((await members(Buffer.concat([archive, Buffer.alloc(8192)]))).length, 1, 'zeros up to a full record are usual');
  });

  it('can be left early or read without looking at the data', async () => {
    const archive = Buffer.concat([makeHeader({ name: 'a', type: 'file', size: 600 }), Buffer.alloc(1024), makeHeader({ name: 'b', type: 'file', size: 0 }), END_OF_ARCHIVE]);
    const names: string[] = [];
    for await (const entry of readTar(chunks(archive, 100))) {
      names.push(entry.name);
      for await (const _ of entry.data) break;
    }
    assert.deepEqual(names, ['a', 'b']);
    let closed = false;
    const source = (async function* () {
      try {
        yield* chunks(archive, 100);
      } finally {
        closed = true;
      }
    })();
    for await (const _ of readTar(source)) break;
    assert.equal(closed, true, 'the source is let go');
  });
});
