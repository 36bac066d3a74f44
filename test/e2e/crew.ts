/** A lab with a real Temporal server and workers as processes of their own, which tests may kill. */
import { spawnSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
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

  async stop(): Promise<void> {
    await this.killWorker('SIGTERM');
    await this.dtr.stop();
  }

  async startWorker(): Promise<void> {
    this.worker = start(['worker'], this.env);
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

  /** Names of all files in the vault. */
  async vaultFiles(): Promise<string[]> {
    const names = await readdir(this.vault, { recursive: true, withFileTypes: true });
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
