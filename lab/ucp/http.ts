/** Small pieces of HTTP that every handler uses. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** An answer that is not a success; `message` is what the client shows. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code = '',
  ) {
    super(message);
  }
}

export const notFound = (what: string): HttpError => new HttpError(404, `no such ${what}`);

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = Buffer.from(`${JSON.stringify(body)}\n`);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': text.length });
  response.end(text);
}

export function sendEmpty(response: ServerResponse, status = 204): void {
  response.writeHead(status, status === 204 ? {} : { 'content-length': 0 });
  response.end();
}

export async function readBody(request: IncomingMessage, limit = 4 << 20): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw new HttpError(413, 'the request is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export type JsonObject = Record<string, unknown>;

export async function readJson(request: IncomingMessage): Promise<JsonObject> {
  const body = await readBody(request);
  if (body.length === 0) return {};
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  } catch {
    // answered below
  }
  throw new HttpError(400, 'the body is not a JSON object', 'INVALID_JSON');
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
