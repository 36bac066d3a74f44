/** Which replicas a cluster has, which of them is read, and of what version it is. */
import type { ContainerDetails, ContainerSummary, Engine } from '../../adapters/docker/engine';
import type { ClusterStatus, Dtr } from '../../adapters/dtr/dtr';
import { DrydockError } from '../../domain/errors';
import type { Replica } from '../../domain/manifest';
import type { Findings } from './findings';

const RETHINKDB = /^(?:([^/]+)\/)?dtr-rethinkdb-([0-9a-f]{12})$/;
/** DTR's own page calls a replica unhealthy when its word is older. */
const STALE_MS = 10 * 60_000;

export interface ReplicaFound extends Replica {
  running: boolean;
  image: string;
  labels: Record<string, string>;
}

/** Replicas by their database's container, as UCP lists them; ports from DTR's settings, where they stand for each. */
export async function findReplicas(engine: Engine, settings: Record<string, unknown> | undefined): Promise<ReplicaFound[]> {
  const containers = await engine.containers({ name: 'dtr-rethinkdb-' });
  return containers.flatMap((container) => asReplica(container, settings)).sort((a, b) => (a.id < b.id ? -1 : 1));
}

function asReplica(container: ContainerSummary, settings: Record<string, unknown> | undefined): ReplicaFound[] {
  const match = container.names.map((name) => RETHINKDB.exec(name)).find((found) => found !== null);
  if (!match) return [];
  const [, node = '', id = ''] = match;
  return [{ id, node, ...portsOf(settings, id), running: container.state === 'running', image: container.image, labels: container.labels }];
}

/** Replicas that only DTR's settings know: their node is lost, but the next restore has to name them. */
export function lostReplicas(found: Replica[], settings: Record<string, unknown>): Replica[] {
  const known = new Set(found.map(({ id }) => id));
  return Object.entries(record(settings.replicaSettings)).flatMap(([id, value]) => {
    const node = record(value).node;
    return known.has(id) || !/^[0-9a-f]{12}$/.test(id) || typeof node !== 'string' ? [] : [{ id, node, ...portsOf(settings, id) }];
  });
}

function portsOf(settings: Record<string, unknown> | undefined, id: string): { httpPort: number; httpsPort: number } {
  const own = record(record(settings?.replicaSettings)[id]);
  return { httpPort: portOf(own.HTTPPort, 80), httpsPort: portOf(own.HTTPSPort, 443) };
}

function portOf(value: unknown, standard: number): number {
  const port = Number(value);
  return Number.isInteger(port) && port > 0 && port < 65_536 ? port : standard;
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** The replica whose database is read: the same each time while it is healthy, the one with the lowest id. Findings and warnings say why not. */
export function chooseReplica(replicas: ReplicaFound[], status: ClusterStatus, registryNow: number, findings: Findings, warnings: string[]): ReplicaFound | undefined {
  const ids = new Set([...replicas.map(({ id }) => id), ...Object.keys(status.replicaHealth)]);
  const faults = new Map([...ids].map((id) => [id, faultOf(id, replicas, status, registryNow)]));
  const healthy = replicas.filter(({ id }) => faults.get(id) === null);
  const sick = [...faults].filter(([, fault]) => fault !== null).map(([id, fault]) => `${id} ${fault}`);
  const quorum = Math.floor(ids.size / 2) + 1;
  if (healthy.length < quorum) {
    findings.add(`${healthy.length} of ${ids.size} replicas are healthy, ${quorum} are needed: ${sick.join('; ')}`, 'a backup needs a healthy database: repair the cluster first, or see `drydock restore`');
    return undefined;
  }
  if (sick.length > 0) warnings.push(`Not every replica is healthy: ${sick.join('; ')}.`);
  return healthy[0];
}

function faultOf(id: string, replicas: ReplicaFound[], status: ClusterStatus, registryNow: number): string | null {
  const replica = replicas.find((each) => each.id === id);
  if (!replica) return 'has no container that UCP knows';
  if (!replica.running) return `does not run on ${replica.node}`;
  const health = status.replicaHealth[id];
  if (health === undefined) return 'is not known to DTR';
  if (health !== 'OK') return `is unhealthy: ${health}`;
  const reported = Date.parse(status.replicaTimestamp[id] ?? '');
  return registryNow - reported > STALE_MS ? 'reported its health too long ago' : null;
}

/** Version of the running replica: environment of its registry, else a label, the compose project's text, or the image's tag. */
export function versionOf(replica: ReplicaFound, registry: ContainerDetails): string {
  const candidates = [
    registry.env.DTR_VERSION,
    replica.labels['com.docker.dtr.version'],
    registry.labels['com.docker.dtr.version'],
    replica.labels['com.docker.compose.project'],
    /:([^:/@]+)(?:@.*)?$/.exec(replica.image)?.[1],
  ];
  for (const candidate of candidates) {
    const version = /\d+\.\d+\.\d+/.exec(candidate ?? '')?.[0];
    if (version !== undefined) return version;
  }
  throw new DrydockError('NotFound', `the version of DTR cannot be told from the containers of replica ${replica.id}`, { remedy: 'look at the labels and the environment of its containers' });
}

/** The bootstrapper is named as the replica's images are: `<org>/dtr-rethinkdb:<v>` -> `<org>/dtr:<v>`. */
export function bootstrapperOf(replica: ReplicaFound, version: string, configured: string | undefined): string {
  if (configured !== undefined) return `${configured}:${version}`;
  const org = /^(.+)\/dtr-rethinkdb(?:[:@].*)?$/.exec(replica.image)?.[1];
  if (org === undefined) {
    throw new DrydockError('NotFound', `the image of replica ${replica.id} is called ${replica.image}, so the bootstrapper's name cannot be told`, { remedy: 'set bootstrapper.image in drydock.yaml, without tag' });
  }
  return `${org}/dtr:${version}`;
}

/**
 * Now, by the registry's own clock, ms since epoch. Its answers carry whole seconds, so it is never late. Throws RegistryUnavailable when none has told the
 * time: by our own clock, tags that were pushed meanwhile would be taken for old ones.
 */
export async function registryNow(dtr: Pick<Dtr, 'ping' | 'clockOffsetMs'>): Promise<number> {
  const { error } = await dtr.ping();
  const { clockOffsetMs } = dtr;
  if (clockOffsetMs !== undefined) return Date.now() + clockOffsetMs;
  throw new DrydockError('RegistryUnavailable', `no answer of DTR tells the time${error === '' ? ' (none has a Date header)' : `: ${error}`}`, { remedy: 'check dtr.url, and that proxies before DTR leave its Date header' });
}
