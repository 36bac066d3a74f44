/** File systems that lack something, refuse it, or answer what is not so. */
import assert from 'node:assert/strict';
import { type Dirent } from 'node:fs';
import promises, { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { answered, type VaultFiles } from '../../adapters/vault/directory-files';
import type { Vault } from '../../adapters/vault/vault';
import { askedAgain, fails, filesWith, listing, opening, refusing } from '../helpers/faulty-files';
import { isError, scratchVault } from '../helpers/vault';
import { names } from './conformance';

const NAME = 'lab/backups/x/manifest.json';

describe('a vault in a directory of a file system', () => {
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  beforeEach(async () => (scratch = await scratchVault()));
  afterEach(() => scratch.remove());

  const vaultOn = (...calls: Partial<VaultFiles>[]): Vault => openDirectoryVault(scratch.directory, filesWith(Object.assign({}, ...calls) as Partial<VaultFiles>));
  const leftovers = (): Promise<string[]> => readdir(join(scratch.directory, '.drydock-tmp'));
  /** Written once, there, and never again. */
  async function works(vault: Vault, name = NAME): Promise<void> {
    await vault.put(name, 'x');
    assert.equal((await scratch.vault.readAll(name, 10)).toString(), 'x');
    await assert.rejects(vault.put(name, 'y'), isError('Conflict', /never rewritten/));
    assert.equal((await scratch.vault.readAll(name, 10)).toString(), 'x');
    assert.deepEqual(await leftovers(), []);
  }

  for (const code of ['EINVAL', 'ENOTSUP', 'ENOSYS', 'EBADF', 'EISDIR']) {
    it(`that cannot sync a directory (${code}) is written to all the same`, async () => {
      const vault = vaultOn(opening((_file, { isDirectory }) => (isDirectory ? { sync: () => Promise.reject(fails(code)) } : {})));
      await vault.check();
      await works(vault);
    });
  }

  it('that lets no directory be opened, though files may be made in it, is written to all the same', async () => {
    await works(vaultOn({ open: (...args) => (args[1] === 'r' && !/\.[a-z]+$|[0-9a-f]{24}$/.test(basename(String(args[0]))) ? Promise.reject(fails('EACCES')) : promises.open(...args)) }));
  });

  it('whose disk breaks when the directory is synced: the name is taken back, so that the next try does not meet its own file', async () => {
    let broken = 1;
    const vault = vaultOn(opening((file, { path }) => (path.endsWith('backups/x') && broken-- > 0 ? { sync: () => Promise.reject(fails('EIO')) } : { sync: () => file.sync() })));
    await assert.rejects(vault.put(NAME, 'x'), isError('VaultUnavailable', /cannot write lab\/backups\/x\/manifest\.json .*input or output error/));
    assert.equal(await vault.stat(NAME), null);
    await works(vault);
  });

  for (const code of ['EIO', 'ENOSPC', 'EDQUOT']) {
    it(`that says only when a file is synced or closed that it is not on the disk (${code}): nothing gets the name`, async () => {
      for (const call of ['sync', 'close'] as const) {
        const vault = vaultOn(opening((file, { isDirectory, path }) => ({ [call]: async () => { await file[call](); if (!isDirectory && path.includes('.drydock-tmp')) throw fails(code); } })));
        await assert.rejects(vault.put(NAME, 'x'), isError(code === 'EIO' ? 'VaultUnavailable' : 'NoSpace', /cannot write/));
        assert.equal(await scratch.vault.stat(NAME), null);
        assert.deepEqual(await leftovers(), []);
      }
    });
  }

  it('that cannot sync files at all is refused', async () => {
    const vault = vaultOn(opening((file, { isDirectory }) => (isDirectory ? { sync: () => file.sync() } : { sync: () => Promise.reject(fails('ENOSYS')) })));
    await assert.rejects(vault.check(), isError('Refused', /cannot put a file safely on its disk \(fsync\)/));
  });

  it('whose server was asked twice for a link, because its answer got lost: the file is known as its own', async () => {
    await works(vaultOn(askedAgain('link', 'EEXIST', /manifest/)));
  });

  it('that makes inode numbers up is not believed that two files are one', async () => {
    await scratch.vault.put(NAME, 'x');
    const vault = vaultOn(opening((file) => ({ stat: (async () => Object.assign(await file.stat({ bigint: true }), { ino: 1n, dev: 1n })) as unknown as typeof file.stat })));
    const upload = await vault.upload(NAME);
    upload.stream.end('y');
    await assert.rejects(upload.commit(), isError('Conflict', /never rewritten/));
  });

  it('whose server was asked twice to make a folder, or to remove a file or folder: that is success', async () => {
    const vault = vaultOn(askedAgain('mkdir', 'EEXIST', /backups$/), askedAgain('unlink', 'ENOENT', /manifest/), askedAgain('rmdir', 'ENOENT', /backups\/x$/));
    await vault.put(NAME, 'x');
    await vault.remove(NAME);
    await vault.removeFolder('lab/backups/x');
    assert.deepEqual(await readdir(join(scratch.directory, 'lab/backups')), []);
  });

  it('whose folder is taken away by a prune just before the file gets its name: it is made again', async () => {
    let takes = 2;
    await works(vaultOn({
      link: async (from, to) => {
        if ((takes -= 1) >= 0) await rmdir(dirname(String(to)));
        return promises.link(from, to);
      },
    }));
    assert.ok(takes < 0);
  });

  for (const code of ['EPERM', 'ENOTSUP', 'ENOSYS', 'EXDEV']) {
    it(`without hard links (${code}) is written to by claims, and says so`, async () => {
      const vault = vaultOn(refusing('link', code));
      await vault.check();
      assert.match(vault.description, /without hard links: each name is claimed first/);
      await works(vault);
    });
  }

  it('without hard links lets exactly one of 20 racing writers create a name', async () => {
    const vaults = Array.from({ length: 4 }, () => vaultOn(refusing('link', 'EPERM')));
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => vaults[i % 4]!.put(NAME, `writer ${i}`)));
    const won = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [i] : []));
    assert.equal(won.length, 1);
    for (const outcome of outcomes) if (outcome.status === 'rejected') isError('Conflict', /never rewritten/)(outcome.reason);
    assert.equal(await readFile(join(scratch.directory, NAME), 'utf8'), `writer ${won[0]}`);
    assert.deepEqual(await leftovers(), []);
  });

  it('without hard links whose server was asked twice to rename: the file is known as its own', async () => {
    await works(vaultOn(refusing('link', 'EPERM'), askedAgain('rename', 'ENOENT', /manifest/)));
  });

  it('without hard links, and with another file system below: says what is in the way', async () => {
    await assert.rejects(vaultOn(refusing('link', 'EXDEV'), refusing('rename', 'EXDEV')).check(), isError('Refused', /another file system, or in another quota project/));
  });

  it('that writes over names is found out by the check', async () => {
    const over: Partial<VaultFiles> = { link: async (from, to) => promises.copyFile(from, to) };
    await assert.rejects(vaultOn(over).check(), isError('Refused', /writes over a name that exists/));
    assert.deepEqual(await names(scratch.vault, ''), ['vault.json']);
  });

  for (const [code, kind, sentence] of [
    ['EROFS', 'NotPermitted', /mounted read-only/], ['EACCES', 'NotPermitted', /permission denied/], ['EDQUOT', 'NoSpace', /quota is used up.*\d+ bytes are free/], ['ENOSPC', 'NoSpace', /disk is full/],
    ['EFBIG', 'NoSpace', /takes no larger file after 0 bytes/], ['ENAMETOOLONG', 'Refused', /takes no name that long/], ['EILSEQ', 'Refused', /does not take such a name/], ['ESTALE', 'VaultUnavailable', /stale handle/],
    ['ENOTCONN', 'VaultUnavailable', /program behind the mount is gone/], ['EHOSTDOWN', 'VaultUnavailable', /server behind the mount does not answer/], ['EIO', 'VaultUnavailable', /input or output error/],
    ['EKEYEXPIRED', 'VaultUnavailable', /Kerberos ticket/], ['EMFILE', 'Busy', /too many files/], ['EBUSY', 'Busy', /in use/],
  ] as const) {
    it(`that answers ${code} says what that means`, async () => {
      await assert.rejects(vaultOn(refusing('open', code, /tmp\/[0-9a-f]{24}/)).put(NAME, 'x'), isError(kind, sentence));
      await assert.rejects(vaultOn(refusing('lstat', code)).stat(NAME), isError(kind, /cannot look at/));
      await assert.rejects(vaultOn(refusing('realpath', code)).check(), isError(kind, /cannot (ask|open)/));
    });
  }

  it('that has room, but none for one more file, says so', async () => {
    const full = { ...refusing('open', 'ENOSPC', /tmp\/[0-9a-f]{24}/), statfs: (async () => ({ ...(await promises.statfs(scratch.directory)), ffree: 0 })) as unknown as VaultFiles['statfs'] };
    await assert.rejects(vaultOn(full).put(NAME, 'x'), isError('NoSpace', /no room for one more file \(inodes\)/));
  });

  it('that takes files up to 4 GiB only: what is too large fails saying how far it came, and the next file works', async () => {
    const vault = vaultOn(opening((file) => ({ writev: ((chunks: Buffer[]) => (chunks.some(({ length }) => length > 100) ? Promise.reject(fails('EFBIG')) : file.writev(chunks))) as typeof file.writev })));
    const upload = await vault.upload('lab/large');
    await new Promise<void>((resolve, reject) => upload.stream.write(Buffer.alloc(100), (error) => (error ? reject(error) : resolve())));
    upload.stream.end(Buffer.alloc(101));
    await assert.rejects(upload.commit(), isError('NoSpace', /takes no larger file after 100 bytes of it/));
    await works(vault);
  });

  it('that takes no bytes and gives no error is not asked for ever', async () => {
    const vault = vaultOn(opening((file, { isDirectory }) => (isDirectory ? {} : { writev: (async (buffers: Buffer[]) => ({ bytesWritten: 0, buffers })) as unknown as typeof file.writev })));
    await assert.rejects(vault.put(NAME, 'x'), isError('VaultUnavailable', /takes no bytes/));
  });

  it('that knows nothing of its size is not taken for full', async () => {
    const nought = { ...(await promises.statfs(scratch.directory)), blocks: 0, bavail: 0, bsize: 0, bfree: 0 };
    assert.equal(await vaultOn({ statfs: (async () => nought) as unknown as VaultFiles['statfs'] }).freeBytes(), null);
    assert.equal(await vaultOn(refusing('statfs', 'ENOSYS')).freeBytes(), null);
  });

  it('whose listing is broken by a file that goes meanwhile is read again, and not taken for empty', async () => {
    for (const name of ['a', 'b', 'c']) await scratch.vault.put(`lab/${name}`, 'x');
    let breaks = 3;
    // What Node does where the server tells no types.
    const vault = vaultOn(listing((read) => ((breaks -= 1) >= 0 ? Promise.reject(fails('ENOENT')) : read())));
    assert.deepEqual(await names(vault, 'lab/'), ['lab/a', 'lab/b', 'lab/c']);
    breaks = Infinity;
    await assert.rejects(names(vault, 'lab/'), isError('NotFound', /cannot list lab\//));
  });

  it('that names an entry twice shows it once', async () => {
    await scratch.vault.put('lab/a', 'x');
    const seen: Dirent[] = [];
    const vault = vaultOn(listing(async (read) => {
      const entry = await read();
      if (entry) seen.push(entry);
      return entry ?? seen.pop() ?? null;
    }));
    assert.deepEqual(await names(vault, ''), ['lab/a', 'vault.json']);
  });

  it('on which a file stands in the place of a folder says so', async () => {
    await writeFile(join(scratch.directory, 'lab'), '');
    await assert.rejects(scratch.vault.put(NAME, 'x'), isError('NotFound', /a file stands where a folder should be/));
    assert.equal(await scratch.vault.stat(NAME), null);
    assert.deepEqual(await names(scratch.vault, 'lab/'), []);
  });

  it('whose directory above may not be written, but which is there, is checked like any other', async () => {
    await vaultOn(refusing('mkdir', 'EROFS', new RegExp(`^${scratch.directory}$`))).check();
    await vaultOn(refusing('mkdir', 'EACCES', new RegExp(`^${scratch.directory}$`))).check();
  });

  it('on which leftovers cannot be removed is used all the same', async () => {
    await mkdir(join(scratch.directory, '.drydock-tmp', 'folder'));
    await vaultOn({ rm: () => Promise.reject(fails('EACCES')) }).check();
  });

  it('that does not answer is not waited for without end', async () => {
    await assert.rejects(answered(new Promise(() => undefined), 20), isError('Stalled', /has not answered/));
    assert.equal(await answered(Promise.resolve(7), 20), 7);
  });
});
