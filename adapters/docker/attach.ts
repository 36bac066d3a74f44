import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { DrydockError } from '../../domain/errors';
import { dockerError, saidBy, statusError } from './errors';
import type { RawTransport } from './transport';

/**
 * Attaches to a container that was created but not started. Not by dockerode: it sends a body with the request, and an engine that reads
 * the hijacked connection at once takes that body for the beginning of standard input.
 */
export function attach(transport: RawTransport, id: string, stdin: boolean): Promise<Socket> {
  const path = `/containers/${id}/attach?stream=1&stdout=1&stderr=1&stdin=${stdin ? 1 : 0}`;
  return new Promise((resolve, reject) => {
    const request = transport.request('POST', path, { Connection: 'Upgrade', Upgrade: 'tcp', 'Content-Type': 'text/plain' });
    request.once('upgrade', (_response: IncomingMessage, socket: Socket, head: Buffer) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    request.once('response', (response) => {
      collect(response).then((body) => {
        // 200 is the answer of an engine that hijacks without an upgrade; none of the supported versions does.
        reject(response.statusCode === 200 ? new DrydockError('EngineUnavailable', `${transport.where} does not upgrade the connection for attach`, { remedy: 'a proxy in between takes the Upgrade header away' }) : statusError(response.statusCode ?? 0, saidBy(parse(body)), 'attach'));
      }, reject);
    });
    request.once('error', (error) => reject(dockerError(error, 'attach', transport.where)));
    request.end();
  });
}

export interface Removal {
  /** Resolves when the engine has taken the request, so that a container that ends at once is not missed. */
  registered: Promise<void>;
  /** Exit code, once the container is gone. */
  exitCode: Promise<number>;
  cancel(): void;
}

/** Waits until the container ended and was removed. Ask before it starts: a later question may find nothing. */
export function waitRemoved(transport: RawTransport, id: string): Removal {
  const request = transport.request('POST', `/containers/${id}/wait?condition=removed`);
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', (error) => reject(dockerError(error, 'wait', transport.where)));
  });
  const exitCode = answered.then(async (response) => {
    const body = parse(await collect(response).catch((error: unknown) => Promise.reject(dockerError(error, 'wait', transport.where))));
    if (response.statusCode !== 200) throw statusError(response.statusCode ?? 0, saidBy(body), 'wait');
    const { StatusCode } = (body ?? {}) as { StatusCode?: unknown };
    if (typeof StatusCode !== 'number') throw new DrydockError('EngineUnavailable', `${transport.where} did not tell the exit code of a container`);
    return StatusCode;
  });
  exitCode.catch(() => undefined);
  request.end();
  const registered = answered.then(() => undefined);
  registered.catch(() => undefined);
  return { registered, exitCode, cancel: () => request.destroy() };
}

async function collect(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response as AsyncIterable<Buffer>) text += chunk.toString('utf8');
  return text;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return { message: text };
  }
}
