import { randomBytes } from 'node:crypto';
import { type ContainerSpec, type Docker, demultiplex, DockerError } from '../common/docker';
import { sleep } from '../common/http';
import { Fatal, type Log, messageOf } from '../common/log';
import { checkPair } from '../common/pki';
import type { Flags } from './flags';
import { storeOnNode } from './input';
import { parseReplicaContainer } from './replica';
import { REQUEST_ENV, type PhaseTwoRequest } from './request';
import { connectUcp, type UcpSession } from './ucp-session';

export interface Tool {
  version: string;
  org: string;
  flags: Flags;
  log: Log;
  /** False where standard input carries an archive. */
  mayPrompt: boolean;
}

/** What phase 1 knows of the cluster once it is logged in. */
export interface Cluster {
  session: UcpSession;
  docker: Docker;
  /** Replica id -> node, by the names of containers that UCP lists. */
  replicas: Map<string, string>;
  /** Nodes that can take a replica: ready workers, or whatever is ready where there are none. */
  nodes: NodeRow[];
}

export interface NodeRow {
  hostname: string;
  ready: boolean;
  manager: boolean;
}

interface SwarmNode {
  Spec: { Role: string };
  Description: { Hostname: string };
  Status: { State: string };
}

const PHASE2 = 'dtr-phase2';
const LOOK_MS = 500;
const ABOUT_TO_START_MS = 10_000;
/** How often a name that is taken is waited for: each time another run was faster. */
const MAX_TRIES = 20;

/** Logs in to UCP and finds the replicas. Every command but `images` begins so. */
export async function connect(tool: Tool): Promise<Cluster> {
  const session = await connectUcp(tool.flags, tool.log, tool.mayPrompt);
  const { docker } = session;
  tool.log.info('Searching containers in UCP for DTR replicas');
  const replicas = new Map<string, string>();
  for (const row of await docker.containers('dtr-')) {
    for (const name of row.Names) {
      const found = parseReplicaContainer(name);
      if (found) replicas.set(found.id, found.node);
    }
  }
  if (replicas.size > 0) tool.log.info(`This cluster contains the replicas: ${[...replicas.keys()].sort().join(' ')}`);
  const nodes = (await docker.json<SwarmNode[]>('GET', '/nodes')).map((node) => ({
    hostname: node.Description.Hostname,
    ready: node.Status.State === 'ready',
    manager: node.Spec.Role === 'manager',
  }));
  return { session, docker, replicas, nodes };
}

/** Node for a new replica: the one asked for, else a random one without a replica. */
export function pickNode(cluster: Cluster, wanted: string | undefined): string {
  const taken = new Set(cluster.replicas.values());
  if (wanted !== undefined) {
    const node = cluster.nodes.find((candidate) => candidate.hostname === wanted && candidate.ready) ?? cluster.nodes.find((candidate) => candidate.hostname === wanted);
    if (!node) throw new Fatal(`Couldn't find a node with the hostname ${wanted}. The available nodes are: ${cluster.nodes.map((n) => n.hostname).join(', ')}`);
    if (!node.ready) throw new Fatal(`The node ${wanted} is down`);
    if (taken.has(wanted)) throw new Fatal(`The node ${wanted} already has a DTR replica running on it`);
    return wanted;
  }
  const free = cluster.nodes.filter((node) => node.ready && !taken.has(node.hostname));
  const workers = free.filter((node) => !node.manager);
  const candidates = workers.length > 0 ? workers : free;
  if (candidates.length === 0) throw new Fatal('There is no node left on which a replica could be deployed');
  return candidates[Math.floor(Math.random() * candidates.length)]!.hostname;
}

/** Ports that containers on the node publish already are refused before anything is made. */
export async function verifyPorts(cluster: Cluster, node: string, ports: number[], log: Log): Promise<void> {
  log.info(`Verifying [${ports.join(' ')}] ports on ${node}`);
  const used = new Set<number>();
  for (const row of await cluster.docker.containers()) {
    if (!row.Names.some((name) => name.startsWith(`/${node}/`))) continue;
    for (const port of row.Ports ?? []) if (port.PublicPort !== undefined) used.add(port.PublicPort);
  }
  const taken = ports.filter((port) => used.has(port));
  if (taken.length > 0) throw new Fatal(`Port(s) ${taken.join(', ')} on ${node} are already in use. Use --replica-http-port and --replica-https-port to choose others`);
}

export function portsOf(flags: Flags): { http: number; https: number } {
  const read = (name: string, fallback: number): number => {
    const value = flags[name];
    if (value === undefined || value === '') return fallback;
    const port = Number(value);
    if (!Number.isInteger(port) || port < 1 || port > 65535) throw new Fatal(`--${name} must be a port number, not ${value}`);
    return port;
  };
  return { http: read('replica-http-port', 80), https: read('replica-https-port', 443) };
}

const REPLICA_ID = /^[0-9a-f]{12}$/;

export function checkReplicaId(id: string): string {
  if (!REPLICA_ID.test(id)) throw new Fatal(`Invalid replica ID ${id}: a replica ID is 12 lower-case hexadecimal characters`);
  return id;
}

export function newReplicaId(flags: Flags): string {
  return flags['replica-id'] ? checkReplicaId(flags['replica-id']) : randomBytes(6).toString('hex');
}

/** `--dtr-cert`, `--dtr-key` and `--dtr-ca` come together. */
export function webCertificate(flags: Flags): PhaseTwoRequest['web'] {
  const { 'dtr-cert': cert, 'dtr-key': key, 'dtr-ca': ca } = flags;
  if (!cert && !key && !ca) return undefined;
  if (!cert || !key) throw new Fatal('--dtr-cert and --dtr-key must be given together');
  try {
    checkPair({ cert, key });
  } catch (error) {
    throw new Fatal(`Invalid TLS certificate: ${messageOf(error)}`);
  }
  return { cert, key, ca: ca ?? '' };
}

/** Finds the node of an existing replica. */
export function nodeOf(cluster: Cluster, id: string): string {
  const node = cluster.replicas.get(checkReplicaId(id));
  if (node === undefined) throw new Fatal(`Couldn't find a replica with the ID ${id}`);
  return node;
}

/**
 * Runs phase 2 on a node: starts `dtr-phase2` there, feeds it `input`, passes its outputs on, removes it.
 * Throws Fatal when it ends with another status than 0.
 */
export async function runPhase2(tool: Tool, cluster: Cluster, request: Omit<PhaseTwoRequest, 'version' | 'org' | 'replicas' | 'ucp' | 'flags'>, input?: AsyncIterable<Buffer>): Promise<void> {
  const { docker, session } = cluster;
  tool.log.info(`Waiting for running ${PHASE2} container to finish`);
  await waitForOtherPhase2(docker);
  tool.log.info('Starting phase 2');
  const ucp = await session.serviceAccess();
  const visible = Object.fromEntries(Object.entries(tool.flags).filter(([name]) => name !== 'ucp-password'));
  const full: PhaseTwoRequest = { ...request, version: tool.version, org: tool.org, flags: visible, replicas: Object.fromEntries(cluster.replicas), ucp };
  const id = await createPhase2(docker, {
    Image: `${tool.org}/dtr:${tool.version}`,
    Cmd: ['phase2'],
    Env: [`constraint:node==${request.node}`, `${REQUEST_ENV}=${JSON.stringify(full)}`, `DTR_TTY=${process.stderr.isTTY === true}`],
    OpenStdin: input !== undefined,
    StdinOnce: input !== undefined,
    AttachStdin: input !== undefined,
    AttachStdout: true,
    AttachStderr: true,
    // /srv/nfs is where the hosts keep the directory that plays the NFS export.
    HostConfig: { Binds: ['/var/run/docker.sock:/var/run/docker.sock', '/srv/nfs:/srv/nfs', ...(request.binds ?? [])], NetworkMode: 'dtr-ol', LogConfig: { Type: 'none' } },
  });
  try {
    const status = await attachAndRun(docker, id, input);
    if (status !== 0) throw new Fatal(`Failed to execute phase 2: Phase 2 returned non-zero status: ${status}`);
  } finally {
    await docker.remove(id);
  }
}

async function attachAndRun(docker: Docker, id: string, input?: AsyncIterable<Buffer>): Promise<number> {
  const stream = await docker.attach(id);
  const ended = docker.wait(id);
  ended.catch(() => undefined);
  await docker.start(id);
  const feeding = storeOnNode(stream, input);
  await demultiplex(stream as AsyncIterable<Buffer>, (output, data) => write(output === 'stdout' ? process.stdout : process.stderr, data));
  stream.destroy();
  await feeding;
  return ended;
}

function write(to: NodeJS.WriteStream, data: Buffer): Promise<void> {
  return new Promise((resolve, reject) => to.write(data, (error) => (error ? reject(error) : resolve())));
}

/** UCP lets one container of that name be in the cluster: another run that was faster is waited for as well. */
async function createPhase2(docker: Docker, spec: ContainerSpec): Promise<string> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await docker.create(PHASE2, spec);
    } catch (error) {
      const taken = error instanceof DockerError && error.status === 409;
      if (!taken || tries === MAX_TRIES) throw new Fatal(`Failed to execute phase 2: ${messageOf(error)}`);
      await sleep(LOOK_MS);
      await waitForOtherPhase2(docker);
    }
  }
}

/** An aborted run leaves its `dtr-phase2` behind, on whatever node: it is waited for and removed. */
async function waitForOtherPhase2(docker: Docker): Promise<void> {
  const firstSeen = new Map<string, number>();
  for (;;) {
    const found = (await docker.containers(PHASE2)).filter((row) => row.Names.some((name) => name.endsWith(`/${PHASE2}`)));
    if (found.length === 0) return;
    for (const { Id, State } of found) {
      if (!firstSeen.has(Id)) firstSeen.set(Id, Date.now());
      // One that was only created may be about to start.
      const abandoned = State === 'created' && Date.now() - firstSeen.get(Id)! > ABOUT_TO_START_MS;
      if (abandoned || State === 'exited' || State === 'dead') await docker.remove(Id);
    }
    await sleep(LOOK_MS);
  }
}

export async function ensureOverlay(tool: Tool, docker: Docker): Promise<void> {
  const networks = await docker.json<{ Name: string }[]>('GET', '/networks');
  if (networks.some((network) => network.Name === 'dtr-ol')) return;
  tool.log.info('Creating the overlay network dtr-ol');
  const subnet = tool.flags['overlay-subnet'];
  await docker
    .json('POST', '/networks/create', { Name: 'dtr-ol', Driver: 'overlay', Attachable: true, ...(subnet ? { IPAM: { Config: [{ Subnet: subnet }] } } : {}) })
    .catch((error: unknown) => {
      if (error instanceof DockerError && error.status === 409) return;
      throw new Fatal(`Couldn't create the overlay network dtr-ol: ${messageOf(error)}`);
    });
}
