/** Talks to the lab's UCP as a person would: log in, fetch a client bundle, use the Docker client with it. */
import { mkdir, readFile } from 'node:fs/promises';
import https from 'node:https';
import { promisify } from 'node:util';
import { fromBuffer, type Entry, type ZipFile } from 'yauzl';
import type { LabNames } from '../contract';
import { ADMIN, UCP_PORT } from '../contract';
import { type CommandOptions, type CommandResult, LabError, run, waitFor } from '../hosts/process';
import type { StateDir } from '../hosts/state';

const openZip = promisify<Buffer, { lazyEntries: boolean }, ZipFile>(fromBuffer);

export class UcpClient {
  constructor(
    private readonly names: LabNames,
    private readonly state: StateDir,
    private readonly signal?: AbortSignal,
  ) {}

  get url(): string {
    return `https://${this.names.addresses.ucp}`;
  }

  get caFile(): string {
    return this.state.file('ucp', 'ca.pem');
  }

  get bundleDir(): string {
    return this.state.file('bundle');
  }

  async waitUp(): Promise<void> {
    await waitFor('UCP', 60, async () => (await this.call('GET', '/_ping')).status === 200, this.signal);
  }

  /** Fetches a bundle by login and unpacks it into the state directory. */
  async fetchBundle(user: string = ADMIN, directory = this.bundleDir): Promise<void> {
    const token = await this.login(user);
    const { status, body } = await this.call('GET', '/api/clientbundle', { authorization: `Bearer ${token}` });
    if (status !== 200) throw new LabError(`UCP gave no client bundle (${status})`);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const [name, content] of await unzip(body)) await this.state.write(`${directory.slice(this.state.dir.length + 1)}/${name}`, content);
  }

  async login(user: string): Promise<string> {
    const form = JSON.stringify({ username: user, password: await this.state.password(user) });
    const { status, body } = await this.call('POST', '/auth/login', { 'content-type': 'application/json' }, form);
    if (status !== 200) throw new LabError(`UCP refused the login of ${user} (${status})`);
    return (JSON.parse(body.toString('utf8')) as { auth_token: string }).auth_token;
  }

  /** A request to UCP's own API with the administrator's session. */
  async api<T>(method: string, path: string, body?: unknown): Promise<T | undefined> {
    const headers = { authorization: `Bearer ${await this.login(ADMIN)}`, 'content-type': 'application/json' };
    const answer = await this.call(method, path, headers, body === undefined ? undefined : JSON.stringify(body));
    if (answer.status >= 400) throw new LabError(`UCP answered ${answer.status} to ${method} ${path}: ${answer.body.toString('utf8').trim()}`);
    return answer.body.length === 0 ? undefined : (JSON.parse(answer.body.toString('utf8')) as T);
  }

  /** The Docker client through UCP, with the bundle in the environment as `env.sh` sets it. */
  async docker(args: string[], options: CommandOptions = {}): Promise<CommandResult> {
    return await run('docker', args, { ...options, signal: this.signal, env: { ...process.env, ...this.environment(), ...options.env } });
  }

  environment(): NodeJS.ProcessEnv {
    return { DOCKER_HOST: `tcp://${this.names.addresses.ucp}:${UCP_PORT}`, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: this.bundleDir, DOCKER_CONTEXT: undefined };
  }

  private async call(method: string, path: string, headers: Record<string, string> = {}, form?: string): Promise<{ status: number; body: Buffer }> {
    const ca = await readFile(this.caFile);
    return await new Promise((resolve, reject) => {
      const request = https.request({ host: this.names.addresses.ucp, port: UCP_PORT, path, method, headers, ca, agent: false, timeout: 10_000, signal: this.signal }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
        response.on('error', reject);
      });
      request.on('timeout', () => request.destroy(new Error('no answer')));
      request.on('error', reject);
      request.end(form);
    });
  }
}

async function unzip(content: Buffer): Promise<Map<string, Buffer>> {
  const archive = await openZip(content, { lazyEntries: true });
  const files = new Map<string, Buffer>();
  return await new Promise((resolve, reject) => {
    archive.on('error', reject);
    archive.on('end', () => resolve(files));
    archive.on('entry', (entry: Entry) => {
      archive.openReadStream(entry, (error, stream) => {
        if (error !== null) return reject(error);
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          files.set(entry.fileName, Buffer.concat(chunks));
          archive.readEntry();
        });
        return undefined;
      });
    });
    archive.readEntry();
  });
}
