/** One cluster in memory: containers, volumes, Swarm members, crons and settings; the images in its volumes are real files. */
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeDetails } from '../../adapters/docker/engine';
import type { Cron } from '../../adapters/dtr/dtr';
import { makeRegistryTree, writeRegistryTree, type RegistryTree } from '../helpers/registry-tree';

export const VERSION = '2.9.4';
export const IMAGE = `vendor/dtr:${VERSION}`;
export const COMPONENTS = ['nginx', 'api', 'registry', 'rethinkdb'];
export const FIRST = { id: '00000000000a', node: 'node-1' };
export const SECOND = { id: '00000000000b', node: 'node-2' };
/** Takes the second replica when its node is lost. */
export const SPARE = 'node-3';

export const TREE: RegistryTree = makeRegistryTree({ layout: 'id', seed: 7, repositories: 1, tags: 1, layerBytes: 2_000 });

export interface StandInContainer {
  id: string;
  name: string;
  node: string;
  running: boolean;
  labels: Record<string, string>;
}

/** What operations may change, as plain data. */
export interface Snapshot {
  containers: Record<string, boolean>;
  volumes: string[];
  members: string[];
  crons: Record<string, string>;
  readOnly: boolean;
}

export class World {
  readonly containers = new Map<string, StandInContainer>();
  readonly volumes = new Set<string>();
  nodes: NodeDetails[] = [];
  crons = new Map<string, Cron>();
  settings: Record<string, unknown> = {};
  /** Something was removed that no restart brings back. */
  isDestroyed = false;
  /** How long a container takes to stop. */
  stopMs = 0;
  private made = 0;

  /** `directory` holds one folder for each node, and the vaults. */
  constructor(readonly directory: string) {}

  /** Two healthy replicas that share no storage; the registry's images lie on the first. */
  async build(): Promise<void> {
    this.nodes = ['node-1', 'node-2', SPARE].map((hostname, at) => ({ id: `member-${at}`, hostname, state: 'ready', availability: 'active', role: at === 0 ? 'manager' : 'worker', address: `10.0.0.${at + 1}` }));
    this.settings = {
      dtrHost: 'dtr.example', httpProxy: '', httpsProxy: '', noProxy: '', logProtocol: 'internal', logHost: '', logLevel: 'INFO', scanningEnabled: false, scanningSyncOnline: false,
      readOnlyRegistry: false, replicaSettings: {},
    };
    for (const action of ['onlinegc', 'tag_prune']) this.setCron({ action, schedule: '0 0 1 * * *', retries: 3, parameters: null, deadline: '2h' });
    for (const { id, node } of [FIRST, SECOND]) await this.install(id, node);
    await writeRegistryTree(this.mountpoint(`${FIRST.node}/dtr-registry-${FIRST.id}`), TREE);
  }

  /** The node of the second replica is switched off. */
  lose(node: string): void {
    for (const member of this.nodes) if (member.hostname === node) member.state = 'down';
  }

  async install(id: string, node: string): Promise<void> {
    for (const component of COMPONENTS) this.addContainer(node, `dtr-${component}-${id}`);
    for (const kind of ['registry', 'rethink']) await this.addVolume(node, `dtr-${kind}-${id}`);
    Object.assign(this.settings.replicaSettings as object, { [id]: { node, HTTPPort: 80, HTTPSPort: 443 } });
  }

  addContainer(node: string, name: string, labels: Record<string, string> = {}): StandInContainer {
    const container = { id: `container-${(this.made += 1)}`, name: `${node}/${name}`, node, running: true, labels };
    this.containers.set(container.name, container);
    return container;
  }

  async addVolume(node: string, name: string): Promise<void> {
    this.volumes.add(`${node}/${name}`);
    await mkdir(this.mountpoint(`${node}/${name}`), { recursive: true });
  }

  async removeVolume(name: string): Promise<void> {
    if (!this.volumes.delete(name)) return;
    this.isDestroyed = true;
    await rm(this.mountpoint(name), { recursive: true, force: true });
  }

  find(idOrName: string): StandInContainer | undefined {
    return this.containers.get(idOrName) ?? [...this.containers.values()].find(({ id }) => id === idOrName);
  }

  mountpoint(volume: string): string {
    return join(this.directory, volume);
  }

  vaultDirectory(name: string): string {
    return join(this.directory, 'vaults', name);
  }

  setCron(cron: Cron): void {
    this.crons.set(cron.action, cron);
  }

  isHealthy(id: string): boolean {
    const own = [...this.containers.values()].filter(({ name, node }) => name.endsWith(id) && this.isUp(node));
    return own.length === COMPONENTS.length && own.every(({ running }) => running);
  }

  isUp(node: string): boolean {
    return this.nodes.some(({ hostname, state }) => hostname === node && state === 'ready');
  }

  snapshot(): Snapshot {
    return {
      containers: Object.fromEntries([...this.containers.values()].map(({ name, running }): [string, boolean] => [name, running]).sort()),
      volumes: [...this.volumes].sort(),
      members: this.nodes.map(({ hostname, state }) => `${hostname} ${state}`).sort(),
      crons: Object.fromEntries([...this.crons.values()].map(({ action, schedule, retries, deadline }): [string, string] => [action, `${schedule} ${retries} ${deadline}`]).sort()),
      readOnly: this.settings.readOnlyRegistry === true,
    };
  }

  /** The same state in another folder. */
  async copyTo(directory: string): Promise<World> {
    await cp(this.directory, directory, { recursive: true, preserveTimestamps: true });
    const copy = new World(directory);
    for (const [name, container] of this.containers) copy.containers.set(name, { ...container });
    for (const name of this.volumes) copy.volumes.add(name);
    copy.nodes = this.nodes.map((node) => ({ ...node }));
    copy.crons = new Map(this.crons);
    copy.settings = structuredClone(this.settings);
    copy.made = this.made;
    return copy;
  }
}
