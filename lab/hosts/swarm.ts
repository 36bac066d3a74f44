/** The real Swarm of the hosts: one manager on UCP's host, the replica hosts as workers, the overlay that DTR's replicas meet on. */
import type { NodeName } from '../contract';
import { NODES } from '../contract';
import type { Hosts } from './hosts';
import { allDone, ANY_CODE, waitFor } from './process';

export const OVERLAY = 'dtr-ol';

export interface SwarmNode {
  id: string;
  hostname: string;
  /** `Ready` or `Down`. */
  status: string;
}

export class Swarm {
  constructor(
    private readonly hosts: Hosts,
    private readonly signal?: AbortSignal,
  ) {}

  async create(): Promise<void> {
    const { addresses } = this.hosts.names;
    // A short heartbeat shows a lost host as Down within ten seconds.
    await this.hosts.exec('ucp', ['docker', 'swarm', 'init', '--advertise-addr', addresses.ucp, '--dispatcher-heartbeat', '2s']);
    await allDone(NODES.map((node) => this.join(node)));
    await this.hosts.exec('ucp', ['docker', 'network', 'create', '--driver', 'overlay', '--attachable', OVERLAY]);
  }

  async join(node: NodeName): Promise<void> {
    const { addresses } = this.hosts.names;
    const { stdout: token } = await this.hosts.exec('ucp', ['docker', 'swarm', 'join-token', '--quiet', 'worker']);
    await this.hosts.exec(node, ['docker', 'swarm', 'join', '--token', token, '--advertise-addr', addresses[node], `${addresses.ucp}:2377`]);
  }

  async nodes(): Promise<SwarmNode[]> {
    const { stdout } = await this.hosts.exec('ucp', ['docker', 'node', 'ls', '--format', '{{.ID}} {{.Hostname}} {{.Status}}']);
    return stdout.split('\n').map((line) => {
      const [id = '', hostname = '', status = ''] = line.split(' ');
      return { id, hostname, status };
    });
  }

  async waitReady(node: NodeName, seconds = 60): Promise<void> {
    await waitFor(`node ${node} in the Swarm`, seconds, async () => (await this.nodes()).some(({ hostname, status }) => hostname === node && status === 'Ready'), this.signal);
  }

  /**
   * Waits until a container on the node gets its place on the overlay: on a node that has just joined, the first one now and then comes too early and
   * is refused after 20 s, which would then befall whoever starts a replica there.
   */
  async waitOverlay(node: NodeName, image: string, seconds = 90): Promise<void> {
    const { stdout } = await this.hosts.exec('ucp', ['docker', 'network', 'ls', '--quiet', '--filter', `name=^${OVERLAY}$`]);
    if (stdout.trim() === '') return;
    const attach = ['docker', 'run', '--rm', '--network', OVERLAY, '--log-driver', 'none', image, 'true'];
    await waitFor(`the overlay on ${node}`, seconds, async () => (await this.hosts.exec(node, attach, ANY_CODE)).code === 0, this.signal);
  }

  /**
   * Waits until containers of these nodes know each other by name over the overlay. Hosts that were rebuilt in quick succession now and then stay unknown to
   * the others' gossip, or are refused their places on the overlay: such a host is started once more, which cures it.
   */
  async waitMesh(nodes: readonly NodeName[], image: string): Promise<void> {
    const probe = (node: NodeName): string => `lab-probe-${node}`;
    const run = ['docker', 'run', '--rm', '--network', OVERLAY, '--log-driver', 'none'];
    const start = async (node: NodeName): Promise<boolean> => {
      await this.hosts.exec(node, ['docker', 'rm', '--force', probe(node)], ANY_CODE);
      return (await this.hosts.exec(node, [...run, '--detach', '--name', probe(node), image, 'sleep', '600'], ANY_CODE)).code === 0;
    };
    const knowsAll = async (node: NodeName): Promise<boolean> => {
      for (const other of nodes) if (other !== node && (await this.hosts.exec(node, [...run, image, 'getent', 'hosts', probe(other)], ANY_CODE)).code !== 0) return false;
      return true;
    };
    const onceMore = async (node: NodeName): Promise<void> => {
      await this.hosts.restart(node);
      await this.hosts.waitEngine(node);
      await this.waitReady(node);
      await this.waitOverlay(node, image);
      await waitFor(`a container of ${node} on the overlay after its engine was started once more`, 90, () => start(node), this.signal);
    };
    try {
      await allDone(nodes.map((node) => waitFor(`a container of ${node} on the overlay`, 45, () => start(node), this.signal).catch(() => onceMore(node))));
      for (const node of nodes) {
        const met = (): Promise<boolean> => knowsAll(node);
        try {
          await waitFor(`${node} to meet the others`, 40, met, this.signal);
        } catch {
          await onceMore(node);
          await waitFor(`${node} to meet the others after its engine was started once more`, 60, met, this.signal);
        }
      }
    } finally {
      await allDone(nodes.map((node) => this.hosts.exec(node, ['docker', 'rm', '--force', probe(node)], ANY_CODE)));
    }
  }

  /**
   * Waits until the Swarm has noticed that a host is gone. One that comes back before that can stay unknown to the others' gossip,
   * and its containers then reach nobody over the overlay.
   */
  async waitMissed(node: NodeName, seconds = 30): Promise<void> {
    await waitFor(`${node} Down in the Swarm`, seconds, async () => (await this.nodes()).every(({ hostname, status }) => hostname !== node || status !== 'Ready'), this.signal);
  }
}
