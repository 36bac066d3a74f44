import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { DrydockError } from '../../domain/errors';
import { dockerError, saidBy, statusError } from './errors';
import type { RawTransport } from './transport';

/**
 * A request whose connection becomes a raw stream in both directions; `what` names it in errors. Not by dockerode: it sends a body with `attach`, and an
 * engine that reads the hijacked connection at once takes that body for the beginning of standard input.
 */
export function hijack(transport: RawTransport, path: string, what: string, body?: object): Promise<Socket> {
  const content = body === undefined ? undefined : JSON.stringify(body);
  const headers = { Connection: 'Upgrade', Upgrade: 'tcp', ...(content === undefined ? { 'Content-Type': 'text/plain' } : { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(content)) }) };
  return new Promise((resolve, reject) => {
    const request = transport.request('POST', path, headers);
    request.once('upgrade', (_response: IncomingMessage, socket: Socket, head: Buffer) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    request.once('response', (response) => {
      collect(response).then((text) => {
        // 200 is the answer of an engine that hijacks without an upgrade; none of the supported versions does.
        reject(response.statusCode === 200 ? new DrydockError('EngineUnavailable', `${transport.where} does not upgrade the connection for ${what}`, { remedy: 'a proxy in between takes the Upgrade header away' }) : statusError(response.statusCode ?? 0, saidBy(parse(text)), what));
      }, reject);
    });
    request.once('error', (error) => reject(dockerError(error, what, transport.where)));
    request.end(content);
  });
}

/**
 * Closes our half of a raw connection; the other half stays open. Never from within one of its own read events: Node's TLS then throws away what came in the same packet
 * and is not handed out yet.
 */
export function endInput(socket: Socket, done?: () => void): void {
  setImmediate(() => socket.end(done));
}

/** The whole body of an answer, as text. */
export async function collect(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response as AsyncIterable<Buffer>) text += chunk.toString('utf8');
  return text;
}

/** JSON, or an object that says what else it was. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return { message: text };
  }
}
