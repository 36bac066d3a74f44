import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createConnection, createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectHost, type SshOptions } from '../../adapters/host/ssh';
import { loginLimitMs } from '../../adapters/host/ssh-connect';
import type { Host } from '../../adapters/host/host';
import { hostSchema, type HostConfig } from '../../domain/config';
import { failure } from '../helpers/failure';
import { noise } from '../helpers/noise';
import { feedPatiently, readSlowly } from '../helpers/patient-feed';
import { runs, unusual } from '../helpers/processes';
import { startSshd, type TestSshd } from '../helpers/sshd';

describe('a host over SSH', function () {
  this.timeout(180_000);
  let sshd: TestSshd;
  const open: Host[] = [];

  const config = (extra: object = {}): HostConfig => hostSchema.parse({ address: '127.0.0.1', port: sshd.port, key: `file:${sshd.keyFile}`, ...extra });
  const ordinary = (extra: object = {}) => config({ user: sshd.user, sudoPassword: `file:${sshd.passwordFile}`, ...extra });
  const connect = async (using = config(), extra: Partial<SshOptions> = {}) => {
    const host = await connectHost('node-1', using, { knownHosts: sshd.knownHosts, hosts: {}, ...extra });
    open.push(host);
    return host;
  };
  const fileWith = (name: string, text: string) => {
    const target = path.join(sshd.dir, name);
    writeFileSync(target, text, { mode: 0o600 });
    return target;
  };

  before(async () => {
    sshd = await startSshd({ ordinaryUser: true });
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((host) => host.close()));
  });
  after(() => sshd.stop());

  describe('commands', () => {
    it('hands every argument over unchanged, whatever characters it holds', async () => {
      const host = await connect();
      const args = ['a b', "it's", '$(id)', '`id`', '"', '\\', 'a\nb', '*', '~', '', '-x', 'é€', '!', ';|&<>'];
      const { stdout } = await host.exec(['printf', '%s\\0', ...args]);
      assert.deepEqual(stdout.split('\0').slice(0, -1), args);
    });

    it('keeps standard output and standard error apart and tells the exit code', async () => {
      const host = await connect();
      const result = await host.exec(['sh', '-c', 'echo out; echo err >&2; exit 3'], { okCodes: [0, 3] });
      assert.deepEqual(result, { code: 3, stdout: 'out\n', stderr: 'err\n' });
    });

    it('fails with command, code and the end of standard error when the exit code is not expected', async () => {
      const host = await connect();
      const error = await failure(host.exec(['sh', '-c', 'echo some reason >&2; exit 7']), 'CommandFailed');
      assert.match(error.message, /node-1: sh -c .* ended with 7: some reason/);
      assert.equal(error.details?.code, 7);
    });

    it('tells a command that is not installed from one that failed', async () => {
      const host = await connect();
      await failure(host.exec(['no-such-command-here']), 'NotFound');
    });

    it('finds commands in the sbin folders also for a login that has not got them on its PATH', async () => {
      const host = await connect(ordinary());
      const { stdout } = await host.exec(['sh', '-c', 'echo $PATH'], { root: false });
      assert.match(stdout, /\/usr\/sbin/);
    });

    it('refuses more output than the caller allows and ends the command', async () => {
      const host = await connect();
      await failure(host.exec(['yes'], { maxOutput: 100_000 }), 'CommandFailed');
    });

    it('misses nothing of commands that end at once, fifty times', async () => {
      const host = await connect();
      for (let n = 0; n < 50; n++) assert.equal((await host.exec(['echo', String(n)])).stdout, `${n}\n`);
    });

    it('runs forty commands at once over one connection', async () => {
      const host = await connect();
      const results = await Promise.all(Array.from({ length: 40 }, (_, n) => host.exec(['echo', String(n)])));
      assert.deepEqual(results.map(({ stdout }) => Number(stdout)), Array.from({ length: 40 }, (_, n) => n));
    });
  });

  describe('streams', () => {
    for (const who of ['root', 'ordinary user with sudo'] as const) {
      it(`carries 64 MiB there and back unchanged as ${who}`, async () => {
        const host = await connect(who === 'root' ? config() : ordinary());
        const child = await host.spawn(['cat']);
        const sent = createHash('sha256');
        const received = createHash('sha256');
        const source = Readable.from(noise(64, sent));
        await Promise.all([pipeline(source, child.stdin), pipeline(child.stdout, async (stream: AsyncIterable<Buffer>) => {
          for await (const chunk of stream) received.update(chunk);
        })]);
        assert.equal((await child.exit).code, 0);
        assert.equal(received.digest('hex'), sent.digest('hex'));
      });
    }

    it('gives a command the end of its input', async () => {
      const host = await connect();
      assert.equal((await host.exec(['wc', '-c'], { input: Buffer.alloc(1_000_001) })).stdout.trim(), '1000001');
      assert.equal((await host.exec(['wc', '-c'])).stdout.trim(), '0');
    });

    it('ends the command instead of closing its input when the source of the input fails', async () => {
      const host = await connect();
      const target = path.join(sshd.dir, 'half-written');
      const source = Readable.from((function* () {
        yield Buffer.from('first part');
        throw new Error('the source broke');
      })());
      await assert.rejects(host.exec(['sh', '-c', 'cat >/dev/null; touch "$1"', 'sh', target], { input: source }), /the source broke/);
      await sleep(300);
      assert.equal(existsSync(target), false, 'the command took the broken input for a complete one');
    });

    it('shows an error and not a clean end on standard output when the command is killed', async () => {
      const host = await connect();
      const child = await host.spawn(['sh', '-c', 'echo part; kill -9 $$']);
      const reading = (async () => {
        for await (const chunk of child.stdout as AsyncIterable<Buffer>) void chunk;
      })();
      await failure(reading, 'CommandFailed');
      assert.match((await failure(host.exec(['sh', '-c', 'kill -9 $$']), 'CommandFailed')).message, /KILL/);
    });

    it('shows an error and not a clean end on standard output when the connection is lost', async () => {
      const host = await connect();
      const child = await host.spawn(['sh', '-c', 'echo part; exec sleep 100']);
      let text = '';
      const reading = (async () => {
        for await (const chunk of child.stdout as AsyncIterable<Buffer>) text += chunk.toString();
      })();
      await sleep(200);
      sshd.dropConnections();
      await failure(reading, 'HostUnreachable');
      await failure(child.exit, 'HostUnreachable');
      assert.equal(text, 'part\n');
      await failure(host.exec(['true']), 'HostUnreachable');
    });

    it('fails with Stalled when nothing moves for the given time, and ends the command', async () => {
      const host = await connect();
      const seconds = unusual();
      const error = await failure(host.exec(['sleep', seconds], { stallMs: 400 }), 'Stalled');
      assert.match(error.message, /sleep/);
      assert.equal(await runs(`sleep\0${seconds}`), false);
    });

    it('does not call it a stall when our own source pauses, and does when the command hangs after its input', async () => {
      await feedPatiently(await connect());
    });

    it('does not call a command stalled that has ended while our reader still holds the last of its output', async () => {
      await readSlowly(await connect());
    });

    it('does not call it a stall when our own reader is slow', async () => {
      const host = await connect();
      const child = await host.spawn(['head', '-c', '20000000', '/dev/zero'], { stallMs: 1_500 });
      child.stdin.end();
      await sleep(3_500);
      let size = 0;
      for await (const chunk of child.stdout as AsyncIterable<Buffer>) size += chunk.length;
      assert.equal(size, 20_000_000);
      assert.equal((await child.exit).code, 0);
    });
  });

  describe('ending a command', () => {
    for (const who of ['root', 'ordinary user with sudo'] as const) {
      it(`kills the command on the host with its children as ${who}`, async () => {
        const host = await connect(who === 'root' ? config() : ordinary());
        const mark = unusual();
        const child = await host.spawn(['sh', '-c', `sleep ${mark} & sleep ${mark}`]);
        assert.equal(await runs(`sleep\0${mark}`), true);
        await child.kill();
        await child.kill();
        assert.equal(await runs(`sleep\0${mark}`), false);
      });
    }

    it('kills a command that ignores a polite request', async () => {
      const host = await connect();
      const mark = unusual();
      const child = await host.spawn(['sh', '-c', `trap "" TERM; sleep ${mark}`]);
      await child.kill();
      assert.equal(await runs(`sleep\0${mark}`), false);
    });

    it('leaves no command that goes on, at whatever moment of its beginning the signal fires', async () => {
      const host = await connect();
      for (const after of [0, 2, 5, 10, 15, 20, 30, 50]) {
        const seconds = unusual();
        const controller = new AbortController();
        setTimeout(() => controller.abort(new Error('cancelled')), after);
        await assert.rejects(host.exec(['sleep', seconds], { signal: controller.signal }), /cancelled/);
        assert.equal(await runs(`sleep\0${seconds}`), false, `cancelled after ${after} ms`);
      }
    });

    it('rejects with the reason of the signal and ends the command when the signal fires', async () => {
      const host = await connect();
      const seconds = unusual();
      const controller = new AbortController();
      const reason = new Error('cancelled by a person');
      const running = host.exec(['sleep', seconds], { signal: controller.signal });
      setTimeout(() => controller.abort(reason), 200);
      await assert.rejects(running, (error) => error === reason);
      assert.equal(await runs(`sleep\0${seconds}`), false);
    });
  });

  describe('sudo', () => {
    it('gives an ordinary user root\'s rights by its password, and only where they are asked for', async () => {
      const host = await connect(ordinary());
      assert.equal((await host.exec(['id', '-u'])).stdout.trim(), '0');
      assert.notEqual((await host.exec(['id', '-u'], { root: false })).stdout.trim(), '0');
    });

    it('never shows the password in the list of processes', async () => {
      const host = await connect(ordinary());
      const { stdout } = await host.exec(['ps', '-eww', '-o', 'args']);
      assert.equal(stdout.includes(readFileSync(sshd.passwordFile, 'utf8').trim()), false);
    });

    it('does not feed the password to the command when sudo does not ask for it', async () => {
      const sudoers = `/etc/sudoers.d/${sshd.user}`;
      const kept = readFileSync(sudoers);
      writeFileSync(sudoers, `${sshd.user} ALL=(ALL) NOPASSWD: ALL\n`);
      try {
        const host = await connect(ordinary());
        assert.equal((await host.exec(['cat'], { input: 'only this' })).stdout, 'only this');
      } finally {
        writeFileSync(sudoers, kept);
      }
    });

    it('says that the password is wrong', async () => {
      const host = await connect(ordinary({ sudoPassword: `file:${fileWith('wrong', 'nonsense\n')}` }));
      const error = await failure(host.exec(['id']), 'AuthRejected');
      assert.match(error.message, /sudo on node-1 does not accept the password/);
      assert.doesNotMatch(error.message, /nonsense/);
    });

    it('says that a password is needed when none is configured', async () => {
      const host = await connect(ordinary({ sudoPassword: undefined }));
      const error = await failure(host.exec(['id']), 'AuthRejected');
      assert.match(error.remedy ?? '', /hosts\.node-1\.sudoPassword/);
    });
  });

  describe('host keys', () => {
    it('refuses a host that known_hosts does not name, and shows its fingerprint', async () => {
      const error = await failure(connect(config(), { knownHosts: fileWith('empty', '# nobody\n') }), 'HostKeyMismatch');
      const real = execFileSync('ssh-keygen', ['-lf', path.join(sshd.dir, 'host_key.pub')], { encoding: 'utf8' }).split(' ')[1]!;
      assert.ok(error.message.includes(real), error.message);
    });

    it('refuses a host that shows another key', async () => {
      const other = readFileSync(path.join(sshd.dir, 'user_key.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
      const error = await failure(connect(config(), { knownHosts: fileWith('other', `[127.0.0.1]:${sshd.port} ${other}\n`) }), 'HostKeyMismatch');
      assert.match(error.message, /another host key/);
    });

    it('refuses a host of which only a key of another kind is known', async () => {
      const rsa = path.join(sshd.dir, 'rsa');
      execFileSync('ssh-keygen', ['-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', rsa]);
      const key = readFileSync(`${rsa}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
      await failure(connect(config(), { knownHosts: fileWith('kind', `[127.0.0.1]:${sshd.port} ${key}\n`) }), 'HostKeyMismatch');
    });

    it('refuses a revoked key although it is also listed as good', async () => {
      const lines = readFileSync(sshd.knownHosts, 'utf8') + `@revoked * ${sshd.hostKey}\n`;
      const error = await failure(connect(config(), { knownHosts: fileWith('revoked', lines) }), 'HostKeyMismatch');
      assert.match(error.message, /revoked/);
    });

    it('accepts hashed entries as OpenSSH writes them', async () => {
      const hashed = fileWith('hashed', readFileSync(sshd.knownHosts, 'utf8'));
      execFileSync('ssh-keygen', ['-H', '-f', hashed], { stdio: 'ignore' });
      assert.match(readFileSync(hashed, 'utf8'), /^\|1\|/);
      const host = await connect(config(), { knownHosts: hashed });
      assert.equal((await host.exec(['echo', 'in'])).stdout, 'in\n');
    });

    it('takes a given key instead of known_hosts for a rebuilt host, and refuses any other', async () => {
      const host = await connect(config(), { knownHosts: '/does/not/exist', hostKeyOverride: sshd.hostKey });
      assert.equal((await host.exec(['echo', 'in'])).stdout, 'in\n');
      const other = readFileSync(path.join(sshd.dir, 'user_key.pub'), 'utf8');
      await failure(connect(config(), { hostKeyOverride: other }), 'HostKeyMismatch');
      await failure(connect(config(), { hostKeyOverride: 'ssh-ed25519 nonsense' }), 'InvalidInput');
    });
  });

  describe('servers of other times', () => {
    const others: TestSshd[] = [];
    const startOther = async (options: Parameters<typeof startSshd>[0]) => {
      const other = await startSshd(options);
      others.push(other);
      return (extra: Partial<SshOptions> = {}) =>
        connect(hostSchema.parse({ address: '127.0.0.1', port: other.port, key: `file:${other.keyFile}` }), { knownHosts: other.knownHosts, ...extra });
    };
    after(() => Promise.all(others.map((other) => other.stop())));

    it('are named when they sign their host key with SHA-1 only, whether the key is known or not', async () => {
      const connectOther = await startOther({ keyType: 'rsa', lines: ['HostKeyAlgorithms ssh-rsa'] });
      for (const knownHosts of [others.at(-1)!.knownHosts, fileWith('none', '')]) {
        const error = await failure(connectOther({ knownHosts }), 'Refused');
        assert.match(error.message, /node-1 \(127\.0\.0\.1:\d+\) signs with SHA-1 only \(ssh-rsa\)/);
        assert.match(error.remedy ?? '', /OpenSSH 7\.2/);
      }
    });

    it('are taken with an RSA key where they sign with SHA-2', async () => {
      const connectOther = await startOther({ keyType: 'rsa' });
      assert.equal((await (await connectOther()).exec(['echo', 'in'])).stdout, 'in\n');
    });

    it('are named with what they offer when there is no cipher or key exchange in common', async () => {
      const ciphers = await startOther({ lines: ['Ciphers aes256-cbc'] });
      assert.match((await failure(ciphers(), 'Refused')).message, /no cipher in common; it offers only aes256-cbc/);
      const exchanges = await startOther({ lines: ['KexAlgorithms diffie-hellman-group1-sha1'] });
      assert.match((await failure(exchanges(), 'Refused')).message, /no key exchange in common; it offers only .*diffie-hellman-group1-sha1/);
    });

    it('are named with the kinds of key that they have when none is expected, also behind a jump host', async () => {
      const rsa = path.join(sshd.dir, 'other-rsa');
      execFileSync('ssh-keygen', ['-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', rsa]);
      const hostKeyOverride = readFileSync(`${rsa}.pub`, 'utf8');
      for (const jump of [undefined, 'gate']) {
        const error = await failure(connect(config({ jump }), { hosts: { gate: config() }, hostKeyOverride }), 'HostKeyMismatch');
        assert.match(error.message, /has no host key of a kind that is expected; it offers ssh-ed25519/);
      }
    });

    it('are taken by the plain name in known_hosts, as ssh takes them; another key than that is not known', async () => {
      const key = (at: TestSshd) => at.hostKey;
      const host = await connect(config(), { knownHosts: fileWith('plain', `127.0.0.1 ${key(sshd)}\n`) });
      assert.equal((await host.exec(['echo', 'in'])).stdout, 'in\n');
      const other = readFileSync(path.join(sshd.dir, 'user_key.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
      const error = await failure(connect(config(), { knownHosts: fileWith('plain-other', `127.0.0.1 ${other}\n`) }), 'HostKeyMismatch');
      assert.match(error.message, /is not known; it shows SHA256:\S+, and is not the one that stands there for 127\.0\.0\.1 without a port/);
      await failure(connect(config(), { knownHosts: fileWith('both', `127.0.0.1 ${key(sshd)}\n[127.0.0.1]:${sshd.port} ${other}\n`) }), 'HostKeyMismatch');
    });

    it('may let a login wait as long as the configuration says, and are named when it takes longer', async () => {
      const slow = createServer((socket) => {
        const onward = createConnection(sshd.port, '127.0.0.1');
        socket.on('error', () => onward.destroy()).on('close', () => onward.destroy()).pipe(onward);
        onward.on('error', () => socket.destroy());
        setTimeout(() => onward.pipe(socket), 2_500);
      }).listen(0, '127.0.0.1');
      await once(slow, 'listening');
      const { port } = slow.address() as AddressInfo;
      const options = { hostKeyOverride: sshd.hostKey };
      try {
        const error = await failure(connect(config({ port, loginTimeout: '1s' }), options), 'HostUnreachable');
        assert.match(error.message, /takes the call, but has not let us in within 1 s/);
        assert.match(error.remedy ?? '', /raise hosts\.node-1\.loginTimeout/);
        assert.equal((await (await connect(config({ port }), options)).exec(['echo', 'in'])).stdout, 'in\n');
        assert.equal(loginLimitMs(config()), 60_000);
      } finally {
        slow.close();
      }
    });
  });

  describe('the way in', () => {
    it('goes through a jump host', async () => {
      const hosts = { gate: config() };
      const host = await connect(config({ jump: 'gate' }), { hosts });
      assert.match((await host.exec(['sh', '-c', 'echo $SSH_CONNECTION'])).stdout, /^127\.0\.0\.1 /);
      await failure(connect(config({ jump: 'gate', port: 9 }), { hosts }), 'HostUnreachable');
      await failure(connect(config({ jump: 'nobody' }), { hosts }), 'InvalidInput');
      await failure(connect(config({ jump: 'a' }), { hosts: { a: config({ jump: 'b' }), b: config({ jump: 'a' }) } }), 'InvalidInput');
    });

    it('uses an agent', async () => {
      const socket = path.join(sshd.dir, 'agent');
      const started = execFileSync('ssh-agent', ['-s', '-a', socket], { encoding: 'utf8' });
      const pid = Number(/SSH_AGENT_PID=(\d+)/.exec(started)?.[1]);
      try {
        execFileSync('ssh-add', ['-q', sshd.keyFile], { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: 'ignore' });
        const host = await connect(config({ key: undefined, agent: socket }));
        assert.equal((await host.exec(['echo', 'in'])).stdout, 'in\n');
      } finally {
        process.kill(pid);
      }
    });

    it('opens a key that has a passphrase, and says which passphrase is missing or wrong', async () => {
      const locked = fileWith('locked', readFileSync(sshd.keyFile, 'utf8'));
      execFileSync('ssh-keygen', ['-q', '-p', '-P', '', '-N', 'correct horse', '-f', locked]);
      const right = fileWith('passphrase', 'correct horse\n');
      const host = await connect(config({ key: `file:${locked}`, keyPassphrase: `file:${right}` }));
      assert.equal((await host.exec(['echo', 'in'])).stdout, 'in\n');
      const missing = await failure(connect(config({ key: `file:${locked}` })), 'InvalidInput');
      assert.match(missing.remedy ?? '', /keyPassphrase/);
      await failure(connect(config({ key: `file:${locked}`, keyPassphrase: `file:${fileWith('bad', 'x\n')}` })), 'InvalidInput');
    });

    it('says that the login is refused when the key is not the user\'s', async () => {
      const stranger = path.join(sshd.dir, 'stranger');
      if (!existsSync(stranger)) execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', stranger]);
      await failure(connect(config({ key: `file:${stranger}` })), 'AuthRejected');
    });

    it('gives up a host that never answers when the signal fires, and connects to others all the same', async () => {
      const silent = createServer().listen(0, '127.0.0.1');
      await once(silent, 'listening');
      const { port } = silent.address() as AddressInfo;
      try {
        const connecting = connect(config({ port }), { signal: AbortSignal.timeout(200), hostKeyOverride: sshd.hostKey });
        const other = await connect();
        await assert.rejects(connecting, { name: 'TimeoutError' });
        assert.equal((await other.exec(['echo', 'here'])).stdout, 'here\n');
      } finally {
        silent.close();
      }
    });

    it('serves ten hosts at once, and those that stay when one is closed', async () => {
      const hosts = await Promise.all(Array.from({ length: 10 }, () => connect()));
      await hosts[0]!.close();
      const outputs = await Promise.all(hosts.slice(1).map((host, n) => host.exec(['sh', '-c', 'head -c 2000000 /dev/zero; echo $0', String(n)])));
      assert.deepEqual(outputs.map(({ stdout }) => stdout.length), outputs.map(() => 2_000_002));
      await failure(hosts[0]!.exec(['true']), 'HostUnreachable');
    });

    it('says that the host cannot be reached when nobody listens, and may be tried again', async () => {
      const error = await failure(connect(config({ port: 9 })), 'HostUnreachable');
      assert.equal(error.retryable, true);
    });
  });
});
