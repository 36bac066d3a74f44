/** Passes requests on to an engine: ordinary ones, long ones and those that become a raw stream. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Engine, Engines } from './engines';

/** Headers that concern one connection only, and the login, which is ours to check. */
const OWN = new Set(['host', 'connection', 'upgrade', 'keep-alive', 'transfer-encoding', 'authorization', 'expect', 'content-length']);

function passedOn(request: IncomingMessage): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(request.headers).filter(([name]) => !OWN.has(name)));
}

/** Sends the request on as it is, or with another body, and streams the answer back. */
export async function forward(engines: Engines, engine: Engine, request: IncomingMessage, response: ServerResponse, path: string, body?: Buffer): Promise<void> {
  const hasBody = request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined;
  const length = request.headers['content-length'];
  const answer = await engines.request(engine, {
    method: request.method ?? 'GET',
    path,
    headers: { ...passedOn(request), ...(body === undefined && length !== undefined ? { 'content-length': length } : {}) },
    ...(body !== undefined ? { body } : hasBody ? { body: request } : {}),
  });
  stream(answer, response);
}

/** Copies an engine's answer; headers go out at once, because `wait`, `events` and `logs -f` may have no body for hours. */
export function stream(answer: IncomingMessage, response: ServerResponse): void {
  const { connection: _connection, 'transfer-encoding': _encoding, 'keep-alive': _alive, ...headers } = answer.headers;
  response.writeHead(answer.statusCode ?? 502, headers);
  response.flushHeaders();
  answer.pipe(response);
  answer.on('error', () => response.destroy());
  // The client went away: the engine must not go on for nobody.
  response.on('close', () => answer.destroy());
}

/**
 * Attach and exec: both sides become one raw stream in which each end may finish its half alone.
 * `head` is what the client sent after its headers; a body announced there is the request's and no standard input.
 */
export async function hijack(engines: Engines, engine: Engine, request: IncomingMessage, client: Duplex, head: Buffer, path: string): Promise<void> {
  const { body, rest } = await announcedBody(request, client, head);
  // dockerode sends its options as JSON with `attach`; the engine would read them as standard input.
  const forwardBody = /\/exec\/[^/]+\/start(\?|$)/.test(path);
  const { response, socket, head: first } = await engines.upgrade(engine, {
    method: request.method ?? 'POST',
    path,
    headers: { ...passedOn(request), 'content-type': 'application/json' },
    ...(forwardBody ? { body } : {}),
  });
  if (socket === undefined) {
    await refuse(response, client);
    return;
  }
  client.write(statusLine(response));
  if (first.length > 0) client.write(first);
  if (rest.length > 0) socket.write(rest);
  join(client, socket);
}

/** Writes an error by hand onto a socket that was to become a raw stream. */
export function refuseSocket(client: Duplex, status: number, message: string): void {
  const body = `${JSON.stringify({ message })}\n`;
  client.end(`HTTP/1.1 ${status} Error\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
}

async function refuse(answer: IncomingMessage, client: Duplex): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const type = answer.headers['content-type'] ?? 'application/json';
  client.write(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`);
  client.end(body);
}

function statusLine(response: IncomingMessage): string {
  const type = response.headers['content-type'] ?? 'application/vnd.docker.raw-stream';
  return `HTTP/1.1 101 UPGRADED\r\nContent-Type: ${type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`;
}

/** `pipe` ends the other side when one side ends; the reading halves stay open until their own end. */
function join(client: Duplex, engine: Duplex): void {
  client.pipe(engine);
  engine.pipe(client);
  for (const side of [client, engine]) {
    side.on('error', () => {
      client.destroy();
      engine.destroy();
    });
  }
  client.on('close', () => engine.destroy());
  engine.on('close', () => client.end());
}

async function announcedBody(request: IncomingMessage, client: Duplex, head: Buffer): Promise<{ body: Buffer; rest: Buffer }> {
  const length = Number(request.headers['content-length'] ?? 0);
  let received = head;
  while (received.length < length) {
    const chunk = await new Promise<Buffer>((resolve, reject) => {
      client.once('data', (data: Buffer) => {
        // At once, before another chunk is handed to nobody.
        client.pause();
        resolve(data);
      });
      client.once('error', reject);
      client.once('end', () => reject(new Error('the request ended early')));
    });
    received = Buffer.concat([received, chunk]);
  }
  return { body: received.subarray(0, length), rest: received.subarray(length) };
}
