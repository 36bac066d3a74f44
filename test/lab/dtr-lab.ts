/** A lab with a stand-in DTR for one test file, and the ways in which a person would speak to it. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, copyFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bootstrapperImage, type DtrVersion } from '../../lab/contract';
import { openLab, type Lab } from '../../lab/cli/context';
import { up } from '../../lab/cli/up';
import { promisify } from 'node:util';
import { stopLab, type Shell } from './bare-lab';

const execute = promisify(execFile);

export interface Answer<T> {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: T;
}

export class DtrLab {
  private readonly work = mkdtempSync(path.join(tmpdir(), 'dtr-test-'));

  private constructor(
    readonly lab: Lab,
    readonly version: DtrVersion,
    readonly ids: string[],
    private readonly passwords: Record<string, string>,
  ) {
    mkdirSync(path.join(this.work, 'certs'));
    copyFileSync(lab.state.file('dtr-ca.pem'), path.join(this.work, 'certs', 'ca.crt'));
  }

  static async start(name: string, version: DtrVersion, replicas: number, storage: 'local' | 'nfs'): Promise<DtrLab> {
    const lab = openLab(undefined, name);
    const state = await up(lab, { dtr: version, replicas, storage });
    const passwords = { admin: await lab.state.password('admin'), alice: await lab.state.password('alice'), bob: await lab.state.password('bob') };
    return new DtrLab(lab, version, Object.values(state.replicaIds), passwords);
  }

  async stop(): Promise<void> {
    rmSync(this.work, { recursive: true, force: true });
    await stopLab(this.lab);
  }

  get host(): string {
    return this.lab.names.addresses.lb;
  }

  file(name: string): string {
    return path.join(this.work, name);
  }

  /** One bootstrapper command as an administrator; `env` and `input` change how it is run. */
  bootstrapper(args: string[], options: { input?: Buffer; env?: Record<string, string> } = {}): Shell & { output: Buffer } {
    const { run, env } = this.bootstrapperRun(args, options);
    const { status, stdout, stderr } = spawnSync('docker', run, { env, input: options.input ?? Buffer.alloc(0), maxBuffer: 1 << 28, timeout: 180_000 });
    return { code: status ?? -1, stdout: stdout.toString('latin1'), stderr: stderr.toString(), output: stdout };
  }

  /** The same while the test goes on; resolves with standard output, rejects on another status than 0. */
  async bootstrapperInBackground(args: string[]): Promise<Buffer> {
    const { run, env } = this.bootstrapperRun(args, {});
    const { stdout } = await execute('docker', run, { env, encoding: 'buffer', maxBuffer: 1 << 28 });
    return stdout;
  }

  private bootstrapperRun(args: string[], options: { env?: Record<string, string> }): { run: string[]; env: NodeJS.ProcessEnv } {
    const secrets = { UCP_USERNAME: 'admin', UCP_PASSWORD: this.passwords.admin!, UCP_CA: readFileSync(this.lab.ucp.caFile, 'utf8'), ...options.env };
    const names = Object.keys(secrets).flatMap((name) => ['--env', name]);
    const run = ['run', '-i', '--rm', '--log-driver', 'none', '--network', this.lab.names.network, ...names, bootstrapperImage(this.version), ...args, '--ucp-url', this.lab.ucp.url];
    return { run, env: { ...process.env, ...secrets } };
  }

  /** The API with the registry's CA checked. */
  async api<T>(method: string, url: string, body?: unknown, user = 'admin', password = this.passwords[user]!): Promise<Answer<T>> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const ca = readFileSync(this.lab.state.file('dtr-ca.pem'));
    return new Promise((resolve, reject) => {
      const request = https.request({ host: this.host, path: url, method, ca, auth: `${user}:${password}`, agent: false, headers: payload === undefined ? {} : { 'content-type': 'application/json' } }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: (text === '' ? undefined : JSON.parse(text)) as T }));
      });
      request.on('error', reject);
      request.end(payload);
    });
  }

  /** Copies between a directory and the registry. */
  push(folder: string, image: string, user = 'admin'): Shell {
    return this.skopeo(this.pushArguments(folder, image, user));
  }

  async pushInBackground(folder: string, image: string): Promise<void> {
    await execute('skopeo', this.pushArguments(folder, image, 'admin'));
  }

  private pushArguments(folder: string, image: string, user: string): string[] {
    return ['copy', '--dest-creds', `${user}:${this.passwords[user]}`, '--dest-cert-dir', this.file('certs'), `dir:${this.file(folder)}`, `docker://${this.host}/${image}`];
  }

  /** With '' for a user: without a login. */
  pull(image: string, folder: string, user = 'admin'): Shell {
    rmSync(this.file(folder), { recursive: true, force: true });
    return this.skopeo(['copy', ...(user === '' ? [] : ['--src-creds', `${user}:${this.passwords[user]}`]), '--src-cert-dir', this.file('certs'), `docker://${this.host}/${image}`, `dir:${this.file(folder)}`]);
  }

  private skopeo(args: string[]): Shell {
    const { status, stdout, stderr } = spawnSync('skopeo', args, { timeout: 60_000 });
    return { code: status ?? -1, stdout: stdout.toString(), stderr: stderr.toString() };
  }

  /** A command as root on a host. */
  on(host: 'ucp' | 'node-1' | 'node-2' | 'node-3', command: string, input?: Buffer): Shell & { output: Buffer } {
    const { status, stdout, stderr } = spawnSync('docker', ['exec', '-i', this.lab.names.container(host), 'sh', '-c', command], { input: input ?? Buffer.alloc(0), maxBuffer: 1 << 28, timeout: 60_000 });
    return { code: status ?? -1, stdout: stdout.toString('latin1'), stderr: stderr.toString(), output: stdout };
  }
}
