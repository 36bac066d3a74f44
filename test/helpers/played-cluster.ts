/** A cluster without an outside: a DTR, an engine and two vaults in memory or in a folder, of which a test may take parts away. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { openCluster, type Cluster } from '../../activities/cluster';
import type { ContainerSummary, Engine } from '../../adapters/docker/engine';
import type { Cron, Dtr } from '../../adapters/dtr/dtr';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { DrydockError } from '../../domain/errors';
import type { Config } from '../../domain/config';
import { moodyVault, type MoodyVault } from './moody-vault';

export const GC: Cron = { action: 'onlinegc', schedule: '0 0 1 * * *', retries: 3, parameters: null, deadline: '2h' };
export const REPLICA = '00000000000a';
const PARTS = ['nginx', 'api', 'registry', 'rethinkdb'];

export interface Played {
  cluster: Cluster;
  main: MoodyVault;
  mirror: MoodyVault;
  crons: Map<string, Cron>;
  settings: { readOnlyRegistry: boolean };
  /** Full name and whether it runs. */
  containers: Map<string, { running: boolean; labels: Record<string, string> }>;
  volumes: Set<string>;
  /** Calls that changed something, in their order. */
  calls: string[];
  /** Throws before the call does anything. */
  breakAt: (call: string) => void;
  /** As an activity of this run would. */
  step<T>(work: () => Promise<T>, info?: { runId?: string; attempt?: number }): Promise<T>;
  remove(): Promise<void>;
}

export async function playedCluster(): Promise<Played> {
  const here = await mkdtemp(join(tmpdir(), 'drydock-test-'));
  const vaults = { main: { directory: join(here, 'main') }, mirror: { directory: join(here, 'mirror') } };
  for (const { directory } of Object.values(vaults)) await openDirectoryVault(directory).check();
  const config = {
    stateDir: join(here, 'state'), vaults,
    clusters: { lab: { vault: 'main', copies: ['mirror'], encryption: {}, hosts: {}, policy: { freeze: 'crons' }, bootstrapper: {} } },
  } as unknown as Config;
  const real = openCluster({ config, configPath: 'drydock.yaml', namespace: 'default', client: undefined as never }, 'lab');
  const main = moodyVault(real.vault);
  const mirror = moodyVault(real.otherVaults()[0]!.vault);
  const played: Played = {
    cluster: real, main, mirror,
    crons: new Map([[GC.action, GC]]),
    settings: { readOnlyRegistry: false },
    containers: new Map(PARTS.map((part) => [`node-1/dtr-${part}-${REPLICA}`, { running: true, labels: {} }])),
    volumes: new Set(),
    calls: [],
    breakAt: () => undefined,
    step: (work, { runId = 'run-1', attempt = 1 } = {}) => new MockActivityEnvironment({ attempt, workflowExecution: { workflowId: 'restore/lab/1', runId } }, { logger: new DefaultLogger('ERROR') }).run(work),
    remove: () => rm(here, { recursive: true, force: true }),
  };
  played.cluster = Object.create(real, {
    vault: { value: main.vault },
    otherVaults: { value: () => [{ name: 'mirror', vault: mirror.vault }] },
    dtr: { value: () => Promise.resolve(dtrOf(played)) },
    engine: { value: () => Promise.resolve(engineOf(played)) },
  }) as Cluster;
  return played;
}

function doing(played: Played, call: string): void {
  played.breakAt(call);
  played.calls.push(call);
}

function dtrOf(played: Played): Dtr {
  const dtr: Partial<Dtr> = {
    crons: async () => [...played.crons.values()],
    cron: async (action) => played.crons.get(action) ?? null,
    deleteCron: async (action) => {
      doing(played, `delete ${action}`);
      played.crons.delete(action);
    },
    putCron: async (cron) => {
      doing(played, `put ${cron.action}`);
      played.crons.set(cron.action, cron);
    },
    settings: async () => ({ ...played.settings }),
    updateSettings: async (change) => {
      doing(played, `set ${JSON.stringify(change)}`);
      Object.assign(played.settings, change);
    },
    jobs: async () => [],
    clockOffsetMs: 0,
    ping: async () => ({ healthy: true, error: '' }),
  };
  return dtr as Dtr;
}

function engineOf(played: Played): Engine {
  const summary = ([name, { running, labels }]: [string, { running: boolean; labels: Record<string, string> }]): ContainerSummary => ({ id: name, names: [name], image: 'dtr', state: running ? 'running' : 'exited', status: '', labels });
  const set = (name: string, running: boolean): void => {
    const container = played.containers.get(name);
    if (!container) throw new DrydockError('NotFound', `there is no container ${name}`);
    doing(played, `${running ? 'start' : 'stop'} ${name}`);
    container.running = running;
  };
  const engine: Partial<Engine> = {
    nodes: async () => [{ id: 'n', hostname: 'node-1', state: 'ready', availability: 'active', role: 'worker', address: '' }],
    volumes: async () => [...played.volumes].map((name) => ({ name, driver: 'local' })),
    removeVolume: async (name) => {
      doing(played, `remove ${name}`);
      played.volumes.delete(name);
    },
    containers: async ({ name = '', labels = [] } = {}) => [...played.containers].filter(([full, container]) => full.includes(name) && labels.every((label) => matches(container.labels, label))).map(summary),
    startContainer: async (name) => set(name, true),
    stopContainer: async (name) => set(name, false),
    removeContainer: async (name) => {
      doing(played, `remove ${name}`);
      played.containers.delete(name);
    },
  };
  return engine as Engine;
}

function matches(labels: Record<string, string>, label: string): boolean {
  const [key = '', value] = label.split('=');
  return Object.hasOwn(labels, key) && (value === undefined || labels[key] === value);
}
