/** Stage 0: what is there now. A broken cluster is an answer, not an error. */
import type { ClusterStatus } from '../../adapters/dtr/dtr';
import type { RestoreTarget } from '../../domain/contract';
import { summaryOf, verdictOf } from '../../domain/diagnosis';
import { DrydockError } from '../../domain/errors';
import type { Manifest, Replica } from '../../domain/manifest';
import type { Diagnosis, ReplicaState } from '../../domain/plan';
import type { Cluster } from '../cluster';
import { readBackup } from './backup';
import { requireAdministrator } from './login';
import { addressOf, findReplicas, partsOf, readyNames, type Replicas } from './replicas';

const DEFAULT_HTTPS_PORT = 443;

/** Throws only for what keeps us from looking at all: a backup that is not there, UCP, its login, the configuration. */
export async function diagnose(cluster: Cluster, input: { backup: string; targets: RestoreTarget[] }): Promise<Diagnosis> {
  const manifest = await manifestIfReadable(cluster, input.backup);
  await requireAdministrator(cluster);
  const replicas = await findReplicas(await cluster.engine());
  const status = await statusIfAnswered(cluster);
  const ready = readyNames(replicas.nodes);
  const states: ReplicaState[] = [];
  for (const replica of knownReplicas(manifest, replicas)) states.push(await stateOf(cluster, replicas, replica, status));
  const lostNodes = [...new Set([...states.map(({ node }) => node), ...lostMembers(replicas)])].filter((node) => !ready.has(node)).sort();
  const holders = new Set(states.map(({ node }) => node));
  const lost = lostNodes.filter((node) => holders.has(node));
  return { verdict: verdictOf(states), replicas: states, lostNodes: lost, summary: summaryOf(states, lost) };
}

function lostMembers({ nodes }: Replicas): string[] {
  return nodes.filter(({ state }) => state !== 'ready').map(({ hostname }) => hostname);
}

/** A backup that is damaged is refused by the plan, with its reason; the diagnosis does without. One that is not there needs no diagnosis. */
async function manifestIfReadable(cluster: Cluster, backup: string): Promise<Manifest | null> {
  try {
    return (await readBackup(cluster, backup)).manifest;
  } catch (error) {
    if (!(error instanceof DrydockError)) throw error;
    if (error.kind === 'VaultUnavailable' || error.kind === 'NotFound') throw withOtherVaults(cluster, error);
    return null;
  }
}

/** The same, saying where else backups of the cluster are kept. */
function withOtherVaults(cluster: Cluster, error: DrydockError): DrydockError {
  const others = cluster.otherVaults().map(({ name }) => name);
  if (others.length === 0) return error;
  const elsewhere = `or restore from another vault of this cluster: --vault ${others.join(' or --vault ')}`;
  return new DrydockError(error.kind, error.message, { remedy: error.remedy === undefined ? elsewhere : `${error.remedy}; ${elsewhere}`, details: error.details ?? {}, cause: error });
}

async function statusIfAnswered(cluster: Cluster): Promise<ClusterStatus | null> {
  try {
    return await (await cluster.dtr()).clusterStatus();
  } catch (error) {
    cluster.signal?.throwIfAborted();
    if (error instanceof DrydockError && error.kind !== 'InvalidInput') return null;
    throw error;
  }
}

/** Those of the backup where they stood (or now stand), and those of which only the cluster knows. */
function knownReplicas(manifest: Manifest | null, replicas: Replicas): Replica[] {
  const known = new Map<string, Replica>();
  for (const replica of manifest?.product.replicas ?? []) known.set(replica.id, replica);
  for (const { id, node, containers } of replicas.found) {
    if (containers.length === 0) continue;
    const before = known.get(id);
    known.set(id, { id, httpPort: before?.httpPort ?? 80, httpsPort: before?.httpsPort ?? DEFAULT_HTTPS_PORT, node });
  }
  return [...known.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

async function stateOf(cluster: Cluster, replicas: Replicas, replica: Replica, status: ClusterStatus | null): Promise<ReplicaState> {
  const { id, node } = replica;
  const { containers } = partsOf(replicas, id, node);
  const nodeReachable = readyNames(replicas.nodes).has(node);
  const base = { id, node, nodeReachable, present: containers.length > 0, running: containers.some(({ running }) => running) };
  if (!nodeReachable) return { ...base, healthy: false, note: `the node ${node} does not answer` };
  if (!base.present) return { ...base, healthy: false, note: `no container of it is on ${node}` };
  const stopped = containers.filter(({ running }) => !running).map(({ component }) => component);
  if (!base.running) return { ...base, healthy: false, note: 'its containers are stopped' };
  const ping = await pingAt(cluster, replicas, replica);
  const reported = status?.replicaHealth[id];
  if (ping.healthy && (reported === undefined || reported === 'OK')) return { ...base, healthy: true, note: '' };
  const why = [ping.healthy ? `the cluster says of it: ${reported}` : ping.error, ...(stopped.length > 0 ? [`stopped: ${stopped.join(', ')}`] : [])];
  return { ...base, healthy: false, note: why.join('; ').slice(0, 500) };
}

/** `/_ping` of one replica by its node's address. */
export async function pingAt(cluster: Cluster, replicas: Replicas, replica: Replica): Promise<{ healthy: boolean; error: string }> {
  const host = addressOf(replicas.nodes, replica.node) ?? cluster.config.hosts[replica.node]?.address;
  if (host === undefined) return { healthy: false, error: `the address of ${replica.node} is not known` };
  const { caFile, insecureSkipTlsVerify } = cluster.config.dtr;
  return cluster.pingReplica({ host, port: replica.httpsPort, insecure: insecureSkipTlsVerify, ...(caFile === undefined ? {} : { caFile }) });
}
