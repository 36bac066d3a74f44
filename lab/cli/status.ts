/** `lab status`: how hosts, Swarm, replicas and the registry are now. */
import { NODES } from '../contract';
import type { HostState } from '../hosts/hosts';
import type { LabState } from '../hosts/state';
import type { Lab } from './context';
import { registryHealth, replicaHealth } from './dtr';

export interface NodeStatus {
  name: string;
  host: HostState;
  /** `Ready`, `Down` or `absent`; `unknown` when the manager does not answer. */
  swarm: string;
  replicaId: string | null;
  /** `healthy`, the replica's own error, or null where there is no replica. */
  replica: string | null;
  /** Containers on the host's engine. */
  containers: { running: number; total: number } | null;
}

export interface LabStatus {
  name: string;
  up: boolean;
  dtr: string | null;
  storage: string | null;
  ucp: HostState;
  nodes: NodeStatus[];
  /** The registry through the load balancer. */
  registry: string | null;
}

export async function labStatus(lab: Lab): Promise<LabStatus> {
  const ucp = await lab.hosts.hostState('ucp');
  const state = lab.state.exists ? await lab.state.read() : undefined;
  if (state === undefined || ucp === 'missing') return { name: lab.names.name, up: false, dtr: null, storage: null, ucp, nodes: [], registry: null };
  const swarm = ucp === 'running' ? await lab.swarm.nodes() : [];
  const nodes = await Promise.all(NODES.map((node) => nodeStatus(lab, state, node, ucp === 'running' ? swarm : undefined)));
  const registry = state.dtr === undefined ? null : await registryHealth(lab);
  return { name: lab.names.name, up: state.complete, dtr: state.dtr ?? null, storage: state.dtr === undefined ? null : state.storage, ucp, nodes, registry };
}

async function nodeStatus(lab: Lab, state: LabState, node: (typeof NODES)[number], swarm: { hostname: string; status: string }[] | undefined): Promise<NodeStatus> {
  const host = await lab.hosts.hostState(node);
  const entries = swarm?.filter(({ hostname }) => hostname === node);
  // A rebuilt host stands twice in the Swarm until someone removes the old entry.
  const entry = entries?.find(({ status }) => status === 'Ready') ?? entries?.[0];
  const replicaId = state.replicaIds[node] ?? null;
  return {
    name: node,
    host,
    swarm: swarm === undefined ? 'unknown' : (entry?.status ?? 'absent'),
    replicaId,
    replica: replicaId === null ? null : host === 'running' ? await replicaHealth(lab, node) : `no answer (host ${host})`,
    containers: host === 'running' || host === 'cut off' ? await countContainers(lab, node) : null,
  };
}

async function countContainers(lab: Lab, node: (typeof NODES)[number]): Promise<{ running: number; total: number } | null> {
  const { code, stdout } = await lab.hosts.exec(node, ['docker', 'ps', '--all', '--format', '{{.State}}'], [0, 1]);
  if (code !== 0) return null;
  const states = stdout.split('\n').filter((line) => line !== '');
  return { running: states.filter((line) => line === 'running').length, total: states.length };
}

export function statusText(status: LabStatus): string {
  if (!status.up) return `the lab ${status.name} is ${status.ucp === 'missing' ? 'not up' : 'not whole: `up` was broken off'}`;
  const head = `lab ${status.name}: ${status.dtr === null ? 'no DTR (--bare)' : `DTR ${status.dtr} on ${status.storage} storage, registry ${status.registry}`}; UCP ${status.ucp}`;
  const lines = status.nodes.map(({ name, host, swarm, replicaId, replica, containers }) => {
    const count = containers === null ? '' : `, ${containers.running} of ${containers.total} containers run`;
    return `  ${name}: ${host}, Swarm ${swarm}${count}${replicaId === null ? '' : `, replica ${replicaId} ${replica}`}`;
  });
  return [head, ...lines].join('\n');
}
