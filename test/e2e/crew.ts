/** A lab with a real Temporal server and workers as processes of their own, which tests may kill. */
import { spawnSync } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import type { BackupResult } from '../../domain/contract';
import type { DtrVersion } from '../../lab/contract';
import { pushToLab } from '../../lab/cli/push';
import type { PushReport } from '../../lab/push/push';
import { drydock, start, type Finished, type Running } from '../client/fixtures/drydock';
import { temporal, unique } from '../helpers/temporal';
import { DtrLab } from '../lab/dtr-lab';

export interface Cron {
  action: string;
  schedule: string;
  retries: number;
  deadline: string;
  parameters: unknown;
}

export interface CrewOptions {
  address?: string;
  prepare?: (dtr: DtrLab) => Promise<void>;
}

/** The lab's cluster as it stands in drydock.yaml, as far as tests change it. */
export interface SiteConfig {
  ucp: { urls: string[] } & Record<string, unknown>;
  hosts: Record<string, Record<string, unknown>>;
  [setting: string]: unknown;
}

/** drydock.yaml, as far as tests change it. */
export interface LabConfig {
  vaults: Record<string, object>;
  clusters: { lab: SiteConfig } & Record<string, SiteConfig>;
}

/** Changes the lab's drydock.yaml, which a worker reads when it starts. */
export async function editConfig({ lab }: DtrLab, change: (config: LabConfig) => void): Promise<void> {
  const file = lab.state.file('drydock.yaml');
  const config = parse(await readFile(file, 'utf8')) as LabConfig;
  change(config);
  await writeFile(file, stringify(config), { mode: 0o600 });
}

export class Crew {
  private worker: Running | undefined;

  private constructor(
    readonly dtr: DtrLab,
    readonly env: NodeJS.ProcessEnv,
  ) {}

  /** `address` names another Temporal server than the tests' own; `prepare` runs before the worker reads its configuration. */
  static async start(name: string, version: DtrVersion, replicas = 1, storage: 'local' | 'nfs' = 'local', options: CrewOptions = {}): Promise<Crew> {
    const address = options.address ?? (await temporal()).connection.options.address;
    const dtr = await DtrLab.start(name, version, replicas, storage);
    const crew = new Crew(dtr, { DRYDOCK_CONFIG: dtr.lab.state.file('drydock.yaml'), TEMPORAL_ADDRESS: address });
    await options.prepare?.(dtr);
    await crew.startWorker();
    return crew;
  }

  /** Gives the worker, and all commands, further clusters: the same site under other settings, each with a vault of its own. Ends the worker. */
  async addClusters(change: (site: SiteConfig) => Record<string, object>): Promise<void> {
    await this.killWorker('SIGTERM');
    const config = parse(await readFile(this.dtr.lab.state.file('drydock.yaml'), 'utf8')) as { vaults: Record<string, object>; clusters: { lab: SiteConfig } & Record<string, object> };
    for (const [name, settings] of Object.entries(change(config.clusters.lab))) {
      config.vaults[name] = { directory: this.vaultOf(name) };
      config.clusters[name] = { ...config.clusters.lab, ...settings, vault: name };
    }
    const file = this.dtr.file('drydock.yaml');
    await writeFile(file, stringify(config));
    this.env.DRYDOCK_CONFIG = file;
  }

  vaultOf(cluster: string): string {
    return cluster === 'lab' ? this.vault : this.dtr.file(`vault-${cluster}`);
  }

  async stop(): Promise<void> {
    await this.killWorker('SIGTERM');
    await this.dtr.stop();
  }

  async startWorker(env: NodeJS.ProcessEnv = {}): Promise<void> {
    this.worker = start(['worker'], { ...this.env, ...env });
    await this.worker.said('listen');
  }

  /** Returns what the worker had logged. */
  async killWorker(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<string> {
    const worker = this.worker;
    this.worker = undefined;
    if (!worker) return '';
    worker.child.kill(signal);
    const { stdout, stderr } = await worker.finished;
    return stdout + stderr;
  }

  command(...args: string[]): Promise<Finished> {
    return drydock(args, this.env);
  }

  launch(...args: string[]): Running {
    return start(args, this.env);
  }

  /** Runs a backup to its end; `code` is the exit status that is expected. */
  async backup(code = 0): Promise<BackupResult & { workflowId: string }> {
    return resultOf(await this.command('backup', 'lab', '--json'), code);
  }

  push(seed: number, mib = 8): Promise<PushReport> {
    return pushToLab(this.dtr.lab, { repos: 3, tags: 2, mib, seed, client: 'direct' });
  }

  async crons(): Promise<Cron[]> {
    const { body } = await this.dtr.api<{ crons: Cron[] }>('GET', '/api/v0/crons');
    return body.crons.map(({ action, schedule, retries, deadline, parameters }) => ({ action, schedule, retries, deadline, parameters }));
  }

  async knobs(knobs: Record<string, number>): Promise<void> {
    const { status } = await this.dtr.api('PUT', '/api/v0/lab/knobs', knobs);
    if (status !== 200) throw new Error(`the lab's switches answered ${status}`);
  }

  get vault(): string {
    return this.dtr.lab.state.file('vault');
  }

  /** Names of all files in a vault. */
  async vaultFiles(vault = this.vault): Promise<string[]> {
    const names = await readdir(vault, { recursive: true, withFileTypes: true });
    return names.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  }

  /** All that is secret in the lab: what must be found nowhere. */
  async secrets(): Promise<string[]> {
    const folder = this.dtr.lab.state.file('passwords');
    return Promise.all((await readdir(folder)).map(async (name) => (await readFile(path.join(folder, name), 'utf8')).trim()));
  }

  /** Plain content of an encrypted file, by gpg alone. */
  gpg(file: string): Buffer {
    const passphrase = this.dtr.lab.state.file('passwords', 'vault-passphrase');
    const { status, stdout, stderr } = spawnSync('gpg', ['--batch', '--quiet', '--pinentry-mode', 'loopback', '--passphrase-file', passphrase, '--homedir', this.dtr.file('gnupg'), '--decrypt', file], { maxBuffer: 1 << 30 });
    if (status !== 0) throw new Error(`gpg: ${stderr.toString()}`);
    return stdout;
  }
}

export function resultOf<T>({ code, stdout, stderr }: Finished, expected: number): T {
  if (code !== expected) throw new Error(`ended with ${code} instead of ${expected}: ${stdout}${stderr}`);
  return JSON.parse(stdout) as T;
}

export { unique };
