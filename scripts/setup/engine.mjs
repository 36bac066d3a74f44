/** The Docker Engine: the one that runs, else one that set-up starts (and remembers, so that it can be stopped again). */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SetupError, say, step } from '../lib/console.mjs';
import { exec, which } from '../lib/exec.mjs';
import { isAlive, withLock } from '../lib/lock.mjs';
import { ENGINE_DIR, STATE } from '../lib/paths.mjs';
import { ensureTools } from './packages.mjs';

const START_MS = 60_000;
const STOP_MS = 40_000;

/** What is remembered of an engine that set-up started. */
const recordFile = (folder) => path.join(folder, 'engine.json');

/** True when a Docker Engine answers (at DOCKER_HOST, or the usual socket). */
export async function engineAnswers(host) {
  if (which('docker') === undefined) return false;
  const { code } = await exec('docker', [...hostArgs(host), 'version', '--format', '{{.Server.Version}}'], { timeoutMs: 10_000 });
  return code === 0;
}

/** Whether this very process started the engine. */
let startedHere = false;

/** Finds a running engine or starts one. */
export async function ensureEngine() {
  if (await engineAnswers()) return;
  if (process.env.DOCKER_HOST) {
    throw new SetupError(`No Docker Engine answers at DOCKER_HOST=${process.env.DOCKER_HOST}.`, 'Start that engine, or unset DOCKER_HOST to let set-up start one on this machine.');
  }
  if (process.platform !== 'linux') {
    throw new SetupError('No Docker Engine answers on this machine.', 'Start Docker Desktop (or another engine that runs Linux containers) and run the same command again.');
  }
  await withLock(path.join(STATE, 'engine.lock'), async () => {
    if (await engineAnswers()) return;
    await ensureTools(['docker', 'dockerd', 'iptables']);
    if (await engineAnswers()) return;
    refuseWithoutRoot();
    startedHere = true;
    if (existsSync('/run/systemd/system')) await startBySystemd();
    else await startEngine();
  });
}

function refuseWithoutRoot() {
  if (process.getuid?.() === 0) return;
  throw new SetupError('No Docker Engine answers for this user, and starting one needs root.', 'Run: sudo systemctl start docker (and add yourself to the group docker), or run the same command as root.');
}

async function startBySystemd() {
  await step('Docker Engine', 'installed but not running: systemctl start docker', async () => {
    const { code, output } = await exec('systemctl', ['start', 'docker']);
    if (code !== 0) throw new SetupError(`systemctl start docker failed: ${output.trim()}`, 'See: journalctl -u docker');
    remember(ENGINE_DIR, { systemd: true });
    await waitForEngine(undefined, '/run/docker.pid', 'journalctl -u docker');
  });
}

/**
 * Starts dockerd in the background. The options exist so that a second engine can run beside the machine's own.
 * @param {{folder?: string, host?: string, args?: string[], launcher?: string[]}} options folder for log and record; socket; more
 * arguments; a program that becomes dockerd after it prepared the process (`unshare --net`)
 */
export async function startEngine({ folder = ENGINE_DIR, host, args = [], launcher = [] } = {}) {
  mkdirSync(folder, { recursive: true });
  const log = path.join(folder, 'dockerd.log');
  await step('Docker Engine', `none is running: starting dockerd in the background (log: ${path.relative(process.cwd(), log)})`, async () => {
    const fd = openSync(log, 'a');
    const [program, ...rest] = [...launcher, which('dockerd'), ...hostArgs(host), ...args];
    const child = spawn(program, rest, { detached: true, stdio: ['ignore', fd, fd] });
    child.on('error', () => undefined);
    closeSync(fd);
    child.unref();
    remember(folder, { pid: child.pid });
    await waitForEngine(host, child.pid, log);
  });
}

async function waitForEngine(host, pid, log) {
  const started = Date.now();
  while (!(await engineAnswers(host))) {
    const ended = typeof pid === 'number' && !isAlive(pid);
    if (ended || Date.now() - started > START_MS) {
      const reason = existsSync(log) ? `\n${readFileSync(log, 'utf8').trim().split('\n').slice(-5).join('\n')}` : '';
      throw new SetupError(`The Docker Engine ${ended ? 'ended' : 'does not answer'} after its start.${reason}`, `The whole log: ${log}. Drydock's lab needs an engine that may create containers and networks.`);
    }
    await sleep(250);
  }
}

function remember(folder, record) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(recordFile(folder), JSON.stringify({ ...record, startedAt: new Date().toISOString() }));
}

/** Stops the engine if this process started it. */
export async function stopOwnEngine() {
  if (!startedHere) return;
  startedHere = false;
  await stopEngine();
}

/**
 * Stops the engine that set-up started earlier, unless other containers run on it. Does nothing for any other engine.
 * @returns {Promise<boolean>} whether an engine was stopped
 */
export async function stopEngine({ folder = ENGINE_DIR, host } = {}) {
  const file = recordFile(folder);
  if (!existsSync(file)) return false;
  const record = JSON.parse(readFileSync(file, 'utf8'));
  if (!record.systemd && !isDockerd(record.pid)) {
    rmSync(file);
    return false;
  }
  const { stdout } = await exec('docker', [...hostArgs(host), 'ps', '--quiet'], { timeoutMs: 20_000 });
  if (stdout.trim() !== '') {
    say('Docker Engine', 'left running: containers still run on it');
    return false;
  }
  if (record.systemd) await exec('systemctl', ['stop', 'docker.service', 'docker.socket']);
  else await endProcess(record.pid);
  rmSync(file);
  say('Docker Engine', 'stopped (set-up had started it)');
  return true;
}

/** A process id may have been given to another program since: only dockerd is ended. One that nobody reaped (a zombie) has ended. */
function isDockerd(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return /^Name:\s+dockerd$/m.test(status) && !/^State:\s+Z/m.test(status);
  } catch {
    return false;
  }
}

async function endProcess(pid) {
  process.kill(pid, 'SIGTERM');
  const started = Date.now();
  while (isDockerd(pid)) {
    if (Date.now() - started > STOP_MS) {
      throw new SetupError(`The Docker Engine (process ${pid}) does not stop.`, `See its log in ${ENGINE_DIR}.`);
    }
    await sleep(200);
  }
}

function hostArgs(host) {
  return host === undefined ? [] : ['--host', host];
}
