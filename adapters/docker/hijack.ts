import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { DrydockError } from '../../domain/errors';
import { dockerError, saidBy, statusError } from './errors';
import type { RawTransport } from './transport';

/** An engine answers such a request at once. */
const ANSWER_MS = 60_000;

export interface HijackOptions {
  body?: object;
  /** Gives the request up while it waits for its answer; the stream that came of it is the caller's. */
  signal?: AbortSignal;
  /** How long the engine may take to answer. Default 60 s. */
  answerMs?: number;
}

/**
 * A request whose connection becomes a raw stream in both directions; `what` names it in errors. Throws EngineUnavailable where no answer comes, and the signal's reason. Not by dockerode: it sends a body with `attach`, and an
 * engine that reads the hijacked connection at once takes that body for the beginning of standard input.
 */
export function hijack(transport: RawTransport, path: string, what: string, { body, signal, answerMs = ANSWER_MS }: HijackOptions = {}): Promise<Socket> {
  const content = body === undefined ? undefined : JSON.stringify(body);
  const headers = { Connection: 'Upgrade', Upgrade: 'tcp', ...(content === undefined ? { 'Content-Type': 'text/plain' } : { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(content)) }) };
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = transport.request('POST', path, headers);
    const giveUp = (why: Error): void => {
      reject(why);
      request.destroy();
    };
    const timer = setTimeout(() => giveUp(noAnswer(transport.where, what, answerMs)), answerMs);
    const onAbort = (): void => giveUp(signal?.reason as Error);
    signal?.addEventListener('abort', onAbort, { once: true });
    const settled = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    request.once('close', settled);
    request.once('upgrade', (_response: IncomingMessage, socket: Socket, head: Buffer) => {
      settled();
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    request.once('response', (response) => {
      collect(response).then((text) => {
        // 200 is the answer of an engine that hijacks without an upgrade; none of the supported versions does.
        reject(response.statusCode === 200 ? new DrydockError('EngineUnavailable', `${transport.where} does not upgrade the connection for ${what}`, { remedy: 'a proxy in between takes the Upgrade header away' }) : statusError(response.statusCode ?? 0, saidBy(parse(text)), what));
      }, reject);
    });
    // Also after it was given up.
    request.on('error', (error) => reject(dockerError(error, what, transport.where)));
    request.end(content);
  });
}

function noAnswer(where: string, what: string, ms: number): DrydockError {
  return new DrydockError('EngineUnavailable', `the Docker API at ${where} did not answer for ${Math.round(ms / 1000)} s (${what})`, { remedy: 'check UCP, the node, and any load balancer in between' });
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
