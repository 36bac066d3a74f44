/** The Docker API of a stand-in cluster, as UCP gives it, with the vendor's bootstrapper as a function. */
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Readable } from 'node:stream';
import type { Engine, RunOptions, RunResult } from '../../adapters/docker/engine';
import { DrydockError } from '../../domain/errors';
import { metadataArchive } from '../helpers/sealed-backup';
import { FIRST, IMAGE, TREE, VERSION, type World } from './world';

/** `inside` is called between two changes that one container makes, with what it has just done: there a run can be cut as well. */
export function standInEngine(world: World, inside: (what: string) => Promise<void>): Engine {
  const required = (idOrName: string) => {
    const found = world.find(idOrName);
    if (found === undefined) throw new DrydockError('NotFound', `no such container: ${idOrName}`);
    return found;
  };
  return {
    info: async () => ({ serverVersion: 'ucp/3.1.0', isUcp: true, clusterId: 'ucp-id' }),
    containers: async ({ name, labels = [] } = {}) =>
      [...world.containers.values()]
        .filter((each) => (name === undefined || each.name.includes(name)) && labels.every((label) => Object.entries(each.labels).some(([key, value]) => label === key || label === `${key}=${value}`)))
        .map((each) => ({ id: each.id, names: [each.name], image: imageOf(each.name), state: each.running ? 'running' : 'exited', status: '', labels: each.labels })),
    container: async (idOrName) => {
      const found = required(idOrName);
      const own = /dtr-registry-[0-9a-f]{12}$/.exec(found.name)?.[0];
      return {
        id: found.id, name: found.name, image: imageOf(found.name), running: found.running, env: { DTR_VERSION: VERSION }, labels: found.labels, node: found.node, ports: {},
        mounts: own === undefined ? [] : [{ type: 'volume', name: own, source: world.mountpoint(`${found.node}/${own}`), destination: '/storage' }],
      };
    },
    startContainer: async (idOrName) => void (required(idOrName).running = true),
    stopContainer: async (idOrName) => {
      if (world.stopMs > 0) await sleep(world.stopMs);
      required(idOrName).running = false;
    },
    removeContainer: async (idOrName) => {
      const found = world.find(idOrName);
      if (found) remove(world, found.name);
    },
    run: (options) => run(world, options, inside),
    start: async ({ node = FIRST.node, labels = {} }) => world.addContainer(node, `helper-${world.containers.size}`, labels).id,
    exec: async () => Promise.reject(new DrydockError('NotFound', 'the stand-in has no exec')),
    volume: async (name) => (world.volumes.has(name) ? { name, driver: 'local', mountpoint: world.mountpoint(name), options: {}, labels: {} } : null),
    volumes: async () => [...world.volumes].map((name) => ({ name, driver: 'local' })),
    removeVolume: (name) => world.removeVolume(name),
    nodes: async () => world.nodes.map((node) => ({ ...node })),
    removeNode: async (id) => {
      world.isDestroyed = true;
      world.nodes = world.nodes.filter((node) => node.id !== id);
    },
    hasImage: async () => true,
    pullImage: async () => undefined,
    close: () => undefined,
  };
}

function imageOf(name: string): string {
  const component = /dtr-([a-z]+)-[0-9a-f]{12}$/.exec(name)?.[1];
  return component === undefined ? IMAGE : `vendor/dtr-${component}:${VERSION}`;
}

function remove(world: World, name: string): void {
  world.containers.delete(name);
  if (/dtr-[a-z]+-[0-9a-f]{12}$/.test(name)) world.isDestroyed = true;
}

async function run(world: World, options: RunOptions, inside: (what: string) => Promise<void>): Promise<RunResult> {
  const [command = '', ...args] = options.command;
  const container = world.addContainer(options.node ?? FIRST.node, `bootstrapper-${world.containers.size}`, options.labels);
  const cut = async (what: string): Promise<void> => {
    await inside(`${command}: ${what}`);
    options.signal?.throwIfAborted();
  };
  try {
    options.onStarted?.(container.id);
    await cut('started');
    const stdout = await COMMANDS[command]!(world, options, (flag) => args[args.indexOf(flag) + 1] ?? '', cut);
    for (const line of SAID[command] ?? []) options.onStderrLine?.(`INFO[0000] ${line}`);
    return { exitCode: 0, stdout: Buffer.from(stdout ?? ''), stderr: '' };
  } finally {
    options.stdin?.destroy();
    world.containers.delete(container.name);
  }
}

const SAID: Record<string, string[]> = { backup: ['Backup complete.'], restore: ['Restore complete.'], join: ['Join is complete'] };

type Command = (world: World, options: RunOptions, flag: (name: string) => string, cut: (what: string) => Promise<void>) => Promise<string | void>;

const COMMANDS: Record<string, Command> = {
  images: async () => `${IMAGE}\n`,
  backup: async (_world, options, _flag, cut) => {
    const { archive } = metadataArchive(TREE);
    const half = archive.length >> 1;
    await options.onStdout?.(Readable.from((async function* () {
      yield archive.subarray(0, half);
      await cut('half of the archive');
      yield archive.subarray(half);
    })()));
  },
  destroy: async (world, _options, flag, cut) => {
    const id = flag('--replica-id');
    for (const { name } of [...world.containers.values()].filter((each) => each.name.endsWith(id))) remove(world, name);
    await cut('containers removed');
    for (const name of [...world.volumes].filter((each) => each.endsWith(id) && world.isUp(each.split('/')[0]!))) await world.removeVolume(name);
    await cut('volumes removed');
  },
  restore: async (world, options, flag, cut) => {
    await buffer(options.stdin!);
    await cut('archive read');
    world.settings.replicaSettings = {};
    await world.install(flag('--replica-id'), flag('--ucp-node'));
    // An installation brings a cron of its own.
    world.crons = new Map([['tag_prune', { action: 'tag_prune', schedule: '0 0 5 * * *', retries: 0, parameters: null, deadline: '' }]]);
    await cut('installed');
  },
  join: async (world, _options, flag, cut) => {
    await world.install(flag('--replica-id'), flag('--ucp-node'));
    await cut('installed');
  },
  remove: async (world, _options, flag, cut) => {
    delete (world.settings.replicaSettings as Record<string, unknown>)[flag('--replica-ids')];
    await cut('removed');
  },
};
