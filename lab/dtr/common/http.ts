import { createHash } from 'node:crypto';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import { StoreUnavailable } from './etcd';
import { messageOf, serviceLog } from './log';

/** An answer that is an error, in DTR's shape `{"errors":[{"code","message"}]}`. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly headers: Record<string, string> = {},
    readonly detail?: unknown,
  ) {
    super(message);
  }
}

export interface Call {
  request: IncomingMessage;
  response: ServerResponse;
  url: URL;
  /** Named parts of the route, decoded. */
  params: Record<string, string>;
}

export type Handler = (call: Call) => Promise<void>;

/** Routes by method and path; `:name` matches one segment, `*name` one or more. A trailing slash means the same path. */
export class Router {
  private readonly routes: { method: string; pattern: RegExp; handler: Handler }[] = [];

  on(method: string, path: string, handler: Handler): this {
    const source = path.replace(/[:*](\w+)/g, (match, name: string) => (match[0] === '*' ? `(?<${name}>.+?)` : `(?<${name}>[^/]+)`));
    this.routes.push({ method, pattern: new RegExp(`^${source}/?$`), handler });
    return this;
  }

  find(method: string, path: string): { handler: Handler; params: Record<string, string> } | 'method' | null {
    let known = false;
    for (const route of this.routes) {
      const match = route.pattern.exec(path);
      if (!match) continue;
      if (route.method !== method) {
        known = true;
        continue;
      }
      const params = Object.fromEntries(Object.entries(match.groups ?? {}).map(([name, value]) => [name, decodeURIComponent(value)]));
      return { handler: route.handler, params };
    }
    return known ? 'method' : null;
  }
}

export function sendJson(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text), ...headers });
  response.end(text);
}

export function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (error instanceof HttpError) {
    const body = { errors: [{ code: error.code, message: error.message, ...(error.detail === undefined ? {} : { detail: error.detail }) }] };
    sendJson(response, error.status, body, error.headers);
    return;
  }
  // A lost majority shows to clients as it does in DTR: an internal server error.
  if (!(error instanceof StoreUnavailable)) serviceLog(`error: ${error instanceof Error ? error.stack : String(error)}`);
  sendJson(response, 500, { errors: [{ code: 'INTERNAL_ERROR', message: `An internal server error occurred: ${messageOf(error)}` }] });
}

/** Serves a router on all interfaces of the container (only the overlay reaches it). */
export function serve(port: number, router: Router, fallback?: Handler): http.Server {
  const server = http.createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://internal');
    const found = router.find(request.method ?? 'GET', url.pathname);
    const run = async (): Promise<void> => {
      if (found !== null && found !== 'method') return found.handler({ request, response, url, params: found.params });
      if (fallback) return fallback({ request, response, url, params: {} });
      if (found === 'method') throw new HttpError(405, 'METHOD_NOT_ALLOWED', `The method ${request.method} is not allowed here`);
      throw new HttpError(404, 'NOT_FOUND', `There is nothing at ${url.pathname}`);
    };
    run().catch((error: unknown) => sendError(response, error));
  });
  server.requestTimeout = 0;
  server.listen(port, '0.0.0.0', () => serviceLog(`listening on ${port}`));
  return server;
}

export async function readBody(request: IncomingMessage, maxBytes = 4 << 20): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > maxBytes) throw new HttpError(413, 'SIZE_INVALID', `The body is larger than ${maxBytes} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

/** A JSON object from the body; anything else is 400. */
export async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const text = (await readBody(request)).toString();
  try {
    const value: unknown = text === '' ? {} : JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Falls through to the one refusal.
  }
  throw new HttpError(400, 'INVALID_JSON', 'The body is not a JSON object');
}

/** `Basic` credentials of a request, or null. */
export function basicAuth(request: IncomingMessage): { username: string; password: string } | null {
  const match = /^Basic (.+)$/i.exec(request.headers.authorization ?? '');
  if (!match) return null;
  const text = Buffer.from(match[1]!, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0 ? null : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

export interface Outgoing {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** PEM; absent = not verified. */
  ca?: string;
  cert?: string;
  key?: string;
  insecure?: boolean;
  timeoutMs?: number;
}

export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
}

/** One request with a collected answer. Rejects only when there is no answer. */
export function fetchUrl(target: string, options: Outgoing = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const url = new URL(target);
    const secure = url.protocol === 'https:';
    const settings: https.RequestOptions = { method: options.method ?? 'GET', headers: options.headers ?? {}, agent: false };
    if (secure) {
      settings.ca = options.ca;
      settings.cert = options.cert;
      settings.key = options.key;
      settings.rejectUnauthorized = !options.insecure;
    }
    const request = (secure ? https : http).request(url, settings, (response) => {
      readBody(response, 64 << 20).then(
        (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        reject,
      );
    });
    request.setTimeout(options.timeoutMs ?? 15_000, () => request.destroy(new Error(`${url.host} did not answer in time`)));
    request.on('error', reject);
    request.end(options.body);
  });
}

export function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
