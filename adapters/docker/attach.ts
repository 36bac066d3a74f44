import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { DrydockError } from '../../domain/errors';
import { dockerError, saidBy, statusError } from './errors';
import { collect, hijack, parse } from './hijack';
import type { RawTransport } from './transport';

/** Attaches to a container that was created but not started. */
export function attach(transport: RawTransport, id: string, stdin: boolean, signal?: AbortSignal): Promise<Socket> {
  return hijack(transport, `/containers/${id}/attach?stream=1&stdout=1&stderr=1&stdin=${stdin ? 1 : 0}`, 'attach', { signal });
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
