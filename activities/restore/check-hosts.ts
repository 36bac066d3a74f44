/** Each node that will carry a replica: reached with the right host key, has the images, and its ports are free. */
import type { Host } from '../../adapters/host/host';
import { DrydockError } from '../../domain/errors';
import type { Replica } from '../../domain/manifest';
import type { RestoreDecisions } from '../../domain/plan';
import { runBootstrapper } from '../bootstrapper';
import type { Cluster } from '../cluster';
import { ensureImages } from '../node-images';
import type { Refusals } from './refusals';
import { partsOf, readyNames, type Replicas } from './replicas';
import { hostOf } from './targets';

/** State `LISTEN` in /proc/net/tcp. */
const LISTENING = '0A';

/** Hosts by node, without those that cannot be used; why not becomes a refusal. Nodes that are not ready are refused elsewhere. */
export async function checkHosts(cluster: Cluster, operation: string, decisions: RestoreDecisions, replicas: Replicas, refusals: Refusals): Promise<Map<string, Host>> {
  const ready = readyNames(replicas.nodes);
  const used = [decisions.first, ...decisions.joins].filter(({ node }) => ready.has(node));
  const hosts = new Map<string, Host>();
  for (const { node } of used) {
    const host = await refusals.attempt(() => reach(cluster, decisions, node));
    if (host) hosts.set(node, host);
  }
  const images = await refusals.attempt(() => neededImages(cluster, operation, decisions, [...hosts], refusals));
  if (images && images.length > 0) await provide(cluster, [...hosts.values()], images, refusals);
  for (const replica of used) {
    const host = hosts.get(replica.node);
    if (host) await refusals.attempt(() => checkPorts(cluster, host, replica, decisions, replicas));
  }
  return hosts;
}

async function reach(cluster: Cluster, decisions: RestoreDecisions, node: string): Promise<Host> {
  const host = await hostOf(cluster, decisions.targets, node);
  // With root's rights, as every later step needs them.
  const name = (await host.exec(['hostname'])).stdout.trim();
  if (name === node || name.split('.')[0] === node.split('.')[0]) return host;
  throw new DrydockError('Refused', `the SSH host for ${node} calls itself ${name}`, { remedy: `check hosts.${node}.address, or the host of its target` });
}

/** The bootstrapper knows which images a replica is made of; it is asked on a node that has it, or that can pull it. */
async function neededImages(cluster: Cluster, operation: string, { bootstrapperImage: image }: RestoreDecisions, hosts: [string, Host][], refusals: Refusals): Promise<string[]> {
  const provided = await provide(cluster, hosts.map(([, host]) => host), [image], refusals);
  const [node] = hosts.find(([, host]) => provided.has(host)) ?? [];
  if (node === undefined) return [];
  const { stdout } = await runBootstrapper(cluster, { image, command: 'images', args: [], node, operation });
  return stdout.split('\n').map((line) => line.trim()).filter((line) => line !== '');
}

/** Those of the hosts that have the images now; why another has not becomes a refusal. */
async function provide(cluster: Cluster, hosts: Host[], images: string[], refusals: Refusals): Promise<Set<Host>> {
  const errors = (await refusals.attempt(() => ensureImages(cluster, hosts, images))) ?? null;
  for (const error of errors?.values() ?? []) await refusals.attempt(() => Promise.reject(error));
  return new Set(errors === null ? [] : hosts.filter((host) => !errors.has(host)));
}

async function checkPorts(cluster: Cluster, host: Host, replica: Replica, decisions: RestoreDecisions, replicas: Replicas): Promise<void> {
  const own = await publishedByDestroyed(cluster, replica.node, decisions, replicas);
  const listening = await listeningPorts(host);
  const taken = [replica.httpPort, replica.httpsPort].filter((port) => listening.has(port) && !own.has(port));
  if (taken.length === 0) return;
  throw new DrydockError('Refused', `port ${taken.join(' and ')} of ${replica.node} is taken by something that is not this DTR`, { remedy: `stop what listens there (ss -ltnp on ${replica.node}), or give another node as target` });
}

/** Host ports of containers on this node that go away with the replicas that are destroyed. */
async function publishedByDestroyed(cluster: Cluster, node: string, { destroys }: RestoreDecisions, replicas: Replicas): Promise<Set<number>> {
  const engine = await cluster.engine();
  const ports = new Set<number>();
  for (const { id } of destroys.filter((each) => each.node === node)) {
    for (const { name, running } of partsOf(replicas, id, node).containers) {
      if (!running) continue;
      for (const port of Object.values((await engine.container(name)).ports)) ports.add(port);
    }
  }
  return ports;
}

async function listeningPorts(host: Host): Promise<Set<number>> {
  const { stdout } = await host.exec(['sh', '-c', 'cat /proc/net/tcp /proc/net/tcp6 2>/dev/null; true']);
  return parseListening(stdout);
}

/** Ports of listening sockets in the text of `/proc/net/tcp` and `/proc/net/tcp6`. */
export function parseListening(text: string): Set<number> {
  const ports = new Set<number>();
  for (const line of text.split('\n')) {
    const match = /^\s*\d+:\s+[0-9A-F]+:([0-9A-F]{4})\s+\S+\s+([0-9A-F]{2})\s/.exec(line);
    if (match?.[2] === LISTENING) ports.add(Number.parseInt(match[1]!, 16));
  }
  return ports;
}
