/** A vault in a directory on a mount that has no hard links: a real file system in user space. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { openDirectoryVault } from '../../adapters/vault/directory';
import type { Vault } from '../../adapters/vault/vault';
import { collect, isError } from '../helpers/vault';
import { names } from './conformance';
import { filesIn } from './places';

const LARGE = 5 << 20;

describe('a vault in a directory on a mount without hard links', function () {
  this.timeout(120_000);
  let path: string;
  let behind: string;
  let vault: Vault;
  let isMounted = false;
  before(async function () {
    if (!existsSync('/dev/fuse') || process.getuid?.() !== 0) return this.skip();
    path = await mkdtemp(join(tmpdir(), 'drydock-mount-'));
    behind = join(path, 'behind');
    const [mount, server] = [join(path, 'mount'), join(path, 'server')];
    await mkdir(behind);
    await mkdir(mount);
    // sshfs speaks with a server program of its own, without any SSH.
    await writeFile(server, '#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n');
    await chmod(server, 0o755);
    execFileSync('sshfs', ['-o', `ssh_command=${server}`, '-o', 'disable_hardlink', `nobody:${behind}`, mount], { stdio: 'ignore' });
    isMounted = true;
    vault = openDirectoryVault(join(mount, 'vault'));
    await vault.check();
  });
  after(async () => {
    if (isMounted) execFileSync('umount', ['--lazy', join(path, 'mount')], { stdio: 'ignore' });
    if (path !== undefined) await rm(path, { recursive: true, force: true });
  });

  it('says that each name is claimed first, and leaves no probe and no claim', async () => {
    assert.match(vault.description, /without hard links: each name is claimed first/);
    assert.deepEqual(await names(vault, ''), ['vault.json']);
    assert.deepEqual(await filesIn(join(behind, 'vault', '.drydock-tmp')), []);
  });

  it('lets exactly one of several racing writers create a name, whole', async () => {
    const contents = Array.from({ length: 8 }, () => randomBytes(LARGE));
    const outcomes = await Promise.allSettled(contents.map(async (content) => {
      const upload = await vault.upload('lab/large');
      await pipeline(Readable.from([content]), upload.stream);
      await upload.commit();
    }));
    const won = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [i] : []));
    for (const outcome of outcomes) if (outcome.status === 'rejected') isError('Conflict', /never rewritten/)(outcome.reason);
    assert.equal(won.length, 1);
    assert.ok((await collect(await vault.read('lab/large'))).equals(contents[won[0]!]!));
    assert.deepEqual(await filesIn(join(behind, 'vault', '.drydock-tmp')), []);
  });
});
