/** `drydock up` as a process of its own, as a person would start it in another terminal. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { portAnswers } from '../../client/dev-server';
import { openSession, requiredConfig, type LoadedConfig, type Session } from '../../client/session';
import { isAlive, readUpRecord, removeUpRecord, stopLeftBehind } from '../../client/up-record';
import { workerPolls } from '../../client/workers';
import { LabError } from '../hosts/process';

const PROGRAM = path.resolve(__dirname, '..', '..', 'dist', 'client', 'main.js');
const START_SECONDS = 120;
/** A worker lets its activities end first; in a story that is over they need not. */
const STOP_SECONDS = 15;
const USUAL = { port: 7233, uiPort: 8233 };

export interface Ports {
  port: number;
  uiPort: number;
}

/** Temporal's usual ports, or free ones where either is taken. */
export async function choosePorts(): Promise<Ports> {
  const taken = await Promise.all([USUAL.port, USUAL.uiPort].map((port) => portAnswers(`127.0.0.1:${port}`)));
  return taken.includes(true) ? { port: await freePort(), uiPort: await freePort() } : USUAL;
}

export function usual(ports: Ports): boolean {
  return ports.port === USUAL.port && ports.uiPort === USUAL.uiPort;
}

/** The embedded Temporal server and its worker, running. */
export class DrydockUp {
  private constructor(
    private readonly child: ChildProcess,
    private readonly local: LoadedConfig,
    readonly ports: Ports,
    readonly logFile: string,
    /** Aborts when the process ends before `stop`. */
    readonly endedEarly: AbortSignal,
  ) {}

  /** Starts it and waits until its worker listens. Throws LabError with the end of its log. */
  static async start(config: string, ports: Ports, signal: AbortSignal): Promise<DrydockUp> {
    if (!existsSync(PROGRAM)) throw new LabError(`${PROGRAM} is missing: run \`npm run build\` first, or \`npm run demo\`, which does`);
    const local = await requiredConfig(config);
    await mkdir(local.config.stateDir, { recursive: true, mode: 0o700 });
    const logFile = path.join(local.config.stateDir, 'up.log');
    const log = await open(logFile, 'a', 0o600);
    const args = [PROGRAM, 'up', '--config', config, '--port', String(ports.port), '--ui-port', String(ports.uiPort)];
    // A group of its own: Ctrl-C is for the demo, which ends what it started in order; with --keep it outlives the demo.
    const child = spawn(process.execPath, args, { detached: true, env: plainEnvironment(), stdio: ['ignore', log.fd, log.fd] });
    child.unref();
    await log.close();
    const ended = new AbortController();
    child.once('error', (error) => ended.abort(error));
    child.once('exit', (code) => ended.abort(new LabError(`\`drydock up\` has ended by itself (exit code ${code ?? 'unknown'}); its log is ${logFile}`)));
    const up = new DrydockUp(child, local, ports, logFile, ended.signal);
    try {
      await up.waitReady(signal);
      return up;
    } catch (error) {
      const end = (await readFile(logFile, 'utf8')).trim().split('\n').slice(-5).join('\n');
      await up.stop();
      throw signal.aborted ? error : new LabError(`\`drydock up\` did not start: ${error instanceof Error ? error.message : String(error)}\n${end}`);
    }
  }

  get address(): string {
    return `127.0.0.1:${this.ports.port}`;
  }

  get uiUrl(): string {
    return `http://127.0.0.1:${this.ports.uiPort}`;
  }

  /** A connection to this server, whatever the environment says about others. */
  openSession(): Promise<Session> {
    const { namespace, taskQueue } = this.local.config.temporal;
    return openSession(this.local, { address: this.address, namespace, taskQueue, uiUrl: this.uiUrl, connection: {} });
  }

  /** Worker first, then server. Safe to call twice. */
  async stop(): Promise<void> {
    if (this.child.pid !== undefined) await stopProcess(this.child.pid, this.local.config.stateDir);
  }

  private async waitReady(signal: AbortSignal): Promise<void> {
    for (const deadline = Date.now() + START_SECONDS * 1000; Date.now() < deadline; ) {
      signal.throwIfAborted();
      this.endedEarly.throwIfAborted();
      if ((await readUpRecord(this.local.config.stateDir))?.pid === this.child.pid && (await this.workerListens())) return;
      await sleep(250, undefined, { signal });
    }
    throw new LabError(`no worker listens within ${START_SECONDS} s`);
  }

  private async workerListens(): Promise<boolean> {
    const session = await this.openSession();
    try {
      return await workerPolls(session);
    } finally {
      await session.close();
    }
  }
}

/** Ends what an earlier demo with --keep left under this configuration. Returns whether there was anything. */
export async function stopKept(stateDir: string): Promise<boolean> {
  const record = await readUpRecord(stateDir);
  if (record === undefined) return false;
  // Process numbers are used again, so only a process that still answers as that server's parent counts.
  const commandLine = await readFile(`/proc/${record.pid}/cmdline`, 'utf8').catch(() => '');
  if (commandLine.includes(PROGRAM)) await stopProcess(record.pid, stateDir);
  else await stopLeftBehind(stateDir, record);
  return true;
}

async function stopProcess(pid: number, stateDir: string): Promise<void> {
  const record = await readUpRecord(stateDir);
  if (isAlive(pid)) process.kill(pid, 'SIGTERM');
  for (const deadline = Date.now() + STOP_SECONDS * 1000; isAlive(pid) && Date.now() < deadline; ) await sleep(100);
  if (!isAlive(pid)) return;
  process.kill(pid, 'SIGKILL');
  if (record !== undefined) await stopLeftBehind(stateDir, record);
  await removeUpRecord(stateDir);
}

/** Without another server's TEMPORAL_* settings; the CLI that set-up found stays. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TEMPORAL_') || name === 'TEMPORAL_CLI_PATH'));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
