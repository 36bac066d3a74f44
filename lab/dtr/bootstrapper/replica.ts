import { type Docker, DockerError, type ContainerSpec } from '../common/docker';
import { Fatal, type Log } from '../common/log';
import type { StorageSettings } from '../common/settings';
import { peerUrl } from '../common/store';
import { minorOf } from '../common/tables';

/** Components in the order in which they are started. */
export const COMPONENTS = ['rethinkdb', 'registry', 'api', 'garant', 'jobrunner', 'scanningstore', 'notary-signer', 'notary-server', 'nginx'] as const;
export type Component = (typeof COMPONENTS)[number];

const OVERLAY = 'dtr-ol';
/** The account under which DTR's own services run, and to which files in the registry volume belong. */
const NOBODY = '65534:65534';

export interface ReplicaSpec {
  version: string;
  org: string;
  id: string;
  httpPort: number;
  httpsPort: number;
  storage: StorageSettings;
}

/** How the metadata store's member comes to life. Without data of its own it founds a cluster or joins one. */
export type StoreStart = { mode: 'new' } | { mode: 'join'; members: { name: string; peerUrl: string }[] } | { mode: 'repair' };

export const containerName = (component: string, id: string): string => `dtr-${component}-${id}`;

/** `<node>/dtr-<component>-<id>` or `/dtr-...`: what it is; null for other containers. */
export function parseReplicaContainer(name: string): { node: string; component: string; id: string } | null {
  const match = /^\/?(?:([^/]+)\/)?dtr-([a-z-]+)-([0-9a-f]{12})$/.exec(name);
  return match ? { node: match[1] ?? '', component: match[2]!, id: match[3]! } : null;
}

/** Name of a volume that belongs to a replica: what `destroy` deletes. */
export function isVolumeOf(name: string, id: string): boolean {
  return /^dtr-(ca|notary|rethink|postgres|registry|registry-nfs)-/.test(name) && name.endsWith(`-${id}`);
}

/** The registry volume's source for the mount at /storage: a volume's name or a path. */
export function registryMount(spec: ReplicaSpec): string {
  if (spec.storage.storageVolume !== '') return spec.storage.storageVolume;
  return spec.storage.nfsHost === '' ? `dtr-registry-${spec.id}` : `dtr-registry-nfs-${spec.id}`;
}

/** Creates the volumes that are missing; what exists is used as it is. Answers whether the database had a volume already. */
export async function createVolumes(docker: Docker, spec: ReplicaSpec): Promise<{ hadDatabase: boolean }> {
  const existing = new Set((await docker.volumes()).map((volume) => volume.Name));
  const wanted = ['ca', 'notary', 'rethink', 'postgres'].map((kind) => `dtr-${kind}-${spec.id}`);
  const mount = registryMount(spec);
  for (const name of wanted) if (!existing.has(name)) await docker.createVolume(name);
  const hadDatabase = existing.has(`dtr-rethink-${spec.id}`);
  if (mount.startsWith('/') || existing.has(mount)) return { hadDatabase };
  // This kernel has no NFS client: a directory that the hosts share under the same path plays the export.
  const nfs = spec.storage.nfsHost !== '' && spec.storage.storageVolume === '';
  await docker.createVolume(mount, nfs ? { type: 'none', o: 'bind', device: spec.storage.nfsPath } : {});
  return { hadDatabase };
}

/** (Re)creates one container of the replica and starts it. */
export async function startComponent(docker: Docker, spec: ReplicaSpec, component: Component, store?: StoreStart): Promise<void> {
  const name = containerName(component, spec.id);
  await docker.remove(name);
  await docker.create(name, containerSpec(spec, component, store));
  await docker.start(name).catch((error: unknown) => {
    if (error instanceof DockerError && /port is already allocated|address already in use/.test(error.message)) {
      throw new Fatal(`Failed to start ${name}: a port is already in use: ${error.message}`);
    }
    throw error;
  });
}

/** Creates and starts all containers but the metadata store's. */
export async function startServices(docker: Docker, spec: ReplicaSpec, log: Log): Promise<void> {
  log.info('Getting container configuration and starting containers...');
  for (const component of COMPONENTS) if (component !== 'rethinkdb') log.info(`Creating ${containerName(component, spec.id)}...`);
  const services = COMPONENTS.filter((component) => component !== 'rethinkdb' && component !== 'nginx');
  await Promise.all(services.map((component) => startComponent(docker, spec, component)));
  await startComponent(docker, spec, 'nginx');
}

function containerSpec(spec: ReplicaSpec, component: Component, store?: StoreStart): ContainerSpec {
  const name = containerName(component, spec.id);
  const base: ContainerSpec = {
    Image: `${spec.org}/dtr-${component}:${spec.version}`,
    Hostname: name,
    Env: [`DTR_VERSION=${spec.version}`, `DTR_REPLICA_ID=${spec.id}`],
    Labels: labels(spec, component),
    // Restart policies on overlay containers make engine starts flaky: whoever starts the host starts them.
    HostConfig: { NetworkMode: OVERLAY, RestartPolicy: { Name: 'no' }, Binds: binds(spec, component) },
  };
  if (component === 'rethinkdb') return { ...base, Cmd: storeArguments(spec.id, store ?? { mode: 'new' }) };
  if (component === 'registry' || component === 'api' || component === 'jobrunner') return { ...base, User: NOBODY };
  if (component !== 'nginx') return base;
  return {
    ...base,
    ExposedPorts: { '80/tcp': {}, '443/tcp': {} },
    Healthcheck: { Test: ['CMD', 'dtr-health'], Interval: 3e9, Timeout: 5e9, Retries: 3 },
    HostConfig: { ...base.HostConfig, PortBindings: { '80/tcp': [{ HostPort: String(spec.httpPort) }], '443/tcp': [{ HostPort: String(spec.httpsPort) }] } },
  };
}

function binds(spec: ReplicaSpec, component: Component): string[] {
  const ca = `dtr-ca-${spec.id}:/ca`;
  const storage = `${registryMount(spec)}:/storage`;
  switch (component) {
    case 'rethinkdb':
      return [ca, `dtr-rethink-${spec.id}:/data`];
    case 'registry':
    case 'api':
    case 'jobrunner':
      return [ca, storage];
    case 'notary-server':
    case 'notary-signer':
      return [ca, `dtr-notary-${spec.id}:/ca/notary`];
    case 'scanningstore':
      return [ca, `dtr-postgres-${spec.id}:/var/lib/postgresql`];
    default:
      return [ca];
  }
}

function labels(spec: ReplicaSpec, component: Component): Record<string, string> {
  const composed = {
    'com.docker.compose.project': `Docker Trusted Registry ${spec.version} - (Replica ${spec.id})`,
    'com.docker.compose.service': component,
  };
  // Older versions name version and replica in the project's text only (dtr.md 2).
  return minorOf(spec.version) >= 6 ? { ...composed, 'com.docker.dtr.version': spec.version, 'com.docker.dtr.replica': spec.id } : composed;
}

function storeArguments(id: string, start: StoreStart): string[] {
  const members = start.mode === 'join' ? start.members : [{ name: id, peerUrl: peerUrl(id) }];
  return [
    '--name', id,
    '--data-dir', '/data',
    '--listen-client-urls', 'http://0.0.0.0:2379',
    '--advertise-client-urls', `http://dtr-rethinkdb-${id}.${OVERLAY}:2379`,
    '--listen-peer-urls', 'http://0.0.0.0:2380',
    '--initial-advertise-peer-urls', peerUrl(id),
    '--initial-cluster', members.map((member) => `${member.name}=${member.peerUrl}`).join(','),
    '--initial-cluster-state', start.mode === 'join' ? 'existing' : 'new',
    '--heartbeat-interval', '200',
    '--election-timeout', '2000',
    '--auto-compaction-retention', '1h',
    '--logger', 'zap',
    '--log-level', 'warn',
    ...(start.mode === 'repair' ? ['--force-new-cluster'] : []),
  ];
}

/** Stops and removes all containers of a replica on this engine. */
export async function removeContainers(docker: Docker, id: string): Promise<void> {
  const rows = await docker.containers('dtr-');
  const own = rows.filter((row) => row.Names.some((name) => parseReplicaContainer(name)?.id === id));
  await Promise.all(own.map((row) => docker.remove(row.Id)));
}

export async function removeVolumes(docker: Docker, id: string): Promise<string[]> {
  const names = (await docker.volumes()).map((volume) => volume.Name).filter((name) => isVolumeOf(name, id));
  for (const name of names) await docker.removeVolume(name);
  return names;
}
