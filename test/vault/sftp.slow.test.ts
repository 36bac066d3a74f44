import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, utimes, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSftpVault } from '../../adapters/vault/sftp';
import type { Vault } from '../../adapters/vault/vault';
import { sftpSchema, type SftpConfig } from '../../domain/config';
import type { DrydockError } from '../../domain/errors';
import { startSshd, type TestSshd } from '../helpers/sshd';
import { isError } from '../helpers/vault';
import { conformance, names, type Place } from './conformance';
import { filesIn, seedFiles, smallDisk } from './places';

function settings(sshd: TestSshd, path: string, user = 'root'): SftpConfig {
  return sftpSchema.parse({ address: '127.0.0.1', port: sshd.port, user, key: `file:${sshd.keyFile}`, knownHosts: sshd.knownHosts, path });
}

interface Options {
  sshd: TestSshd;
  directory: string;
  stop: () => Promise<void>;
}

async function placeIn({ sshd, directory, stop }: Options): Promise<Place> {
  const open = (): Vault => openSftpVault(settings(sshd, directory));
  const vault = open();
  await vault.check();
  return {
    vault,
    another: open,
    seed: (list) => seedFiles(directory, list),
    folders: (of) => filesIn(join(directory, of)),
    leftovers: () => filesIn(join(directory, '.drydock-tmp')),
    async stop() {
      await vault.close();
      await stop();
    },
  };
}

/** A server and a directory that go together. */
async function fresh(options: Parameters<typeof startSshd>[0] = {}): Promise<Options & { path: string }> {
  const sshd = await startSshd(options);
  const path = await mkdtemp(join(tmpdir(), 'drydock-vault-'));
  return { sshd, path, directory: join(path, 'vault'), stop: async () => {
    await sshd.stop();
    await rm(path, { recursive: true, force: true });
  } };
}

async function onSmallDisk(bytes: number): Promise<Place | null> {
  const disk = await smallDisk(bytes);
  if (!disk) return null;
  const sshd = await startSshd();
  return placeIn({ sshd, directory: join(disk.path, 'vault'), stop: async () => {
    await sshd.stop();
    await disk.remove();
  } });
}

const faults = {
  small: onSmallDisk,
  async readOnly(): Promise<Place | null> {
    const here = await fresh({ ordinaryUser: true });
    const place = await placeIn(here);
    await chmod(here.path, 0o755);
    await chmod(here.directory, 0o755);
    await chmod(join(here.directory, 'vault.json'), 0o644);
    const vault = openSftpVault(settings(here.sshd, here.directory, here.sshd.user));
    return { ...place, vault, stop: async () => {
      await vault.close();
      await place.stop();
    } };
  },
  /** The kernel's own limit on the size of a file refuses as a quota does: with room on the disk. */
  async quota(): Promise<Place | null> {
    return placeIn(await fresh({ sftp: '/usr/bin/prlimit --fsize=4194304 /usr/bin/env --ignore-signal=XFSZ /usr/lib/openssh/sftp-server' }));
  },
  largeBytes: process.env['DRYDOCK_TEST_LARGE'] ? 5 * 2 ** 30 : 1126 * 2 ** 20,
};

conformance({ name: 'SFTP', start: async () => placeIn(await fresh()), ...faults });

describe('a vault on an SFTP server without hard links', function () {
  this.timeout(180_000);
  let place: Place;
  before(async () => {
    place = await placeIn(await fresh({ sftp: '/usr/lib/openssh/sftp-server -P hardlink,fsync,statvfs' }));
  });
  after(() => place.stop());

  it('lets exactly one of 20 racing writers create a name all the same', async () => {
    const doors = Array.from({ length: 4 }, () => place.another());
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => doors[i % 4]!.put('lab/backups/x/manifest.json', `writer ${i}`)));
    const won = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [i] : []));
    for (const outcome of outcomes) if (outcome.status === 'rejected') isError('Conflict', /never rewritten/)(outcome.reason);
    assert.equal(won.length, 1);
    assert.equal((await place.vault.readAll('lab/backups/x/manifest.json', 1000)).toString(), `writer ${won[0]}`);
    assert.deepEqual(await place.leftovers(), []);
    await Promise.all(doors.map((door) => door.close()));
  });

  it('says that free bytes are not known', async () => {
    assert.equal(await place.vault.freeBytes(), null);
  });
});

describe('a vault on an SFTP server that does not tell its limits, as before OpenSSH 8.5', function () {
  this.timeout(180_000);
  let place: Place;
  before(async () => {
    place = await placeIn(await fresh({ sftp: '/usr/lib/openssh/sftp-server -P limits' }));
  });
  after(() => place.stop());

  it('is done with the memory of a write when it calls back', async () => {
    const pieces = Array.from({ length: 6 }, (_, at) => Buffer.alloc(1 << 20, at + 1));
    const upload = await place.vault.upload('lab/reused');
    const memory = Buffer.alloc(1 << 20);
    for (const piece of pieces) {
      piece.copy(memory);
      await new Promise<void>((resolve, reject) => upload.stream.write(memory, (error) => (error ? reject(error) : resolve())));
      memory.fill(0);
    }
    await upload.commit();
    assert.ok((await place.vault.readAll('lab/reused', 8 << 20)).equals(Buffer.concat(pieces)));
  });
});

describe('a vault on an SFTP server that runs SFTP by the login shell', function () {
  this.timeout(60_000);
  let sshd: TestSshd;
  before(async () => {
    sshd = await startSshd({ sftp: '/usr/lib/openssh/sftp-server', readsBashrc: true });
  });
  after(() => sshd.stop());

  /** A login whose shell reads this, and its vault. */
  const vaultOf = (bashrc: string, extra: Partial<SftpConfig> = {}): { user: string; vault: Vault } => {
    const { user, home } = sshd.addLogin({ shell: '/bin/bash', files: { '.bashrc': bashrc } });
    return { user, vault: openSftpVault({ ...settings(sshd, join(home, 'vault'), user), ...extra }) };
  };

  for (const [what, line, quoted] of [['a line', 'echo Welcome to backup', 'Welcome to backup'], ['a single character', 'printf x', 'x'], ['much', 'seq 100000', '1']] as const) {
    it(`names the shell when it prints ${what}`, async () => {
      const { user, vault } = vaultOf(`${line}\n`);
      await assert.rejects(vault.check(), (error: DrydockError) => {
        assert.equal(error.kind, 'Refused');
        assert.match(error.message, new RegExp(`the login shell of ${user} on .* prints into SFTP: .*${quoted}`));
        assert.match(error.remedy ?? '', /internal-sftp/);
        return true;
      });
      await vault.close();
    });
  }

  it('names the shell when it never comes to SFTP', async () => {
    const { user, vault } = vaultOf('exec sleep 30\n', { loginTimeout: '1s' });
    await assert.rejects(vault.check(), (error: DrydockError) => {
      assert.equal(error.kind, 'Stalled');
      assert.match(error.message, new RegExp(`SFTP has not begun within 1 s: the login shell of ${user} there`));
      return true;
    });
    await vault.close();
  });

  it('is a vault like any other when the shell is quiet, or prints on standard error only', async () => {
    const { vault } = vaultOf('echo Welcome >&2\n');
    await vault.check();
    await vault.close();
  });
});

describe('a vault on an SFTP server', function () {
  this.timeout(180_000);
  let here: Awaited<ReturnType<typeof fresh>>;
  let vault: Vault;
  before(async () => {
    here = await fresh();
    ({ vault } = await placeIn(here));
  });
  after(async () => {
    await vault.close();
    await here.stop();
  });

  it('loses no more than the running call when its connection is cut, and names it', async () => {
    const upload = await vault.upload('lab/cut');
    await new Promise<void>((resolve, reject) => upload.stream.write(Buffer.alloc(1 << 20), (error) => (error ? reject(error) : resolve())));
    here.sshd.dropConnections();
    await assert.rejects(upload.commit(), isError('VaultUnavailable', /connection to sftp .* was lost/));
    assert.equal(await vault.stat('lab/cut'), null);
    await vault.put('lab/cut', 'after');
    assert.equal((await vault.readAll('lab/cut', 100)).toString(), 'after');
  });

  it('refuses symbolic links and never lists them', async () => {
    await mkdir(join(here.path, 'elsewhere'));
    await writeFile(join(here.path, 'outside'), 'secret');
    await symlink(join(here.path, 'outside'), join(here.directory, 'link'));
    await symlink(join(here.path, 'elsewhere'), join(here.directory, 'out'));
    await assert.rejects(vault.read('link'), isError('Refused', /symbolic link/));
    await assert.rejects(vault.put('out/x', 'x'), isError('Refused', /symbolic link/));
    await assert.rejects(vault.remove('out/x'), isError('Refused', /symbolic link/));
    assert.equal((await names(vault, '')).some((name) => name.startsWith('link') || name.startsWith('out')), false);
  });

  it('clears away half-written files and claims that nobody has touched for an hour, and no younger ones', async () => {
    const temporary = join(here.directory, '.drydock-tmp');
    for (const name of await filesIn(temporary)) await rm(join(temporary, name));
    for (const name of ['old', 'claim-old', 'young']) await writeFile(join(temporary, name), 'x');
    const past = new Date(Date.now() - 61 * 60 * 1000);
    for (const name of ['old', 'claim-old']) await utimes(join(temporary, name), past, past);
    await vault.check();
    assert.deepEqual(await filesIn(temporary), ['young']);
  });

  it('is not made where the directory above does not exist', async () => {
    const nowhere = openSftpVault(settings(here.sshd, join(here.path, 'a', 'b')));
    await assert.rejects(nowhere.check(), isError('NotFound', /does not exist/));
    await nowhere.close();
  });

  it('is refused when its host key is not the known one, and when the login is not accepted', async () => {
    const knownHosts = join(here.path, 'known_hosts');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(here.path, 'other')]);
    await writeFile(knownHosts, `[127.0.0.1]:${here.sshd.port} ${await readFile(join(here.path, 'other.pub'), 'utf8')}`);
    await assert.rejects(openSftpVault({ ...settings(here.sshd, here.directory), knownHosts }).check(), isError('HostKeyMismatch', /another host key/));
    await assert.rejects(openSftpVault({ ...settings(here.sshd, here.directory), key: `file:${join(here.path, 'other')}` }).check(), isError('AuthRejected', /does not accept the login/));
  });

  it('that does not answer is unavailable, which is worth another try', async () => {
    await assert.rejects(openSftpVault({ ...settings(here.sshd, here.directory), port: 1 }).check(), isError('VaultUnavailable', /cannot be reached/));
  });
});
