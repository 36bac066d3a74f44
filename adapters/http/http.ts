import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { Agent, request, type Dispatcher } from 'undici';
import { DrydockError } from '../../domain/errors';
import { classifyNetworkError, classifyStatus, type Service } from './errors';
import { TlsDialer, type TlsOptions } from './tls';

export { classifyNetworkError, type Service } from './errors';
export type { TlsOptions } from './tls';

export interface HttpCall {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD';
  /** Path under the base URL, or a whole https URL. */
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is; `headers` names type and length. */
  body?: Readable | Buffer | string;
  /** Statuses that are not an error. Default: every 2xx. */
  ok?: number[];
  /** Time to the answer's head, and between two pieces of its body. Default 60 s. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  /** Must be read to the end or destroyed. */
  body: Readable;
}

const CONNECT_TIMEOUT_MS = 15_000;
const DEFAULT_TIMEOUT_MS = 60_000;
/** More than any list that one page of an API holds. */
export const MAX_TEXT = 64 * 1024 * 1024;

/**
 * The one way to make HTTPS calls: checked TLS, proxy of the environment, time limits, no retries, no redirects, readable errors.
 * When a call's signal fires, the call rejects with the signal's reason.
 */
export class HttpClient {
  readonly baseUrl: string;
  private readonly agent: Agent;

  constructor(baseUrl: string, readonly service: Service, tls: TlsOptions) {
    this.baseUrl = baseUrl.replace(/\/+$/, '');
    const dialer = new TlsDialer(tls);
    this.agent = new Agent({
      connect: (options, callback) => {
        const port = Number(options.port === '' ? 443 : options.port);
        dialer.dial(options.hostname, port, CONNECT_TIMEOUT_MS).then(
          (socket) => callback(null, socket),
          (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
        );
      },
    });
  }

  /** The answer with its body as a stream. Throws a DrydockError for a status that is not expected. */
  async call(call: HttpCall): Promise<HttpAnswer> {
    const url = this.urlOf(call);
    const answer = await this.send(url, call);
    const status = answer.statusCode;
    const expected = call.ok === undefined ? status >= 200 && status < 300 : call.ok.includes(status);
    if (!expected) {
      const text = await readText(answer.body, 64 * 1024).catch(() => '');
      throw classifyStatus(status, saidIn(text), this.service, `${call.method ?? 'GET'} ${url.pathname}`);
    }
    return { status, headers: answer.headers, body: answer.body };
  }

  /** The whole answer as text, `maxBytes` at most. */
  async text(call: HttpCall, maxBytes = MAX_TEXT): Promise<HttpAnswer & { text: string }> {
    const answer = await this.call(call);
    return { ...answer, text: (await this.collect(answer, call, maxBytes)).toString('utf8') };
  }

  /** The whole answer as bytes, `maxBytes` at most. */
  async bytes(call: HttpCall, maxBytes: number): Promise<HttpAnswer & { bytes: Buffer }> {
    const answer = await this.call(call);
    return { ...answer, bytes: await this.collect(answer, call, maxBytes) };
  }

  /** The answer parsed as JSON; an empty body is `undefined`. */
  async json(call: HttpCall): Promise<HttpAnswer & { json: unknown }> {
    const answer = await this.text(call);
    return { ...answer, json: answer.text.trim() === '' ? undefined : this.parse(answer.text, call) };
  }

  /** A readable error for a body that broke off. */
  bodyError(error: unknown, call: HttpCall): unknown {
    if (call.signal?.aborted) return call.signal.reason;
    return classifyNetworkError(error, this.service, this.urlOf(call).host);
  }

  async close(): Promise<void> {
    await this.agent.destroy();
  }

  private async send(url: URL, call: HttpCall): Promise<Dispatcher.ResponseData> {
    const timeout = call.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const json = call.json === undefined ? undefined : JSON.stringify(call.json);
    try {
      call.signal?.throwIfAborted();
      return await request(url, {
        method: call.method ?? 'GET',
        headers: { accept: 'application/json', ...(json === undefined ? {} : { 'content-type': 'application/json' }), ...call.headers },
        body: json ?? call.body,
        dispatcher: this.agent,
        headersTimeout: timeout,
        bodyTimeout: timeout,
        signal: call.signal,
      });
    } catch (error) {
      throw this.bodyError(error, call);
    }
  }

  private urlOf(call: HttpCall): URL {
    const url = /^https?:/.test(call.path) ? new URL(call.path) : new URL(`${this.baseUrl}/${call.path.replace(/^\/+/, '')}`);
    if (url.protocol !== 'https:') throw new DrydockError('TlsRejected', `${this.service.name} at ${url.host} is named without TLS`, { remedy: 'use an https address' });
    for (const [name, value] of Object.entries(call.query ?? {})) if (value !== undefined) url.searchParams.set(name, String(value));
    return url;
  }

  private async collect(answer: HttpAnswer, call: HttpCall, maxBytes: number): Promise<Buffer> {
    try {
      return await readBytes(answer.body, maxBytes);
    } catch (error) {
      throw this.bodyError(error, call);
    }
  }

  private parse(text: string, call: HttpCall): unknown {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      const url = this.urlOf(call);
      throw new DrydockError(this.service.unavailable, `${this.service.name} answered something that is not JSON to ${call.method ?? 'GET'} ${url.pathname}`, {
        remedy: `check that ${url.host} is the address of ${this.service.name} and not of a login page or a proxy`,
      });
    }
  }
}

export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

async function readText(body: Readable, maxBytes: number): Promise<string> {
  return (await readBytes(body, maxBytes)).toString('utf8');
}

async function readBytes(body: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw new DrydockError('IntegrityMismatch', `an answer is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Code and sentence of an error body: `{"errors":[{"code","message"}]}` (DTR, UCP, registry) or `{"message"}` (Docker). */
export function saidIn(text: string): { code?: string; message: string } {
  try {
    const body = JSON.parse(text) as { errors?: { code?: unknown; message?: unknown }[]; message?: unknown; error?: unknown };
    const first = body.errors?.[0];
    const message = first?.message ?? body.message ?? body.error ?? first?.code;
    return { code: typeof first?.code === 'string' ? first.code : undefined, message: clip(typeof message === 'string' ? message : '') };
  } catch {
    return { message: text.trimStart().startsWith('<') ? '' : clip(text) };
  }
}

function clip(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 300)}...` : line;
}
