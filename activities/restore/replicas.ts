/** What of DTR's replicas there is in a cluster: members, containers, volumes, as UCP shows them. */
import type { ContainerSummary, Engine, NodeDetails } from '../../adapters/docker/engine';

export interface ReplicaContainer {
  id: string;
  /** `<node>/dtr-<component>-<replica id>` */
  name: string;
  component: string;
  running: boolean;
  image: string;
}

export interface Replicas {
  /** By replica id, then node: what lies on nodes that can be reached. */
  found: { id: string; node: string; containers: ReplicaContainer[]; volumes: string[] }[];
  nodes: NodeDetails[];
}

const CONTAINER = /^([^/]+)\/(dtr-([a-z][a-z-]*?)-([0-9a-f]{12}))$/;
/** Volumes that belong to one replica; others are never touched. */
const VOLUME = /^([^/]+)\/(dtr-(ca|notary|rethink|postgres|nautilus-store|etcd|registry|registry-nfs)-([0-9a-f]{12}))$/;

/** Reads containers, volumes and nodes through UCP. Throws EngineUnavailable. */
export async function findReplicas(engine: Engine): Promise<Replicas> {
  const [nodes, containers, volumes] = [await engine.nodes(), await engine.containers({ name: 'dtr-' }), await engine.volumes()];
  const found = new Map<string, Replicas['found'][number]>();
  const entry = (node: string, id: string): Replicas['found'][number] => {
    const key = `${node}/${id}`;
    const known = found.get(key) ?? { id, node, containers: [], volumes: [] };
    found.set(key, known);
    return known;
  };
  for (const container of containers) {
    const parsed = parseContainer(container);
    if (parsed) entry(parsed.node, parsed.replica).containers.push(parsed.container);
  }
  for (const { name } of volumes) {
    const match = VOLUME.exec(name);
    if (match) entry(match[1]!, match[4]!).volumes.push(name);
  }
  const ready = readyNames(nodes);
  // UCP may go on listing what it last saw of a node that is lost.
  return { nodes, found: [...found.values()].filter(({ node }) => ready.has(node)) };
}

function parseContainer(container: ContainerSummary): { node: string; replica: string; container: ReplicaContainer } | null {
  for (const name of container.names) {
    const match = CONTAINER.exec(name);
    if (match) {
      return { node: match[1]!, replica: match[4]!, container: { id: container.id, name, component: match[3]!, running: container.state === 'running', image: container.image } };
    }
  }
  return null;
}

export function readyNames(nodes: NodeDetails[]): Set<string> {
  return new Set(nodes.filter(({ state }) => state === 'ready').map(({ hostname }) => hostname));
}

/** The address of a node that is ready; undefined when there is none. */
export function addressOf(nodes: NodeDetails[], hostname: string): string | undefined {
  const node = nodes.find((each) => each.hostname === hostname && each.state === 'ready');
  return node === undefined || node.address === '' ? undefined : node.address;
}

/** What of one replica lies on one node. */
export function partsOf(replicas: Replicas, id: string, node: string): Replicas['found'][number] {
  return replicas.found.find((each) => each.id === id && each.node === node) ?? { id, node, containers: [], volumes: [] };
}

/** The volumes that hold images: they must survive where they have just been filled. */
export function isRegistryVolume(name: string): boolean {
  return /(^|\/)dtr-registry(-nfs)?-[0-9a-f]{12}$/.test(name);
}
