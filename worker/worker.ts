/** The process that carries out operations: it listens on the task queue until it is told to stop. */
import { hostname } from 'node:os';
import { Client } from '@temporalio/client';
import { Worker, type NativeConnection } from '@temporalio/worker';
import type { Logger } from 'pino';
import { createActivities } from '../activities';
import type { Config } from '../domain/config';
import { operationKey } from '../domain/operation-key';
import { connectPatiently, refusalOf } from './connect';
import { installRuntime } from './logging';
import { sweepWork } from './sweep-work';
import { temporalSettings, type TemporalSettings } from './temporal-settings';
import { workflowSource } from './workflow-source';

export interface WorkerRun {
  configPath: string;
  logger: Logger;
  /** Aborting it lets running steps end for a short time, then cancels them; Temporal gives them to the next worker. */
  signal: AbortSignal;
  /** Which server; the configuration and the environment say when absent. */
  settings?: TemporalSettings;
  /** Called once, when the worker listens. */
  onReady?: (settings: TemporalSettings) => void;
}

/** Each running step may hold an SSH connection and a stream; more would only share the same disks. */
const STEPS_AT_ONCE = 16;
/** From the signal to stop until what still runs is cancelled. */
export const STEPS_END_SECONDS = 10;

/** Runs until `signal` aborts. Waits for a server that is not up yet; throws DrydockError when the server refuses us. */
export async function runWorker(config: Config, run: WorkerRun): Promise<void> {
  installRuntime(run.logger);
  const settings = run.settings ?? temporalSettings(config.temporal);
  const connection = await connectPatiently(settings, run);
  if (!connection) return;
  try {
    const client = new Client({ connection, namespace: settings.namespace });
    const worker = await createWorker(connection, client, config, settings, run);
    // Beside the runs: what they work on is younger than what goes.
    await Promise.all([runUntilAborted(worker, settings, run), sweepLeftWork(client, config, run)]);
  } finally {
    await connection.close();
  }
}

/** What terminated runs left here must not lie about for ever. Nothing of it keeps a worker from starting. */
async function sweepLeftWork(client: Client, config: Config, { logger }: WorkerRun): Promise<void> {
  try {
    const removed = await sweepWork({ stateDir: config.stateDir, running: await runningOperations(client) });
    if (removed.length > 0) logger.info({ removed }, 'removed working files of operations that are over');
  } catch (error) {
    logger.warn(`working files of earlier operations could not be looked through: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Null where the server does not say. */
async function runningOperations(client: Client): Promise<Set<string> | null> {
  try {
    const running = new Set<string>();
    for await (const { workflowId } of client.workflow.list({ query: 'ExecutionStatus = "Running"' })) running.add(operationKey(workflowId));
    return running;
  } catch {
    return null;
  }
}

async function createWorker(connection: NativeConnection, client: Client, config: Config, settings: TemporalSettings, run: WorkerRun): Promise<Worker> {
  try {
    return await Worker.create({
      connection,
      namespace: settings.namespace,
      taskQueue: settings.taskQueue,
      identity: `drydock@${hostname()}#${process.pid}`,
      ...workflowSource(),
      activities: createActivities({ config, configPath: run.configPath, namespace: settings.namespace, client }),
      maxConcurrentActivityTaskExecutions: STEPS_AT_ONCE,
      // Cancellation arrives with the answer to a heartbeat, so this is also how long a cancel may take to be noticed.
      maxHeartbeatThrottleInterval: '5s',
      shutdownGraceTime: `${STEPS_END_SECONDS}s`,
      shutdownForceTime: '40s',
    });
  } catch (cause) {
    throw (cause instanceof Error ? refusalOf(cause.message, settings, cause) : undefined) ?? cause;
  }
}

async function runUntilAborted(worker: Worker, settings: TemporalSettings, run: WorkerRun): Promise<void> {
  const stop = (): void => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  run.signal.addEventListener('abort', stop, { once: true });
  try {
    const running = worker.run();
    run.onReady?.(settings);
    if (run.signal.aborted) stop();
    await running;
  } finally {
    run.signal.removeEventListener('abort', stop);
  }
}
