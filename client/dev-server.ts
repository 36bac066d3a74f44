/** Temporal's development server as a child of this process, with its database in a file. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time';
import { DrydockError } from '../domain/errors';

export interface DevServerOptions {
  program: string;
  stateDir: string;
  namespace: string;
  /** Loopback address to bind to. */
  ip: string;
  port: number;
  uiPort: number;
}

export interface DevServer {
  address: string;
  uiUrl: string;
  pid: number;
  logFile: string;
  /** Resolves when the server has ended by itself or by `stop`. */
  ended: Promise<void>;
  /** SIGTERM, and SIGKILL after 10 s. Safe to call twice. */
  stop(): Promise<void>;
}

const START_SECONDS = 30;
const STOP_SECONDS = 10;
const RETENTION_DAYS = 30;
/** The server is on this machine. */
const WITHOUT_PROXY = { 'grpc.enable_http_proxy': 0 };

/** Starts the server and waits until it answers. Throws EngineUnavailable with the log's end when it does not. */
export async function startDevServer(options: DevServerOptions): Promise<DevServer> {
  await mkdir(options.stateDir, { recursive: true, mode: 0o700 });
  const logFile = path.join(options.stateDir, 'temporal.log');
  const log = await open(logFile, 'a', 0o600);
  const child = spawn(options.program, serverArguments(options), {
    stdio: ['ignore', log.fd, log.fd],
    // Its own process group: Ctrl-C must reach this process only, so that the worker can end its work before the server goes.
    detached: true,
  });
  const failedToStart = once(child, 'error').then(([error]) => error as Error);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const killOnExit = (): void => void child.kill('SIGKILL');
  process.once('exit', killOnExit);
  void ended.then(() => process.off('exit', killOnExit));
  await log.close();
  const address = `${options.ip}:${options.port}`;
  const stop = (): Promise<void> => stopChild(child, ended);
  const problem = await Promise.race([untilAnswers(address, options.namespace, ended), failedToStart.then((error) => error.message)]);
  if (problem !== undefined) {
    await stop();
    throw new DrydockError('TemporalUnavailable', `the Temporal development server did not start: ${problem}`, { remedy: `see ${logFile}` });
  }
  await keepRuns(address, options.namespace);
  return { address, uiUrl: `http://${options.ip}:${options.uiPort}`, pid: child.pid ?? 0, logFile, ended, stop };
}

/** A development server forgets runs a day after their end, unless told otherwise: Friday's failed backup would be nowhere on Monday. */
async function keepRuns(address: string, namespace: string): Promise<void> {
  const connection = await Connection.connect({ address, channelArgs: WITHOUT_PROXY });
  try {
    await connection.withDeadline(Date.now() + 10_000, () =>
      connection.workflowService.updateNamespace({ namespace, config: { workflowExecutionRetentionTtl: msToTs(`${RETENTION_DAYS} days`) } }),
    );
  } finally {
    await connection.close();
  }
}

function serverArguments(options: DevServerOptions): string[] {
  return [
    'server', 'start-dev', '--db-filename', databaseFile(options.stateDir), '--namespace', options.namespace,
    '--ip', options.ip, '--port', String(options.port), '--ui-ip', options.ip, '--ui-port', String(options.uiPort),
    '--log-level', 'warn', '--log-format', 'pretty',
  ];
}

export function databaseFile(stateDir: string): string {
  return path.join(stateDir, 'temporal.db');
}

/** Undefined once it answers; else what is wrong. */
async function untilAnswers(address: string, namespace: string, ended: Promise<void>): Promise<string | undefined> {
  let over = false;
  void ended.then(() => (over = true));
  for (const deadline = Date.now() + START_SECONDS * 1000; Date.now() < deadline; await sleep(100)) {
    if (over) return 'it ended at once';
    if (await temporalAnswers(address, namespace)) return undefined;
  }
  return `no answer at ${address} within ${START_SECONDS} s`;
}

/** Whether a Temporal server with this namespace answers at the address. */
export async function temporalAnswers(address: string, namespace: string): Promise<boolean> {
  if (!(await portAnswers(address))) return false;
  try {
    const connection = await Connection.connect({ address, connectTimeout: '2s', channelArgs: WITHOUT_PROXY });
    try {
      await connection.withDeadline(Date.now() + 2000, () => connection.workflowService.describeNamespace({ namespace }));
      return true;
    } finally {
      await connection.close();
    }
  } catch {
    // Something else listens there, or the server is still coming up.
    return false;
  }
}

/** Whether anything listens at `host:port`. */
export function portAnswers(address: string): Promise<boolean> {
  const at = address.lastIndexOf(':');
  return new Promise((resolve) => {
    const socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)) });
    const finish = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(2000, () => finish(false));
    socket.once('connect', () => finish(true));
    socket.once('error', () => finish(false));
  });
}

async function stopChild(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.pid === undefined) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_SECONDS * 1000);
  await ended;
  clearTimeout(timer);
}
