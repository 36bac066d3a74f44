/** The lab's files on the machine: keys, certificates, passwords and what was asked for. All 0700/0600. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pack } from 'tar-stream';
import type { DtrVersion, LabNames, NodeName } from '../contract';
import { NODES } from '../contract';
import { HOST_IMAGE } from './image';
import { docker, run, runBinary } from './process';

/** What `up` was asked for and what it made; in state.json. */
export interface LabState {
  /** Absent: hosts, Swarm and UCP only. */
  dtr?: DtrVersion;
  replicas: number;
  storage: 'local' | 'nfs';
  /** Replica id by node. */
  replicaIds: Partial<Record<NodeName, string>>;
  /** False while `up` is at work or was broken off. */
  complete: boolean;
}

/** Users that the lab makes in UCP; each has a file `passwords/<name>`. */
export const USERS = ['admin', 'alice', 'bob'] as const;
/** On this node the SSH login is an ordinary user whose sudo asks for a password. */
export const SUDO_NODE: NodeName = 'node-3';
export const SUDO_USER = 'ops';

export function sshUser(host: NodeName | 'ucp'): string {
  return host === SUDO_NODE ? SUDO_USER : 'root';
}

export class StateDir {
  constructor(readonly dir: string) {}

  file(...parts: string[]): string {
    return path.join(this.dir, ...parts);
  }

  get exists(): boolean {
    return existsSync(this.file('state.json'));
  }

  async read(): Promise<LabState> {
    return JSON.parse(await readFile(this.file('state.json'), 'utf8')) as LabState;
  }

  async save(state: LabState): Promise<void> {
    await this.write('state.json', `${JSON.stringify(state, null, 2)}\n`);
  }

  async write(name: string, content: string | Buffer): Promise<string> {
    const file = this.file(name);
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, content, { mode: 0o600 });
    return file;
  }

  async password(name: string): Promise<string> {
    return (await readFile(this.file('passwords', name), 'utf8')).trim();
  }

  async remove(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }

  /** Keys and certificates of every host, made in a throw-away container: the machine needs no OpenSSL. */
  async makeKeys(names: LabNames, signal?: AbortSignal): Promise<void> {
    await mkdir(this.dir, { recursive: true, mode: 0o700 });
    const pairs = [...NODES, 'ucp' as const].map((host) => `${host}=${names.addresses[host]}`);
    await this.unpackKeys(names, ['all', ...pairs], signal);
    for (const name of [...USERS, SUDO_USER, 'vault-passphrase']) await this.write(`passwords/${name}`, `${randomBytes(18).toString('base64url')}\n`);
    await this.trustHostKeys(names);
  }

  /** A rebuilt host has a new SSH host key; known_hosts keeps the old one until someone decides otherwise. */
  async renewHostKey(names: LabNames, host: NodeName, signal?: AbortSignal): Promise<void> {
    await rm(this.file('hosts', host, 'ssh_host_ed25519_key'), { force: true });
    await this.unpackKeys(names, ['host-key', host], signal);
  }

  /** `ssh-ed25519 AAAA...` */
  async hostKey(host: NodeName): Promise<string> {
    const [type, key] = (await readFile(this.file('hosts', host, 'ssh_host_ed25519_key.pub'), 'utf8')).split(' ');
    return `${type} ${key}`;
  }

  /** Writes known_hosts from the hosts' present keys. */
  async trustHostKeys(names: LabNames): Promise<void> {
    const lines = await Promise.all(NODES.map(async (node) => `${names.addresses[node]},${node} ${await this.hostKey(node)}\n`));
    await this.write('ssh/known_hosts', lines.join(''));
  }

  private async unpackKeys(names: LabNames, args: string[], signal?: AbortSignal): Promise<void> {
    const tar = await runBinary(
      'docker',
      ['run', '--rm', '--network', 'none', '--label', `drydock.lab=${names.name}`, '--log-driver', 'none', '--entrypoint', 'bash', HOST_IMAGE, '/usr/local/lib/lab/keys.sh', ...args],
      { signal },
    );
    await run('tar', ['-x', '--no-same-owner', '-f', '-', '-C', this.dir], { input: tar, signal });
  }
}

/** Puts files into a container, running or not, as root and 0600. */
export async function putFiles(container: string, directory: string, files: Record<string, string | Buffer>, signal?: AbortSignal): Promise<void> {
  const tar = pack();
  for (const [name, content] of Object.entries(files)) tar.entry({ name: `${directory.replace(/^\//, '')}/${name}`, mode: 0o600 }, content);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  await docker(['cp', '-', `${container}:/`], { input: Buffer.concat(chunks), signal });
}
