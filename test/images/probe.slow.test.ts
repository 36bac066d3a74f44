import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from '../../adapters/host/host';
import { localHost } from '../../adapters/host/local';
import { connectHost } from '../../adapters/host/ssh';
import { probeFolder } from '../../adapters/images/probe';
import { hostSchema } from '../../domain/config';
import { failure } from '../helpers/failure';
import { startSshd, type TestSshd } from '../helpers/sshd';

const OWNER = { uid: 1234, gid: 4321 };

describe('trying a folder for a restore', function () {
  this.timeout(60_000);
  let dir: string;
  const undo: (() => void)[] = [];
  const folder = (name: string): string => {
    const made = path.join(dir, name);
    mkdirSync(made);
    return made;
  };
  const mounted = (command: string[], at: string): void => {
    execFileSync(command[0]!, [...command.slice(1), at]);
    undo.push(() => execFileSync('umount', ['-l', at]));
  };
  const probe = (at: string, host: Host = localHost('node-1'), operation = 'restore/lab (4711)') => probeFolder(host, { folder: at, operation, owner: OWNER });

  beforeEach(() => {
    dir = mkdtempSync(path.join(tmpdir(), 'drydock-probe-'));
    chmodSync(dir, 0o755);
  });
  afterEach(() => {
    for (const step of undo.splice(0).reverse()) step();
    rmSync(dir, { recursive: true, force: true });
  });

  it('finds nothing wrong with a disk and with a tmpfs, and leaves nothing behind', async () => {
    const disk = folder('disk');
    const memory = folder('memory');
    mounted(['mount', '-t', 'tmpfs', 'tmpfs'], memory);
    for (const at of [disk, memory]) {
      writeFileSync(path.join(at, 'kept'), 'a');
      await probe(at);
      assert.deepEqual(readdirSync(at), ['kept']);
    }
  });

  it('names a mount that is read-only', async () => {
    const at = folder('ro');
    mounted(['mount', '--bind', at], at);
    execFileSync('mount', ['-o', 'remount,ro,bind', at]);
    const error = await failure(probe(at), 'Refused');
    assert.match(error.message, new RegExp(`^${at} on node-1 cannot be written: .*Read-only file system$`));
    assert.match(error.remedy ?? '', /mount it for writing/);
  });

  it('names a mount on which owners cannot be given, whether it says so or keeps quiet', async () => {
    for (const how of ['--chown-deny', '--chown-ignore']) {
      const at = folder(how);
      mounted(['bindfs', how, folder(`${how}-below`)], at);
      const error = await failure(probe(at), 'NotPermitted');
      assert.match(error.message, new RegExp(`^${at} on node-1 does not give files their owner \\(1234:4321\\): .*(not permitted|shows 0:\\d+ instead)`));
      assert.match(error.remedy ?? '', /no_root_squash; CIFS and FUSE/);
    }
  });

  it('names a mount that does not let files go', async () => {
    const at = folder('keeps');
    mounted(['bindfs', '--delete-deny', folder('keeps-below')], at);
    assert.match((await failure(probe(at), 'NotPermitted')).message, /does not let files go: .*not permitted/);
  });

  it('names a full disk, also where inodes alone are used up', async () => {
    const at = folder('full');
    mounted(['mount', '-t', 'tmpfs', '-o', 'nr_inodes=4', 'tmpfs'], at);
    assert.match((await failure(probe(at), 'NoSpace')).remedy ?? '', /df -i/);
    rmSync(path.join(at, '.drydock-restore-probe-x'), { force: true });
    assert.deepEqual(readdirSync(at), []);
  });

  describe('with an SSH server', () => {
    let sshd: TestSshd;
    before(async () => {
      sshd = await startSshd();
    });
    after(() => sshd.stop());

    it('names a FUSE mount without hard links', async () => {
      const at = folder('no-links');
      const below = folder('no-links-below');
      mounted(['sshfs', '-o', `disable_hardlink,port=${sshd.port},IdentityFile=${sshd.keyFile},UserKnownHostsFile=${sshd.knownHosts}`, `root@127.0.0.1:${below}`], at);
      const error = await failure(probe(at), 'Refused');
      assert.match(error.message, new RegExp(`^${at} on node-1 takes no hard links, by which a restore puts images in place: .*`));
      assert.match(error.remedy ?? '', /not CIFS/);
      assert.deepEqual(readdirSync(below), []);
    });

    it('names a folder in which the user may not write', async () => {
      const { user } = sshd.addLogin({ shell: '/bin/bash' });
      const host = await connectHost('node-1', hostSchema.parse({ address: '127.0.0.1', port: sshd.port, key: `file:${sshd.keyFile}`, user }), { knownHosts: sshd.knownHosts, hosts: {} });
      const at = folder('not-mine');
      // As a server with root_squash treats root: another user's folder.
      const squashed: Host = { ...host, name: host.name, exec: (command, options) => host.exec(command, { ...options, root: false }) };
      const error = await failure(probe(at, squashed), 'NotPermitted');
      assert.match(error.message, new RegExp(`^${at} on node-1 cannot be written: .*Permission denied`));
      assert.match(error.remedy ?? '', /no_root_squash/);
      await host.close();
    });
  });

  it('leaves nothing behind when it is cut off, and removes what a killed one has left', async () => {
    const at = folder('cut');
    // A `cp` that waits: so the probe can be ended in the middle.
    const bin = folder('bin');
    writeFileSync(path.join(bin, 'cp'), '#!/bin/sh\ntouch "$WAITING"\nexec sleep 30\n', { mode: 0o755 });
    const waiting = path.join(dir, 'waiting');
    const kept = process.env.PATH;
    process.env.PATH = `${bin}:${kept}`;
    process.env.WAITING = waiting;
    try {
      const controller = new AbortController();
      const cut = probeFolder(localHost('node-1'), { folder: at, operation: 'a', owner: OWNER, signal: controller.signal });
      cut.catch(() => undefined);
      while (!existsSync(waiting)) await sleep(20);
      assert.match(readdirSync(at).join(), /^\.drydock-restore-probe-a-[0-9a-f]{8}$/);
      controller.abort(new Error('cancelled'));
      await assert.rejects(cut, /cancelled/);
      for (let n = 0; n < 100 && readdirSync(at).length > 0; n++) await sleep(50);
      assert.deepEqual(readdirSync(at), []);
    } finally {
      process.env.PATH = kept;
      delete process.env.WAITING;
    }
    mkdirSync(path.join(at, '.drydock-restore-probe-dead-00000000'));
    await probe(at);
    assert.deepEqual(readdirSync(at), []);
  });
});
