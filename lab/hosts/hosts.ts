/** The lab's hosts as containers of the machine's engine: made, killed, cut off, brought back, rebuilt. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { LabNames, NodeName } from '../contract';
import { NFS_MOUNT, NODES } from '../contract';
import { HOST_IMAGE, SERVICE_IMAGE } from './image';
import { docker, LabError, run, waitFor } from './process';
import { copySeed } from './seed';
import { putFiles, type StateDir, SUDO_NODE, SUDO_USER, sshUser } from './state';

export type HostName = NodeName | 'ucp';

export const HOSTS: readonly HostName[] = ['ucp', ...NODES];
/** Label of all that a lab makes on the machine's engine; the value is the lab's name. */
export const LAB_LABEL = 'drydock.lab';

/** On a host: ids of the containers that `heal` has to start. */
const TO_START = '/etc/lab/to-start';

/** State of a host's container as the machine's engine tells it. */
export type HostState = 'running' | 'cut off' | 'stopped' | 'missing';

export class Hosts {
  constructor(
    readonly names: LabNames,
    private readonly state: StateDir,
    private readonly signal?: AbortSignal,
  ) {}

  async createNetwork(): Promise<void> {
    const { network, subnet, gateway } = this.names;
    await this.docker(['network', 'create', '--label', this.label, '--subnet', subnet, '--gateway', gateway, network]);
    await this.docker(['volume', 'create', '--label', this.label, this.names.nfsVolume]);
  }

  /** A host with an engine that holds the seed's images (or none). Its keys stand in the state directory. */
  async create(host: HostName, seed: string | undefined): Promise<void> {
    const volume = this.engineVolume(host);
    await this.docker(['volume', 'create', '--label', this.label, volume]);
    if (seed !== undefined) await copySeed(seed, volume, this.names.name, this.signal);
    const container = this.names.container(host);
    await this.docker([
      'create', '--name', container, '--hostname', host, '--label', this.label, '--label', `drydock.lab.host=${host}`,
      '--network', this.names.network, '--ip', this.names.addresses[host], '--network-alias', host,
      ...(await this.privileges()),
      '--tmpfs', '/run:exec', '--volume', `${volume}:/var/lib/docker`,
      ...(host === 'ucp' ? [] : ['--volume', `${this.names.nfsVolume}:${NFS_MOUNT}`]),
      '--log-opt', 'max-size=10m', '--restart', 'no',
      host === 'ucp' ? SERVICE_IMAGE : HOST_IMAGE,
    ]); // prettier-ignore
    await putFiles(container, '/etc/lab', await this.hostFiles(host), this.signal);
    if (host === 'ucp') await putFiles(container, '/etc/lab/ucp', await this.ucpFiles(), this.signal);
    await this.docker(['start', container]);
  }

  /** Waits until the host's engine answers. */
  async waitEngine(host: HostName, seconds = 60): Promise<void> {
    await waitFor(`the engine of ${host}`, seconds, async () => (await this.exec(host, ['docker', 'info', '--format', '{{.ID}}'], [0, 1])).code === 0, this.signal);
  }

  /** Runs a command on a host as root. */
  async exec(host: HostName, command: string[], okCodes: number[] = [0]): Promise<{ code: number; stdout: string }> {
    this.signal?.throwIfAborted();
    const { code, stdout } = await run('docker', ['exec', this.names.container(host), ...command], { okCodes });
    return { code, stdout: stdout.trim() };
  }

  async hostState(host: HostName): Promise<HostState> {
    const format = `{{.State.Running}} {{len .NetworkSettings.Networks}}`;
    const { code, stdout } = await run('docker', ['inspect', '--type', 'container', '--format', format, this.names.container(host)], { okCodes: [0, 1] });
    if (code !== 0) return 'missing';
    const [running, networks] = stdout.trim().split(' ');
    if (running !== 'true') return 'stopped';
    return networks === '0' ? 'cut off' : 'running';
  }

  /** Power off, without a word to anyone. One that is off already stays so. */
  async kill(host: NodeName): Promise<void> {
    if ((await this.hostState(host)) === 'stopped') return;
    await this.docker(['kill', this.names.container(host)]);
  }

  /** The host runs on, but no packet reaches it. */
  async cut(host: NodeName): Promise<void> {
    await this.docker(['network', 'disconnect', this.names.network, this.names.container(host)]);
  }

  async reconnect(host: NodeName): Promise<void> {
    await this.docker(['network', 'connect', '--ip', this.names.addresses[host], '--alias', host, this.names.network, this.names.container(host)]);
  }

  async start(host: NodeName): Promise<void> {
    await this.docker(['start', this.names.container(host)]);
  }

  /** An orderly restart; `heal` then starts what ran. */
  async restart(host: NodeName): Promise<void> {
    await this.noteToStart(host, await this.running(host));
    await this.docker(['restart', '-t', '20', this.names.container(host)]);
  }

  /** Full ids of the running containers on a host's engine; `name` filters by substring. */
  async running(host: NodeName, name = ''): Promise<string[]> {
    const { stdout } = await this.exec(host, ['docker', 'ps', '--quiet', '--no-trunc', '--filter', `name=${name}`]);
    return stdout.split('\n').filter((line) => line !== '');
  }

  /** Notes on the host which containers `heal` has to start although they look as if a person had stopped them. */
  async noteToStart(host: NodeName, ids: string[]): Promise<void> {
    if (ids.length > 0) await this.exec(host, ['sh', '-c', 'printf "%s\\n" "$@" >> "$0"', TO_START, ...ids]);
  }

  /** What was noted; it is forgotten with the reading. */
  async takeNoted(host: NodeName): Promise<string[]> {
    const { stdout } = await this.exec(host, ['sh', '-c', 'cat "$0" 2>/dev/null; rm -f "$0"', TO_START]);
    return stdout.split('\n').filter((line) => line !== '');
  }

  /** Removes a host with its engine and all that it held; the NFS export is not on it. */
  async remove(host: HostName): Promise<void> {
    await this.docker(['rm', '--force', '--volumes', this.names.container(host)]);
    await this.docker(['volume', 'rm', '--force', this.engineVolume(host)]);
  }

  async createLoadBalancer(httpsPort = 443): Promise<void> {
    const targets = NODES.map((node) => `${this.names.addresses[node]}:${httpsPort}`);
    await this.docker([
      'run', '--detach', '--name', this.names.container('lb'), '--hostname', 'lb', '--label', this.label, '--network', this.names.network, '--ip', this.names.addresses.lb,
      '--log-opt', 'max-size=10m', '--entrypoint', 'tini', SERVICE_IMAGE, '--', 'node', '/opt/lab/lb.js', '443', ...targets,
    ]); // prettier-ignore
  }

  /** Everything of this lab on the machine's engine, found by label; nothing else is touched. */
  async removeAll(): Promise<void> {
    const filter = `label=${this.label}`;
    const list = async (...args: string[]): Promise<string[]> => (await docker([...args, '--quiet', '--filter', filter])).split('\n').filter((line) => line !== '');
    const containers = await list('ps', '--all');
    if (containers.length > 0) await docker(['rm', '--force', '--volumes', ...containers]);
    const volumes = await list('volume', 'ls');
    if (volumes.length > 0) await docker(['volume', 'rm', '--force', ...volumes]);
    const networks = await list('network', 'ls');
    if (networks.length > 0) await docker(['network', 'rm', ...networks]);
  }

  async exists(): Promise<boolean> {
    return (await docker(['ps', '--all', '--quiet', '--filter', `label=${this.label}`])) !== '';
  }

  private get label(): string {
    return `${LAB_LABEL}=${this.names.name}`;
  }

  private engineVolume(host: HostName): string {
    return `${this.names.container(host)}-engine`;
  }

  /** Stops between commands, never within one: an engine would finish behind our back what its client no longer waits for. */
  private async docker(args: string[]): Promise<string> {
    this.signal?.throwIfAborted();
    return await docker(args);
  }

  /** What an engine in a container needs; plain `--privileged` fails where the machine itself lacks a capability. */
  private async privileges(): Promise<string[]> {
    const cgroups = await this.docker(['info', '--format', '{{.CgroupVersion}}']);
    return [
      '--cap-add', 'ALL', '--cap-drop', 'SYS_RESOURCE',
      '--security-opt', 'seccomp=unconfined', '--security-opt', 'apparmor=unconfined', '--security-opt', 'systempaths=unconfined',
      ...(cgroups === '2' ? ['--cgroupns', 'private'] : ['--cgroupns', 'host', '--volume', '/sys/fs/cgroup:/sys/fs/cgroup:rw']),
      ...(existsSync('/lib/modules') ? ['--volume', '/lib/modules:/lib/modules:ro'] : []),
    ]; // prettier-ignore
  }

  private async hostFiles(host: HostName): Promise<Record<string, string | Buffer>> {
    const read = (...parts: string[]): Promise<Buffer> => readFile(this.state.file(...parts));
    return {
      'host.env': `LAB_SSH_USER=${sshUser(host)}\n`,
      ssh_host_ed25519_key: await read('hosts', host, 'ssh_host_ed25519_key'),
      authorized_keys: await read('ssh', 'id_ed25519.pub'),
      'engine-ca.pem': await read('engine', 'ca.pem'),
      'engine-cert.pem': await read('hosts', host, 'engine-cert.pem'),
      'engine-key.pem': await read('hosts', host, 'engine-key.pem'),
      ...(host === SUDO_NODE ? { chpasswd: `${SUDO_USER}:${await this.state.password(SUDO_USER)}\n` } : {}),
    };
  }

  private async ucpFiles(): Promise<Record<string, string | Buffer>> {
    const read = (...parts: string[]): Promise<Buffer> => readFile(this.state.file(...parts));
    const user = async (name: string, fullName: string, isAdmin = false) => ({ name, fullName, isAdmin, password: await this.state.password(name) });
    return {
      'config.json': JSON.stringify({ address: this.names.addresses.ucp }),
      'accounts.json': JSON.stringify({
        users: [await user('admin', 'Administrator', true), await user('alice', 'Alice Archer'), await user('bob', 'Bob Baker')],
        orgs: [
          { name: 'acme', fullName: 'Acme Products', admins: ['alice'], teams: [{ name: 'developers', members: ['alice', 'bob'] }] },
          { name: 'infra', fullName: 'Infrastructure', admins: [], teams: [{ name: 'operators', members: ['bob'] }] },
        ],
      }),
      'ca.pem': await read('ucp', 'ca.pem'),
      'ca.key': await read('ucp', 'ca.key'),
      'server-cert.pem': await read('ucp', 'server-cert.pem'),
      'server-key.pem': await read('ucp', 'server-key.pem'),
      'engine-ca.pem': await read('engine', 'ca.pem'),
      'engine-cert.pem': await read('ucp', 'engine-cert.pem'),
      'engine-key.pem': await read('ucp', 'engine-key.pem'),
    };
  }
}

/** The node of that name; throws LabError with the names that exist. */
export function nodeName(value: string): NodeName {
  const node = NODES.find((candidate) => candidate === value);
  if (node === undefined) throw new LabError(`there is no node ${value}; the nodes are ${NODES.join(', ')}`);
  return node;
}
