import type { Agent } from 'node:http';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';
import { DrydockError } from '../../domain/errors';
import type { ContainerCommand, ContainerDetails, ContainerSummary, Engine, EngineInfo, NodeDetails, PullOptions, RunOptions, RunResult, VolumeDetails } from './engine';
import { dockerError, withoutSecrets } from './errors';
import { startCommand } from './exec';
import { notPulled, PULL_SILENCE_MS, readProgress } from './pull';
import { runAttached, type Created } from './run';
import { agentFor, rawTransport, type EngineAddress, type RawTransport } from './transport';

export type { EngineAddress } from './transport';

type StartOptions = Parameters<Engine['start']>[0];

/** For every call that answers at once. */
const CALL_TIMEOUT_MS = 60_000;
/** UCP may say nothing before the last node has the image. */
/** How often we look whether a killed container is gone, every 100 ms. */
const DISCARD_LOOKS = 50;

/** The Docker API of UCP, of an engine behind TLS, or of this machine's socket. Opens no connection before the first call. */
export function connectEngine(address: EngineAddress): Engine {
  return new DockerodeEngine(address);
}

class DockerodeEngine implements Engine {
  private readonly docker: Docker;
  private readonly transport: RawTransport;
  private readonly agent: Agent;

  constructor(private readonly address: EngineAddress) {
    this.agent = agentFor(address);
    this.transport = rawTransport(address, this.agent);
    this.docker = this.client(CALL_TIMEOUT_MS);
  }

  async info(): Promise<EngineInfo> {
    const version = await this.call('GET /version', () => this.docker.version());
    const info = await this.call('GET /info', () => this.docker.info() as Promise<{ ID?: string; ServerVersion?: string; Swarm?: { Cluster?: { ID?: string } } }>);
    const isUcp = version.Version.includes('ucp/') || (info.ServerVersion ?? '').includes('ucp/');
    return { serverVersion: version.Version, isUcp, clusterId: isUcp ? info.ID : info.Swarm?.Cluster?.ID };
  }

  async containers(filter: { name?: string; labels?: string[] } = {}): Promise<ContainerSummary[]> {
    const filters = filter.labels === undefined ? undefined : { label: filter.labels };
    const found = await this.call('list containers', () => this.docker.listContainers({ all: true, filters }));
    return found
      .map((c) => ({ id: c.Id, names: c.Names.map(bareName), image: c.Image, state: c.State, status: c.Status, labels: c.Labels ?? {} }))
      // Not by the engine, whose filter is a regular expression.
      .filter((c) => filter.name === undefined || c.names.some((name) => name.includes(filter.name!)));
  }

  async container(idOrName: string): Promise<ContainerDetails> {
    const found = await this.call(`inspect container ${idOrName}`, () => this.docker.getContainer(idOrName).inspect());
    return {
      id: found.Id,
      name: bareName(found.Name),
      image: found.Config.Image,
      running: found.State.Running,
      env: Object.fromEntries((found.Config.Env ?? []).map(splitEnv)),
      labels: found.Config.Labels ?? {},
      mounts: found.Mounts.map((m) => ({ type: m.Type ?? 'volume', name: m.Name, source: m.Source, destination: m.Destination, driver: m.Driver })),
      node: (found as { Node?: { Name?: string } }).Node?.Name,
      ports: publishedPorts(found.NetworkSettings.Ports, found.HostConfig.PortBindings as PortMap | undefined),
    };
  }

  async startContainer(idOrName: string): Promise<void> {
    await this.call(`start ${idOrName}`, () => this.docker.getContainer(idOrName).start(), [304]);
  }

  async stopContainer(idOrName: string, timeoutSeconds = 10): Promise<void> {
    const patient = this.client(timeoutSeconds * 1000 + CALL_TIMEOUT_MS);
    await this.call(`stop ${idOrName}`, () => patient.getContainer(idOrName).stop({ t: timeoutSeconds }), [304]);
  }

  async removeContainer(idOrName: string, options: { force?: boolean } = {}): Promise<void> {
    try {
      await this.call(`remove ${idOrName}`, () => this.docker.getContainer(idOrName).remove({ force: options.force ?? false, v: true }), [404]);
    } catch (error) {
      if (!(error instanceof DrydockError && /already in progress/.test(error.message))) throw error;
    }
  }

  async run(options: RunOptions): Promise<RunResult> {
    return this.hidingEnv(options, async () => {
      options.signal?.throwIfAborted();
      return runAttached(this.transport, await this.create(options, options.stdin !== undefined), options);
    });
  }

  async start(options: StartOptions): Promise<string> {
    return this.hidingEnv(options, async () => {
      options.signal?.throwIfAborted();
      const container = await this.create(options, false);
      try {
        await container.start();
        return container.id;
      } catch (error) {
        await container.discard();
        throw error;
      }
    });
  }

  async exec(id: string, command: string[], signal?: AbortSignal): Promise<ContainerCommand> {
    const created = await this.call(`prepare a command in ${id}`, () =>
      this.docker.getContainer(id).exec({ Cmd: command, AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: false, User: '0' }),
    );
    return startCommand(this.transport, created.id, () => this.call('inspect exec', () => created.inspect()), signal);
  }

  async volume(name: string): Promise<VolumeDetails | null> {
    const found = await this.call(`inspect volume ${name}`, () => this.docker.getVolume(name).inspect(), [404]);
    if (found === undefined) return null;
    return { name: found.Name, driver: found.Driver, mountpoint: found.Mountpoint, options: found.Options ?? {}, labels: found.Labels ?? {} };
  }

  async volumes(): Promise<{ name: string; driver: string }[]> {
    const found = await this.call('list volumes', () => this.docker.listVolumes());
    return (found.Volumes ?? []).map((volume) => ({ name: volume.Name, driver: volume.Driver }));
  }

  async removeVolume(name: string): Promise<void> {
    await this.call(`remove volume ${name}`, () => this.docker.getVolume(name).remove(), [404]);
  }

  async nodes(): Promise<NodeDetails[]> {
    const found = (await this.call('list nodes', () => this.docker.listNodes())) as RawNode[];
    return found.map((node) => ({
      id: node.ID,
      hostname: node.Description?.Hostname ?? '',
      state: node.Status?.State ?? 'unknown',
      availability: node.Spec?.Availability ?? '',
      role: roleOf(node),
      address: addressOf(node),
    }));
  }

  async removeNode(id: string): Promise<void> {
    await this.call(`remove node ${id}`, () => this.docker.getNode(id).remove({ force: true }), [404]);
  }

  async hasImage(reference: string, node?: string): Promise<boolean> {
    if (node === undefined) return (await this.call(`inspect image ${reference}`, () => this.docker.getImage(reference).inspect(), [404])) !== undefined;
    // Only the list can be asked of one node.
    const found = await this.call(`list images of ${node}`, () => this.docker.listImages({ filters: { node: [node] } }));
    return found.some(({ RepoTags, RepoDigests }) => [...(RepoTags ?? []), ...(RepoDigests ?? [])].includes(reference));
  }

  async pullImage(reference: string, { signal, onProgress, silenceMs = PULL_SILENCE_MS }: PullOptions = {}): Promise<void> {
    const patient = this.client(silenceMs);
    const progress = await this.call(`pull ${reference}`, () => patient.pull(reference, { abortSignal: signal }) as Promise<Readable>);
    const said = await this.call(`pull ${reference}`, () => readProgress(progress, onProgress, silenceMs));
    if (said !== undefined) throw notPulled(reference, said);
  }

  close(): void {
    this.agent.destroy();
  }

  private async create(options: StartOptions, stdin: boolean): Promise<Created> {
    const env = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`);
    if (options.node !== undefined) env.push(`constraint:node==${options.node}`);
    const created = await this.call(`create a container of ${options.image}`, () =>
      this.docker.createContainer({
        Image: options.image, Cmd: options.command, Entrypoint: options.entrypoint, Env: env, Labels: options.labels, Tty: false,
        OpenStdin: stdin, StdinOnce: stdin, AttachStdin: stdin, AttachStdout: true, AttachStderr: true,
        // Logs of these containers hold key material; the engine must not keep them.
        HostConfig: { AutoRemove: true, LogConfig: { Type: 'none', Config: {} }, SecurityOpt: options.securityOpt, Binds: options.binds, NetworkMode: options.network },
      }),
    );
    return { id: created.id, start: () => this.startContainer(created.id), discard: () => this.discard(created.id) };
  }

  /** Ends and removes a container of ours; what cannot be reached now is found by its label later. */
  private async discard(id: string): Promise<void> {
    await this.docker.getContainer(id).kill().catch(() => undefined);
    await this.docker.getContainer(id).remove({ force: true, v: true }).catch(() => undefined);
    // AutoRemove may be at work already: then it is gone a moment later.
    for (let n = 0; n < DISCARD_LOOKS; n++) {
      const left = await this.docker.getContainer(id).inspect().catch(() => undefined);
      if (left === undefined) return;
      await sleep(100);
    }
  }

  private client(timeoutMs: number): Docker {
    const { socketPath, host, port } = this.address;
    // All are named, so that DOCKER_HOST and its like in the worker's environment have no say; TLS is the agent's matter.
    return new Docker({
      socketPath, host, port, agent: this.agent, timeout: timeoutMs,
      protocol: socketPath === undefined ? 'https' : 'http', ca: undefined, cert: undefined, key: undefined, pathPrefix: '/',
    } as Docker.DockerOptions);
  }

  /** Runs a call; statuses in `fine` give undefined instead of an error. */
  private call<T>(what: string, work: () => Promise<T>): Promise<T>;
  private call<T>(what: string, work: () => Promise<T>, fine: number[]): Promise<T | undefined>;
  private async call<T>(what: string, work: () => Promise<T>, fine: number[] = []): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (fine.includes((error as { statusCode?: number }).statusCode ?? 0)) return undefined;
      throw dockerError(error, what, this.transport.where);
    }
  }

  private async hidingEnv<T>(options: { env?: Record<string, string> }, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw withoutSecrets(error, Object.values(options.env ?? {}));
    }
  }
}

interface RawNode {
  ID: string;
  Description?: { Hostname?: string };
  Status?: { State?: string; Addr?: string };
  /** Of managers alone. */
  ManagerStatus?: { Addr?: string } | null;
  Spec?: { Availability?: string; Role?: string };
}

/** One that `--force-new-cluster` has left behind still calls itself a manager, and has no status as one. */
function roleOf({ Spec, ManagerStatus }: RawNode): string {
  return Spec?.Role === 'manager' && (ManagerStatus ?? null) === null ? 'worker' : (Spec?.Role ?? '');
}

/** Where others reach a member; '' where it is not known. The leader may be listed as it sees itself (moby#35437), and its true address is where managers meet. */
function addressOf({ Status, ManagerStatus }: RawNode): string {
  const own = Status?.Addr ?? '';
  const isOwnView = /^(|0\.0\.0\.0|::|127\..*|::1)$/.test(own);
  const met = isOwnView ? (ManagerStatus?.Addr ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1') : '';
  if (met !== '') return met;
  return /^(0\.0\.0\.0|::)$/.test(own) ? '' : own;
}

type PortMap = Record<string, { HostPort?: string }[] | null>;

/** Container port (TCP by its number, others like `53/udp`) -> host port; of a stopped container what it will publish. */
function publishedPorts(current: PortMap | undefined, wanted: PortMap | undefined): Record<string, number> {
  const ports: Record<string, number> = {};
  for (const map of [wanted, current]) {
    for (const [port, bindings] of Object.entries(map ?? {})) {
      const hostPort = Number(bindings?.[0]?.HostPort);
      if (hostPort > 0) ports[port.replace(/\/tcp$/, '')] = hostPort;
    }
  }
  return ports;
}

function bareName(name: string): string {
  return name.replace(/^\//, '');
}

function splitEnv(entry: string): [string, string] {
  const at = entry.indexOf('=');
  return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
}
