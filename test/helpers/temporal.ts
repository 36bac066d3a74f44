/** A real Temporal development server for tests: one for each mocha process, started when a test first asks for it. */
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Runtime, type WorkflowBundleWithSourceMap } from '@temporalio/worker';

/** The first start on a busy machine takes a few seconds. */
const START_MS = 60_000;
/** The SDK gives a server 5 s to answer; a loaded machine may need a second try. */
const START_TRIES = 3;

let environment: Promise<TestWorkflowEnvironment> | undefined;
const stops: (() => Promise<void>)[] = [];
let uiPort: number | undefined;
const bundles = new Map<string, Promise<WorkflowBundleWithSourceMap>>();

/**
 * Path of the Temporal CLI: TEMPORAL_CLI_PATH, PATH, then what set-up fetched.
 * @throws Error that says how to get it
 */
export function temporalCli(): string {
  const named = process.env.TEMPORAL_CLI_PATH;
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), path.resolve(__dirname, '..', '..', '.drydock', 'bin')];
  const candidates = named !== undefined ? [named] : folders.map((folder) => path.join(folder, 'temporal'));
  const found = candidates.find(isExecutable);
  if (found === undefined) throw new Error('The Temporal CLI is missing: run the tests by "npm test", which fetches it, or set TEMPORAL_CLI_PATH.');
  return found;
}

/** The server of this process, with a client and a connection for workers. It is stopped after the last test. */
export function temporal(): Promise<TestWorkflowEnvironment> {
  environment ??= start();
  return environment;
}

/** All that Temporal keeps of a run, as one text, payloads as they are: for tests of what must not stand there. */
export async function historyText(client: Client, workflowId: string): Promise<string> {
  return textOf(await client.workflow.getHandle(workflowId).fetchHistory());
}

/** Gives the server of this process its UI at this port; to be said before anything asks for the server. */
export function withUi(port: number): void {
  uiPort = port;
}

/** What uses the server until the last test of this process is over, and how to end it. */
export function beforeItStops(stop: () => Promise<void>): void {
  stops.push(stop);
}

/** By hand, because the `toJSON` of protocol messages makes base64 of every payload, in which nothing would ever be found. */
function textOf(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
  if (value !== null && typeof value === 'object') return Object.values(value).map(textOf).join('\n');
  return String(value);
}

/** A task queue (or an id's prefix) that no other test uses. */
export function unique(prefix: string): string {
  return `${prefix}-${randomBytes(4).toString('hex')}`;
}

/** Bundles a workflow file once for each process. `workflowsPath` as `require.resolve('../../workflows')` gives it, and so the modules that change how activities are scheduled. */
export function workflowBundle(workflowsPath: string, workflowInterceptorModules: string[] = []): Promise<WorkflowBundleWithSourceMap> {
  installRuntime();
  const key = [workflowsPath, ...workflowInterceptorModules].join();
  let bundle = bundles.get(key);
  if (bundle === undefined) {
    bundle = bundleWorkflowCode({ workflowsPath, workflowInterceptorModules, logger: new DefaultLogger('WARN') });
    bundles.set(key, bundle);
  }
  return bundle;
}

async function start(): Promise<TestWorkflowEnvironment> {
  installRuntime();
  const executable = { type: 'existing-path', path: temporalCli() } as const;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await TestWorkflowEnvironment.createLocal({ server: { executable, ...(uiPort === undefined ? {} : { ui: true, uiPort }), log: { format: 'pretty', level: 'error' } } });
    } catch (error) {
      if (attempt === START_TRIES) throw error;
    }
  }
}

let runtimeInstalled = false;

/** Errors only: refused votes and failed runs are what tests ask for; the SDK allows this once, before its first connection. */
function installRuntime(): void {
  if (runtimeInstalled) return;
  runtimeInstalled = true;
  Runtime.install({ logger: new DefaultLogger('ERROR') });
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

// A root hook: this file is loaded by mocha while it collects tests.
after(async function stopTemporal() {
  this.timeout(START_MS);
  if (environment === undefined) return;
  const started = await environment.catch(() => undefined);
  environment = undefined;
  for (const stop of stops.splice(0)) await stop();
  await started?.teardown();
});
