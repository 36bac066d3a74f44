import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { openDirectoryVault } from '../../adapters/vault/directory';
import type { Vault } from '../../adapters/vault/vault';
import { filesWith, refusing } from '../helpers/faulty-files';
import { collect, isError, scratchVault } from '../helpers/vault';

async function names(vault: Vault, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of vault.list(prefix)) found.push(entry.name);
  return found;
}

describe('a vault in a directory', () => {
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  let vault: Vault;
  beforeEach(async () => {
    scratch = await scratchVault();
    ({ vault } = scratch);
  });
  afterEach(() => scratch.remove());

  it('gets a vault.json on its first check and keeps it on the next', async () => {
    const first = await readFile(join(scratch.directory, 'vault.json'), 'utf8');
    assert.equal((JSON.parse(first) as { format: number }).format, 1);
    await vault.check();
    assert.equal(await readFile(join(scratch.directory, 'vault.json'), 'utf8'), first);
    assert.deepEqual(await names(vault, ''), ['vault.json'], 'the probe is gone');
  });

  it('loses with a check the probes of workers that died, and neither younger ones nor what others call so', async () => {
    const all = ['probe-0123456789abcdef', 'probe-fedcba9876543210', 'probe-42'];
    for (const name of all) await vault.put(name, '');
    const hoursAgo = new Date(Date.now() - 2 * 3_600_000);
    for (const name of [all[0]!, all[2]!]) await utimes(join(scratch.directory, name), hoursAgo, hoursAgo);
    await vault.check();
    assert.deepEqual(await names(vault, ''), [all[2], all[1], 'vault.json']);
  });

  it('of an unknown newer format is refused with a sentence', async () => {
    const file = join(scratch.directory, 'vault.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace('"format":1', '"format":2'));
    await assert.rejects(vault.check(), isError('VersionMismatch', /has format 2; this Drydock knows format 1/));
  });

  it('is not made where the directory above does not exist', async () => {
    await assert.rejects(openDirectoryVault(join(scratch.path, 'a', 'b')).check(), isError('NotFound', /directory above/));
    await assert.rejects(openDirectoryVault(join(scratch.path, 'a')).stat('x'), isError('NotFound', /does not exist/));
  });

  it('gives back whole objects and ranges of them', async () => {
    const content = randomBytes(3_000_000);
    await vault.put('lab/segments/a.index', content);
    assert.ok((await collect(await vault.read('lab/segments/a.index'))).equals(content));
    assert.ok((await collect(await vault.read('lab/segments/a.index', { offset: 1_500_000, length: 1_200_000 }))).equals(content.subarray(1_500_000, 2_700_000)));
    assert.ok((await collect(await vault.read('lab/segments/a.index', { offset: 2_999_999 }))).equals(content.subarray(2_999_999)));
    assert.equal((await vault.stat('lab/segments/a.index'))?.size, content.length);
    assert.equal(await vault.stat('lab/segments/b.index'), null);
    await assert.rejects(vault.read('lab/none'), isError('NotFound', /lab\/none/));
    await assert.rejects(vault.readAll('lab/segments/a.index', 1000), isError('IntegrityMismatch', /more than the 1000/));
  });

  it('is not listed in part while its disk fails: a name that cannot be looked at is not taken for gone', async () => {
    await vault.put('lab/a', 'x');
    // No disk of the tests gives these errors at will.
    const failing = (code: string): Vault => openDirectoryVault(scratch.directory, filesWith(refusing('lstat', code)));
    await assert.rejects(names(failing('EIO'), ''), isError('VaultUnavailable', /cannot look at .* in .*input or output error/));
    assert.deepEqual(await names(failing('ENOENT'), ''), [], 'what went meanwhile is gone');
  });

  it('keeps files and directories for its owner only', async () => {
    await vault.put('lab/operations/x.json', '{}');
    assert.equal((await stat(join(scratch.directory, 'lab/operations/x.json'))).mode & 0o777, 0o600);
    assert.equal((await stat(join(scratch.directory, 'lab/operations'))).mode & 0o777, 0o700);
  });

  it('lets exactly one of 20 racing writers create a name', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => vault.put('lab/backups/x/manifest.json', `writer ${i}`)));
    const won = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [i] : []));
    assert.equal(won.length, 1);
    for (const outcome of outcomes) if (outcome.status === 'rejected') isError('Conflict', /never rewritten/)(outcome.reason);
    assert.equal((await vault.readAll('lab/backups/x/manifest.json', 1000)).toString(), `writer ${won[0]}`);
    assert.deepEqual(await readdir(join(scratch.directory, '.drydock-tmp')), [], 'losers leave nothing behind');
  });

  it('shows nothing of an upload before its commit and nothing after an abort', async () => {
    const upload = await vault.upload('lab/segments/a.tar.gpg');
    await new Promise<void>((resolve, reject) => upload.stream.write(randomBytes(100_000), (error) => (error ? reject(error) : resolve())));
    assert.deepEqual(await names(vault, ''), ['vault.json']);
    assert.equal(await vault.stat('lab/segments/a.tar.gpg'), null);
    await upload.abort();
    await upload.abort();
    assert.deepEqual(await readdir(join(scratch.directory, '.drydock-tmp')), []);
    await assert.rejects(upload.commit(), isError('Conflict', /already aborted/));
  });

  it('clears away half-written files that nobody has touched for an hour, and no younger ones', async () => {
    const temporary = join(scratch.directory, '.drydock-tmp');
    await writeFile(join(temporary, 'old'), 'x');
    await writeFile(join(temporary, 'young'), 'x');
    const past = new Date(Date.now() - 61 * 60 * 1000);
    await utimes(join(temporary, 'old'), past, past);
    await vault.check();
    assert.deepEqual(await readdir(temporary), ['young']);
  });

  it('lists names in order and only below the prefix', async () => {
    for (const name of ['a/b/1', 'a/b-c', 'a/b.d', 'a/b/0', 'b/1', 'a/c']) await vault.put(name, 'x');
    const expected = ['a/b-c', 'a/b.d', 'a/b/0', 'a/b/1', 'a/c'];
    assert.deepEqual(await names(vault, 'a/'), expected);
    assert.deepEqual(expected, [...expected].sort());
    assert.deepEqual(await names(vault, 'a/b'), ['a/b-c', 'a/b.d', 'a/b/0', 'a/b/1']);
    assert.deepEqual(await names(vault, 'a/b/'), ['a/b/0', 'a/b/1']);
    assert.deepEqual(await names(vault, 'absent/'), []);
  });

  it('takes removing what is not there for done', async () => {
    await vault.put('a/b', 'x');
    await vault.remove('a/b');
    await vault.remove('a/b');
    assert.equal(await vault.stat('a/b'), null);
  });

  for (const name of ['', '/etc/passwd', '../x', 'a/../b', 'a//b', 'a/', 'a/.hidden', 'a\nb', 'a b', '.drydock-tmp/x', 'ä', 'x'.repeat(1000)]) {
    it(`refuses the name ${JSON.stringify(name.slice(0, 20))}`, async () => {
      await assert.rejects(vault.put(name, 'x'), isError('InvalidInput', /cannot be a name/));
      await assert.rejects(vault.read(name), isError('InvalidInput', /cannot be a name/));
    });
  }

  it('refuses symbolic links and never lists them', async () => {
    await writeFile(join(scratch.path, 'outside'), 'secret');
    await mkdir(join(scratch.path, 'elsewhere'));
    await symlink(join(scratch.path, 'outside'), join(scratch.directory, 'link'));
    await symlink(join(scratch.path, 'elsewhere'), join(scratch.directory, 'lab'));
    await assert.rejects(vault.read('link'), isError('Refused', /symbolic link/));
    await assert.rejects(vault.put('lab/x', 'x'), isError('Refused', /symbolic link/));
    await assert.rejects(vault.remove('lab/x'), isError('Refused', /symbolic link/));
    await assert.rejects(names(vault, 'lab/'), isError('Refused', /symbolic link/));
    assert.deepEqual(await names(vault, ''), ['vault.json']);
    assert.deepEqual(await readdir(join(scratch.path, 'elsewhere')), []);
  });

  it('refuses a pipe in place of a file without waiting for a writer', async () => {
    execFileSync('mkfifo', [join(scratch.directory, 'pipe')]);
    await assert.rejects(vault.read('pipe'), isError('Refused', /not a plain file/));
  });
});

describe('a vault on a full disk', function () {
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  let mount: string;
  let mounted = false;
  before(async function () {
    scratch = await scratchVault();
    mount = join(scratch.path, 'disk');
    await mkdir(mount);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', mount], { stdio: 'ignore' });
      mounted = true;
    } catch {
      // Mounting needs root with its full rights.
      this.skip();
    }
  });
  after(async () => {
    if (mounted) execFileSync('umount', [mount], { stdio: 'ignore' });
    await scratch.remove();
  });

  it('fails saying how far it came, and keeps what was there whole', async () => {
    const vault = openDirectoryVault(join(mount, 'vault'));
    await vault.check();
    await vault.put('old', randomBytes(1_000_000));
    const upload = await vault.upload('new');
    const source = Readable.from((function* () {
      for (let i = 0; i < 100; i += 1) yield randomBytes(100_000);
    })());
    await assert.rejects(pipeline(source, upload.stream), isError('NoSpace', /disk is full after \d+ bytes of it; \d+ bytes are free/));
    await upload.abort();
    assert.equal((await vault.readAll('old', 2_000_000)).length, 1_000_000);
    assert.equal(await vault.stat('new'), null);
    assert.ok((await vault.freeBytes())! > 2_000_000, 'the half-written file is gone');
  });
});
