/** The engines of all nodes, reached with mutual TLS over the lab's network; the manager's engine knows which nodes there are. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import https from 'node:https';
import { type Duplex, pipeline, type Readable } from 'node:stream';
import { createSecureContext } from 'node:tls';
import { HttpError } from './http';

/** A node of the Swarm as the manager lists it (the part that we use). */
interface SwarmNode {
  ID: string;
  Spec: { Role: string; Availability: string; Labels: Record<string, string> | null };
  Description: { Hostname: string; Resources: { NanoCPUs: number; MemoryBytes: number } };
  Status: { State: string; Addr: string };
  /** Of managers alone: where the others reach it. */
  ManagerStatus?: { Addr: string };
}

export interface Engine {
  /** Swarm host name. */
  name: string;
  nodeId: string;
  address: string;
  worker: boolean;
  /** Takes new containers. */
  active: boolean;
  /** As the Swarm sees it. */
  ready: boolean;
  cpus: number;
  memory: number;
}

export interface EngineRequest {
  method: string;
  path: string;
  headers?: OutgoingHttpHeaders;
  body?: Buffer | Readable;
}

const ENGINE_PORT = 2376;
const CONNECT_MS = 3000;
/** How long the list of nodes counts. */
const NODES_MS = 1000;

export class Engines {
  private readonly agent: https.Agent;
  private nodes: { at: number; list: Promise<Engine[]> } = { at: 0, list: Promise.resolve([]) };

  constructor(
    private readonly managerAddress: string,
    files: { ca: string; cert: string; key: string },
  ) {
    // Keys and certificates are taken in once: anew for each request they cost as much as all else of it.
    const secureContext = createSecureContext({ ca: readFileSync(files.ca), cert: readFileSync(files.cert), key: readFileSync(files.key) });
    // One connection a request: a kept one may be half-closed by a raw stream before.
    this.agent = new https.Agent({ secureContext, keepAlive: false });
  }

  /** All nodes; of two entries with one name (a rebuilt host) the ready one counts. */
  async all(): Promise<Engine[]> {
    if (Date.now() - this.nodes.at > NODES_MS) this.nodes = { at: Date.now(), list: this.readNodes() };
    return await this.nodes.list;
  }

  async ready(): Promise<Engine[]> {
    return (await this.all()).filter((engine) => engine.ready);
  }

  async manager(): Promise<Engine> {
    const manager = (await this.all()).find((engine) => engine.address === this.managerAddress);
    if (manager === undefined) throw new HttpError(500, 'the Swarm has lost the manager that UCP stands on');
    return manager;
  }

  /** The engine of a node by name; throws 404 where there is no such node, 500 where it is down. */
  async named(name: string): Promise<Engine> {
    const engine = (await this.all()).find((candidate) => candidate.name === name);
    if (engine === undefined) throw new HttpError(404, `No such node: ${name}`);
    if (!engine.ready) throw new HttpError(500, `the engine of node ${name} cannot be reached: the node is down`);
    return engine;
  }

  async isNode(name: string): Promise<boolean> {
    return (await this.all()).some((engine) => engine.name === name);
  }

  /** Sends one request and gives the answer with its body unread. */
  async request(engine: Engine, { method, path, headers = {}, body }: EngineRequest): Promise<IncomingMessage> {
    return await new Promise((resolve, reject) => {
      const request = this.open(engine.address, method, path, { ...headers, ...(Buffer.isBuffer(body) ? { 'content-length': body.length } : {}) });
      request.on('response', resolve);
      request.on('error', (cause) => reject(new HttpError(500, `the engine of node ${engine.name} cannot be reached: ${cause.message}`)));
      if (body === undefined || Buffer.isBuffer(body)) request.end(body);
      // A client that goes away in the middle of its upload takes the engine's request with it.
      else pipeline(body, request, () => undefined);
    });
  }

  /** Sends one request that wants to become a raw stream. */
  async upgrade(engine: Engine, { method, path, headers = {}, body }: EngineRequest & { body?: Buffer }): Promise<{ response: IncomingMessage; socket?: Duplex; head: Buffer }> {
    return await new Promise((resolve, reject) => {
      const request = this.open(engine.address, method, path, { ...headers, 'content-length': body?.length ?? 0, connection: 'Upgrade', upgrade: 'tcp' });
      request.on('upgrade', (response, socket, head) => resolve({ response, socket, head }));
      request.on('response', (response) => resolve({ response, head: Buffer.alloc(0) }));
      request.on('error', (cause) => reject(new HttpError(500, `the engine of node ${engine.name} cannot be reached: ${cause.message}`)));
      request.end(body);
    });
  }

  /** A small JSON answer. Undefined on 404; throws on every other failure. */
  async json<T>(engine: Engine, path: string, method = 'GET', body?: unknown): Promise<T | undefined> {
    const response = await this.request(engine, {
      method,
      path,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: Buffer.from(JSON.stringify(body)) }),
    });
    const chunks: Buffer[] = [];
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    const content = Buffer.concat(chunks).toString('utf8');
    if (response.statusCode === 404) return undefined;
    if ((response.statusCode ?? 500) >= 400) throw new HttpError(response.statusCode ?? 500, messageOf(content));
    return JSON.parse(content || 'null') as T;
  }

  /** The same question to every ready engine; those that do not answer are left out. */
  async ask<T>(path: string, among?: Engine[]): Promise<{ engine: Engine; answer: T }[]> {
    const engines = among ?? (await this.ready());
    const answers = await Promise.all(
      engines.map(async (engine) => {
        try {
          const answer = await this.json<T>(engine, path);
          return answer === undefined ? [] : [{ engine, answer }];
        } catch (error) {
          // A bad question is bad everywhere; an engine that is away just has no answer.
          if (error instanceof HttpError && error.status < 500) throw error;
          return [];
        }
      }),
    );
    return answers.flat();
  }

  private open(address: string, method: string, path: string, headers: OutgoingHttpHeaders) {
    const request = https.request({ host: address, port: ENGINE_PORT, servername: '', method, path, headers, agent: this.agent });
    request.on('socket', (socket) => {
      const timer = setTimeout(() => socket.destroy(new Error('no answer')), CONNECT_MS);
      socket.once('secureConnect', () => clearTimeout(timer));
      socket.once('close', () => clearTimeout(timer));
    });
    return request;
  }

  private async readNodes(): Promise<Engine[]> {
    const manager = { name: 'ucp', address: this.managerAddress } as Engine;
    const nodes = (await this.json<SwarmNode[]>(manager, '/nodes')) ?? [];
    const engines = new Map<string, Engine>();
    for (const node of nodes) {
      const worker = node.Spec.Role === 'worker';
      const engine: Engine = {
        name: node.Description.Hostname,
        nodeId: node.ID,
        // Engines of some ages list their leader as 0.0.0.0.
        address: node.ManagerStatus?.Addr.replace(/:\d+$/, '') ?? node.Status.Addr,
        worker,
        active: node.Spec.Availability === 'active',
        ready: node.Status.State === 'ready',
        cpus: node.Description.Resources.NanoCPUs / 1e9,
        memory: node.Description.Resources.MemoryBytes,
      };
      if (!engines.has(engine.name) || engine.ready) engines.set(engine.name, engine);
    }
    return [...engines.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

function messageOf(content: string): string {
  try {
    return String((JSON.parse(content) as { message?: string }).message ?? content);
  } catch {
    return content;
  }
}
