import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectHost } from '../../adapters/host/ssh';
import type { Host } from '../../adapters/host/host';
import { hostSchema } from '../../domain/config';
import { failure } from '../helpers/failure';
import { runs, unusual } from '../helpers/processes';
import { startSshd, type TestSshd } from '../helpers/sshd';

const BASH = '/bin/bash';
/** Prints to both streams, without a line end, and bytes that are no text. */
const NOISE = 'printf "Welcome to node-1\\nbin\\0ary\\377 and no line end"; printf "mesg: ttyname failed" >&2\n';

describe('a login shell that does more than it should', function () {
  this.timeout(180_000);
  let sshd: TestSshd;
  const open: Host[] = [];

  const login = async (options: Parameters<TestSshd['addLogin']>[0], extra: object = {}) => {
    const { user } = sshd.addLogin(options);
    const host = await connectHost('node-1', hostSchema.parse({ address: '127.0.0.1', port: sshd.port, key: `file:${sshd.keyFile}`, user, ...extra }), { knownHosts: sshd.knownHosts, hosts: {} });
    open.push(host);
    return { host, user };
  };
  const withBashrc = async (text: string, extra: object = {}) => login({ shell: BASH, sudo: true, files: { '.bashrc': text } }, extra);
  const bothStreams = (host: Host, root: boolean) => host.exec(['sh', '-c', 'printf out; printf err >&2; exit 3'], { root, okCodes: [3] });

  before(async () => {
    sshd = await startSshd({ readsBashrc: true });
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((host) => host.close()));
  });
  after(() => sshd.stop());

  for (const root of [false, true]) {
    describe(root ? 'with sudo' : 'without sudo', () => {
      it('prints before a command: none of it is taken for the command\'s own', async () => {
        const { host } = await withBashrc(NOISE);
        assert.deepEqual(await bothStreams(host, root), { code: 3, stdout: 'out', stderr: 'err' });
      });

      it('prints behind a command, and ends with a code of its own: neither counts', async () => {
        const { host } = await withBashrc('trap \'echo Goodbye; echo logged out >&2; exit 0\' EXIT\n');
        assert.deepEqual(await bothStreams(host, root), { code: 3, stdout: 'out', stderr: 'err' });
        await failure(host.exec(['sh', '-c', 'kill -9 $$'], { root }), 'CommandFailed');
      });

      it('is slow: the command\'s own limit does not count until it runs, for ending it neither', async () => {
        const { host } = await withBashrc('sleep 2\n');
        assert.equal((await host.exec(['echo', 'through'], { root, stallMs: 500 })).stdout, 'through\n');
        const mark = unusual();
        const error = await failure(host.exec(['sleep', mark], { root, stallMs: 500 }), 'Stalled');
        assert.match(error.message, /while sleep ran/);
        assert.equal(await runs(`sleep\0${mark}`), false);
      });
    });
  }

  it('leaves a large stream as it is when it prints before and behind', async () => {
    const { host } = await withBashrc(`${NOISE}trap 'head -c 9000 /dev/zero' EXIT\n`);
    const child = await host.spawn(['sh', '-c', 'head -c 50000000 /dev/zero; printf @drydock-; printf @']);
    child.stdin.end();
    const hash = createHash('sha256');
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      hash.update(chunk);
      child.giveBack?.(chunk);
    }
    assert.equal((await child.exit).code, 0);
    assert.equal(hash.digest('hex'), createHash('sha256').update(Buffer.alloc(50_000_000)).update('@drydock-@').digest('hex'));
  });

  it('gives a command its input, whatever the shell prints', async () => {
    const { host } = await withBashrc(NOISE);
    assert.equal((await host.exec(['cat'], { input: 'only this' })).stdout, 'only this');
  });

  it('replaces itself by another shell that waits for input: named within the limit, as what it is', async () => {
    const { host, user } = await withBashrc('exec sh\n', { loginTimeout: '2s' });
    const error = await failure(host.exec(['id']), 'Stalled');
    assert.match(error.message, new RegExp(`^the login shell of ${user} on node-1 has not run a command within 2 s$`));
    assert.match(error.remedy ?? '', /exec.*hosts\.node-1\.loginTimeout/);
  });

  it('ends before the command, or is none: named with what it printed', async () => {
    const ends = await withBashrc('echo No entry; exit 0\n');
    assert.match((await failure(ends.host.exec(['id']), 'CommandFailed')).message, new RegExp(`the login shell of ${ends.user} on node-1 ended without running it; it printed: No entry$`));
    const { host } = await login({ shell: '/usr/sbin/nologin' });
    assert.match((await failure(host.exec(['id'], { root: false }), 'CommandFailed')).message, /This account is currently not available/);
  });

  for (const [what, line] of Object.entries({ 'standard output': 'exec >/dev/null', 'standard error': 'exec 2>/dev/null', 'standard error into standard output': 'exec 2>&1', 'standard output into standard error': 'exec >&2' })) {
    it(`redirects ${what}: refused with its name instead of waited for, and the command is ended`, async () => {
      const { host, user } = await withBashrc(`${line}\n`);
      const mark = unusual();
      const error = await failure(host.exec(['sleep', mark]), 'Refused');
      assert.match(error.message, new RegExp(`the login shell of ${user} on node-1 redirects the output of commands`));
      assert.equal(await runs(`sleep\0${mark}`), false);
    });
  }

  it('prints without end: refused, and nothing is kept of it', async () => {
    const { host, user } = await withBashrc('yes\n');
    assert.match((await failure(host.exec(['id']), 'Refused')).message, new RegExp(`the login shell of ${user} on node-1 prints without end`));
  });

  it('goes through a jump host whose shell prints as well', async () => {
    const gate = sshd.addLogin({ shell: BASH, files: { '.bashrc': NOISE } });
    const { user } = sshd.addLogin({ shell: BASH, files: { '.bashrc': NOISE } });
    const config = (name: string, extra: object = {}) => hostSchema.parse({ address: '127.0.0.1', port: sshd.port, key: `file:${sshd.keyFile}`, user: name, ...extra });
    const host = await connectHost('node-1', config(user, { jump: 'gate' }), { knownHosts: sshd.knownHosts, hosts: { gate: config(gate.user) } });
    open.push(host);
    assert.deepEqual(await bothStreams(host, false), { code: 3, stdout: 'out', stderr: 'err' });
  });

  it('does not hear the lecture of sudo, nor what PAM says when sudo opens and closes', async () => {
    const { host, user } = await withBashrc('');
    const said = '/etc/pam.d/sudo';
    const kept = readFileSync(said);
    const sudoers = `/etc/sudoers.d/${user}`;
    writeFileSync(sudoers, `${readFileSync(sudoers, 'utf8')}Defaults:${user} lecture=always\n`);
    writeFileSync(said, `${kept.toString()}\nsession optional pam_exec.so stdout /bin/echo PAM says hello\n`);
    try {
      assert.deepEqual(await bothStreams(host, true), { code: 3, stdout: 'out', stderr: 'err' });
    } finally {
      writeFileSync(said, kept);
    }
  });

  for (const shell of ['/bin/sh', BASH, '/usr/bin/fish', '/usr/bin/tcsh', '/bin/bsd-csh', '/usr/bin/zsh']) {
    it(`hands every argument over unchanged to a user of ${shell}, with sudo and without`, async () => {
      const { host } = await login({ shell, sudo: true });
      const args = ['a b', "it's", 'back\\slash', "\\'", '\\', '\\\\', 'a!b', '!!', '$HOME', '`id`', '"', 'line\nline\n', '\n', '*', '~', '{a,b}', '%self', '=x', '=', '', '-x', 'é€', '(a)', '^a^b', '#', ';|&<>', '\ttab', '\\n', 'x'.repeat(5_000)];
      for (const root of [false, true]) {
        const { stdout } = await host.exec(['printf', '%s\\0', ...args], { root });
        assert.deepEqual(stdout.split('\0').slice(0, -1), args);
      }
    });

    it(`runs and ends commands for a user of ${shell}`, async () => {
      const { host } = await login({ shell, sudo: true });
      assert.deepEqual(await bothStreams(host, true), { code: 3, stdout: 'out', stderr: 'err' });
      await failure(host.exec(['no-such-command-here'], { root: false }), 'NotFound');
      const mark = unusual();
      const child = await host.spawn(['sh', '-c', `sleep ${mark} & sleep ${mark}`]);
      await child.kill();
      await sleep(100);
      assert.equal(await runs(`sleep\0${mark}`), false);
    });
  }
});
