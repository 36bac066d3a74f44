import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface TestSshd {
  /** Of the daemon; its connections are its children. */
  pid: number;
  port: number;
  /** Folder of keys and known_hosts. */
  dir: string;
  /** Private key that both users accept. */
  keyFile: string;
  knownHosts: string;
  /** `ssh-ed25519 AAAA...` */
  hostKey: string;
  /** Ordinary user whose sudo asks for `passwordFile`'s password. */
  user: string;
  passwordFile: string;
  /** A further user with a shell and a home of its own, who logs in by the same key; with `sudo` it may use that without a password. */
  addLogin(options: { shell: string; sudo?: boolean; files?: Record<string, string> }): { user: string; home: string };
  /** Ends all connections at once, as a host that loses its power. */
  dropConnections(): void;
  stop(): Promise<void>;
}

/**
 * A real sshd on loop-back with its own keys: root by key, and (with `ordinaryUser`) a fresh user whose sudo wants a password. `sftp`: the subsystem's
 * command. `readsBashrc`: bash reads the start-up file of its user, as it does everywhere else. `keyType`: of the host; `lines`: further ones of its configuration. Needs root.
 */
export async function startSshd(
  options: { ordinaryUser?: boolean; sftp?: string; readsBashrc?: boolean; keyType?: 'ed25519' | 'rsa'; lines?: string[] } = {},
): Promise<TestSshd> {
  const dir = mkdtempSync(path.join(tmpdir(), 'drydock-sshd-'));
  chmodSync(dir, 0o755);
  const port = await freePort();
  const file = (name: string) => path.join(dir, name);
  keygen(file('host_key'), options.keyType);
  keygen(file('user_key'));
  writeFileSync(file('authorized_keys'), readFileSync(file('user_key.pub')), { mode: 0o644 });
  const hostKey = readFileSync(file('host_key.pub'), 'utf8').trim().split(' ').slice(0, 2).join(' ');
  writeFileSync(file('known_hosts'), `[127.0.0.1]:${port} ${hostKey}\n`);
  if (!existsSync('/run/sshd')) mkdirSync('/run/sshd', { mode: 0o755 });
  writeFileSync(
    file('config'),
    [`Port ${port}`, 'ListenAddress 127.0.0.1', `HostKey ${file('host_key')}`, `AuthorizedKeysFile ${file('authorized_keys')}`, `PidFile ${file('pid')}`,
      'PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'PermitRootLogin prohibit-password', 'UsePAM yes', 'StrictModes no',
      // Bash reads the machine's own ~/.bashrc for every command that comes by SSH at the first level, and some of those take long.
      ...(options.readsBashrc === true ? [] : ['SetEnv SHLVL=2']), `Subsystem sftp ${options.sftp ?? 'internal-sftp'}`, ...(options.lines ?? []), ''].join('\n'),
  );
  const logins: { user: string; home: string }[] = [];
  const user = newName();
  if (options.ordinaryUser === true) addUser(user, file('sudo_password'));
  const daemon = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', file('config')], { stdio: 'ignore' });
  await listening(port);
  return {
    pid: daemon.pid!, port, dir, keyFile: file('user_key'), knownHosts: file('known_hosts'), hostKey, user, passwordFile: file('sudo_password'),
    addLogin: (login) => {
      const added = addLogin(login);
      logins.push(added);
      return added;
    },
    dropConnections: () => killSessions(daemon),
    stop: async () => {
      killSessions(daemon);
      daemon.kill();
      await new Promise((resolve) => (daemon.exitCode === null && daemon.signalCode === null ? daemon.once('exit', resolve) : resolve(undefined)));
      if (options.ordinaryUser === true) removeUser(user);
      for (const { user: added, home } of logins) {
        removeUser(added);
        rmSync(home, { recursive: true, force: true });
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function keygen(target: string, type = 'ed25519'): void {
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', target]);
}

function newName(): string {
  return `ddt${randomBytes(4).toString('hex')}`;
}

function addLogin({ shell, sudo, files = {} }: Parameters<TestSshd['addLogin']>[0]): { user: string; home: string } {
  const user = newName();
  const home = mkdtempSync(path.join(tmpdir(), 'drydock-home-'));
  execFileSync('useradd', ['--no-create-home', '--home-dir', home, '--shell', shell, user]);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(home, name)), { recursive: true });
    writeFileSync(path.join(home, name), text);
  }
  execFileSync('chown', ['-R', user, home]);
  if (sudo === true) writeFileSync(`/etc/sudoers.d/${user}`, `${user} ALL=(ALL) NOPASSWD: ALL\n`, { mode: 0o440 });
  return { user, home };
}

function addUser(user: string, passwordFile: string): void {
  const password = randomBytes(12).toString('hex');
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  execFileSync('useradd', ['--no-create-home', '--home-dir', '/tmp', '--shell', '/bin/bash', user]);
  execFileSync('chpasswd', { input: `${user}:${password}\n` });
  writeFileSync(`/etc/sudoers.d/${user}`, `${user} ALL=(ALL) ALL\n`, { mode: 0o440 });
}

function removeUser(user: string): void {
  rmSync(`/etc/sudoers.d/${user}`, { force: true });
  execFileSync('userdel', ['--force', user], { stdio: 'ignore' });
}

/** The daemon's children are its connections; each is ended with the processes it started for the user. */
function killSessions(daemon: ChildProcess): void {
  for (const pid of childrenOf(daemon.pid!)) {
    // The server first: it would tell the client how the command ended, and that is no lost connection.
    const below = childrenOf(pid);
    killQuietly(pid);
    for (const session of below) killQuietly(session);
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return (address as { port: number }).port;
}

async function listening(port: number): Promise<void> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`;
  for (let n = 0; n < 100; n++) {
    if (readFileSync('/proc/net/tcp', 'utf8').includes(wanted)) return;
    await sleep(50);
  }
  throw new Error(`sshd does not listen on ${port}`);
}
