/** Plays operations on stand-in clusters with the real workflows and activities and a real Temporal server, many side by side. */
import { Context } from '@temporalio/activity';
import type { WorkflowHandle } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { createActivities } from '../../activities';
import type { Connect } from '../../activities/connect';
import { lockId, type OperationMemo, type OperationView } from '../../domain/contract';
import { clusterSchema, type Config } from '../../domain/config';
import { temporal, unique, workflowBundle } from '../helpers/temporal';
import { failureOf, until } from '../workflows/fixtures/harness';
import { Door, type Point } from './door';
import { stateOf, type State } from './judge';
import type { World } from './world';

export interface Scene {
  operation: string;
  input?: Record<string, unknown>;
  /** Changes of the cluster's section in drydock.yaml. */
  settings?: Record<string, unknown>;
  /** A fresh world of that cluster, in a folder that is its own. */
  world(directory: string, cluster: string): Promise<World>;
}

export interface Played {
  scene: Scene;
  door: Door;
  world: World;
  cluster: string;
  before: State;
  after: State;
  status: 'completed' | 'cancelled' | 'failed';
  /** Of a failed run. */
  kind: string;
  message: string;
  view: OperationView;
}

const PASSPHRASE = 'DRYDOCK_SWEEP_SECRET';

export class Stage {
  private readonly doors = new Map<string, Door>();
  private readonly config: Config;
  private readonly queue = unique('sweep');
  private worker: Promise<Worker> | undefined;
  private running: Promise<void> | undefined;
  private made = 0;

  constructor(private readonly directory: string) {
    process.env[PASSPHRASE] = 'a passphrase of the sweep';
    this.config = { stateDir: `${directory}/state`, vaults: {}, clusters: {}, temporal: { address: '', namespace: 'default', taskQueue: '', uiUrl: '' } };
  }

  async start(): Promise<void> {
    const { nativeConnection, client } = await temporal();
    const connect = new Proxy({} as Connect, {
      get: (_target, key: keyof Connect) => (...args: unknown[]) => {
        const context = Context.current();
        const door = this.doors.get(context.info.workflowExecution!.workflowId)!.connect(context);
        if (key === 'vault') return door.vault((args[0] as { directory: string }).directory);
        return (door[key] as (...all: unknown[]) => unknown)(...args);
      },
    });
    this.worker = Worker.create({
      connection: nativeConnection, taskQueue: this.queue,
      workflowBundle: await workflowBundle(require.resolve('../../workflows'), [require.resolve('./schedule')]),
      activities: createActivities({ config: this.config, configPath: 'drydock.yaml', namespace: 'default', client, connect }),
      maxHeartbeatThrottleInterval: '50ms', defaultHeartbeatThrottleInterval: '50ms', maxConcurrentActivityTaskExecutions: 1_000, shutdownGraceTime: '1s', shutdownForceTime: '30s',
    });
    this.running = (await this.worker).run();
  }

  async stop(): Promise<void> {
    const worker = await this.worker;
    if (worker?.getState() === 'RUNNING') worker.shutdown();
    await this.running?.catch(() => undefined);
  }

  /** One run from its start to its end; gates are approved as they open. `id` begins its workflow id. */
  async play(scene: Scene, point?: Point, id = ''): Promise<Played> {
    const cluster = `cluster-${String((this.made += 1)).padStart(5, '0')}`;
    const world = await scene.world(`${this.directory}/${cluster}`, cluster);
    this.configure(cluster, world, scene.settings ?? {});
    return this.run(scene, world, cluster, point, id);
  }

  /** The same operation once more, where the last run left everything. */
  again({ scene, world, cluster }: Played): Promise<Played> {
    return this.run(scene, world, cluster, undefined, '');
  }

  private async run(scene: Scene, world: World, cluster: string, point: Point | undefined, id: string): Promise<Played> {
    const { client } = await temporal();
    const before = await stateOf(world);
    const workflowId = unique(`${id}${scene.operation}`);
    const door = new Door(world, point, async () => void (await client.workflow.getHandle(workflowId).cancel()));
    this.doors.set(workflowId, door);
    const handle = await client.workflow.start(scene.operation, { workflowId, taskQueue: this.queue, args: [{ cluster, ...scene.input }] });
    const ended = this.end(handle);
    const approving = approve(handle, ended);
    const { status, kind, message } = await ended;
    await approving;
    const view = await handle.query<OperationView>('state');
    await until(async () => (await client.workflow.getHandle(lockId(cluster)).describe().catch(() => null))?.status.name === 'RUNNING' ? undefined : true, `the lock of ${workflowId}`, 10);
    return { scene, door, world, cluster, before, after: await stateOf(world), status, kind, message, view };
  }

  private async end(handle: WorkflowHandle): Promise<Pick<Played, 'status' | 'kind' | 'message'>> {
    const failure = await handle.result().then(() => null, (error: unknown) => failureOf(Promise.reject(error as Error)));
    if (failure === null) return { status: 'completed', kind: '', message: '' };
    return failure.type === 'Cancelled' ? { status: 'cancelled', kind: 'Cancelled', message: '' } : { status: 'failed', kind: failure.type, message: failure.message };
  }

  private configure(cluster: string, world: World, settings: Record<string, unknown>): void {
    const secret = `env:${PASSPHRASE}`;
    const hosts = Object.fromEntries(['node-1', 'node-2', 'node-3'].map((node, at) => [node, { address: `10.0.0.${at + 1}` }]));
    const { copies = [], ...more } = settings as { copies?: string[] };
    for (const name of ['main', ...copies]) this.config.vaults[`${cluster}-${name}`] = { directory: world.vaultDirectory(name) };
    this.config.clusters[cluster] = clusterSchema.parse({
      ucp: { urls: ['https://ucp.example'], username: 'admin', password: secret }, dtr: { url: 'https://dtr.example' }, ssh: { knownHosts: '/dev/null' }, hosts,
      vault: `${cluster}-main`, copies: copies.map((name) => `${cluster}-${name}`), encryption: { passphrase: secret }, approvers: ['operator'], policy: { verify: 'L0', freeze: 'crons', streams: 1, healthSeconds: 60 }, ...more,
    });
  }
}

const LOOK_MS = 100;

async function approve(handle: WorkflowHandle, ended: Promise<unknown>): Promise<void> {
  let isOver = false;
  void ended.then(() => (isOver = true));
  while (!isOver) {
    const memo = (await handle.describe()).memo?.drydock as OperationMemo | undefined;
    if (memo?.gate) await handle.signal('decide', { gate: memo.gate.name, decision: 'approve', by: 'operator', planDigest: memo.gate.planDigest });
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
