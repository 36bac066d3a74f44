import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import { readBody } from './http';

/** The engine (or UCP) refused a call. */
export class DockerError extends Error {
  override readonly name = 'DockerError';
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export interface ContainerRow {
  Id: string;
  Names: string[];
  Image: string;
  State: string;
  Labels: Record<string, string> | null;
  Ports?: { PublicPort?: number }[];
}

export interface ContainerInspect {
  Id: string;
  Name: string;
  Config: { Image: string; Env: string[]; Labels: Record<string, string> | null };
  State: { Running: boolean; ExitCode: number };
  NetworkSettings: { Networks: Record<string, { IPAddress?: string }> };
}

export interface ContainerSpec {
  Image: string;
  Cmd?: string[];
  Entrypoint?: string[];
  Env?: string[];
  User?: string;
  Labels?: Record<string, string>;
  Hostname?: string;
  OpenStdin?: boolean;
  StdinOnce?: boolean;
  AttachStdin?: boolean;
  AttachStdout?: boolean;
  AttachStderr?: boolean;
  ExposedPorts?: Record<string, object>;
  Healthcheck?: { Test: string[]; Interval: number; Timeout: number; Retries: number };
  HostConfig: {
    Binds?: string[];
    NetworkMode?: string;
    LogConfig?: { Type: string; Config?: Record<string, string> };
    PortBindings?: Record<string, { HostPort: string }[]>;
    RestartPolicy?: { Name: string };
  };
}

export interface VolumeRow {
  Name: string;
  Driver: string;
  Options: Record<string, string> | null;
}

type Target = { socketPath: string } | { host: string; port: number; ca?: string; insecure: boolean; token: string };

/** The few calls of the Docker API that the bootstrapper makes: on a node's socket, or through UCP with a session token. */
export class Docker {
  constructor(private readonly target: Target) {}

  static local(): Docker {
    return new Docker({ socketPath: '/var/run/docker.sock' });
  }

  containers(filter?: string): Promise<ContainerRow[]> {
    const filters = filter ? `&filters=${encodeURIComponent(JSON.stringify({ name: [filter] }))}` : '';
    return this.json('GET', `/containers/json?all=1${filters}`);
  }

  inspect(id: string): Promise<ContainerInspect> {
    return this.json('GET', `/containers/${id}/json`);
  }

  async create(name: string, spec: ContainerSpec): Promise<string> {
    return (await this.json<{ Id: string }>('POST', `/containers/create?name=${encodeURIComponent(name)}`, spec)).Id;
  }

  async start(id: string): Promise<void> {
    await this.json('POST', `/containers/${id}/start`);
  }

  async stop(id: string, seconds = 3): Promise<void> {
    await this.json('POST', `/containers/${id}/stop?t=${seconds}`);
  }

  /** Not there counts as success. */
  async remove(id: string): Promise<void> {
    await this.json('DELETE', `/containers/${id}?force=1`).catch(ignoreMissing);
  }

  /** Resolves with the exit status; ask before `start`, so that a quick end is not missed. */
  async wait(id: string): Promise<number> {
    return (await this.json<{ StatusCode: number }>('POST', `/containers/${id}/wait?condition=next-exit`)).StatusCode;
  }

  /** Resolves with the exit status of a container that may have ended already. */
  async waitEnded(id: string): Promise<number> {
    return (await this.json<{ StatusCode: number }>('POST', `/containers/${id}/wait`)).StatusCode;
  }

  async volumes(): Promise<VolumeRow[]> {
    return (await this.json<{ Volumes: VolumeRow[] | null }>('GET', '/volumes')).Volumes ?? [];
  }

  async createVolume(name: string, options: Record<string, string> = {}): Promise<void> {
    await this.json('POST', '/volumes/create', { Name: name, Driver: 'local', DriverOpts: options });
  }

  /** Not there counts as success. */
  async removeVolume(name: string): Promise<void> {
    await this.json('DELETE', `/volumes/${name}?force=1`).catch(ignoreMissing);
  }

  /** Opens all three streams of a container that has not started yet. */
  attach(id: string): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      const request = this.open('POST', `/containers/${id}/attach?stream=1&stdin=1&stdout=1&stderr=1`, { connection: 'Upgrade', upgrade: 'tcp' });
      request.on('upgrade', (_response, socket, head) => {
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      });
      request.on('response', (response) => reject(new DockerError(response.statusCode ?? 0, 'attach was refused')));
      request.on('error', reject);
      request.end();
    });
  }

  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const payload = body === undefined ? undefined : JSON.stringify(body);
      const headers: Record<string, string> = payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(payload)) };
      const request = this.open(method, path, headers);
      request.on('response', resolve);
      request.on('error', reject);
      request.end(payload);
    });
    const text = (await readBody(response, 64 << 20)).toString();
    const status = response.statusCode ?? 0;
    if (status >= 400) throw new DockerError(status, errorText(text));
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  private open(method: string, path: string, headers: Record<string, string>): http.ClientRequest {
    const target = this.target;
    if ('socketPath' in target) return http.request({ socketPath: target.socketPath, method, path: `/v1.41${path}`, headers: { host: 'docker', ...headers }, agent: false });
    return https.request({
      host: target.host,
      port: target.port,
      method,
      path: `/v1.41${path}`,
      headers: { ...headers, authorization: `Bearer ${target.token}` },
      agent: false,
      ...(target.ca ? { ca: target.ca } : {}),
      rejectUnauthorized: !target.insecure,
    });
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof DockerError) || error.status !== 404) throw error;
}

function errorText(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text.trim();
  }
}

/** Splits an attached stream without a terminal into its two outputs: frames of an 8-byte header (stream, length) and data. */
export async function demultiplex(stream: AsyncIterable<Buffer>, onData: (output: 'stdout' | 'stderr', data: Buffer) => Promise<void>): Promise<void> {
  let header = Buffer.alloc(0);
  let left = 0;
  let output: 'stdout' | 'stderr' = 'stdout';
  for await (const chunk of stream) {
    let rest = chunk;
    while (rest.length > 0) {
      if (left === 0) {
        const wanted = 8 - header.length;
        header = Buffer.concat([header, rest.subarray(0, wanted)]);
        rest = rest.subarray(wanted);
        if (header.length < 8) break;
        output = header[0] === 2 ? 'stderr' : 'stdout';
        left = header.readUInt32BE(4);
        header = Buffer.alloc(0);
        continue;
      }
      const part = rest.subarray(0, left);
      rest = rest.subarray(part.length);
      left -= part.length;
      await onData(output, part);
    }
  }
}
