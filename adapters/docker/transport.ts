import http, { Agent as HttpAgent } from 'node:http';
import https, { Agent as HttpsAgent } from 'node:https';
import { inspect } from 'node:util';
import type { Duplex } from 'node:stream';
import { TlsDialer, type TlsOptions } from '../http/tls';

/** Where a Docker API is: an address with TLS (UCP, an engine), or a socket of this machine. */
export interface EngineAddress {
  host?: string;
  port?: number;
  /** PEM text: the authority, and our client certificate with its key. */
  ca?: string;
  cert?: string;
  key?: string;
  insecure?: boolean;
  socketPath?: string;
}

const CONNECT_TIMEOUT_MS = 15_000;

/** Makes TLS connections as the rest of Drydock does: checked, and through the proxy of the environment. */
class DialingAgent extends HttpsAgent {
  private readonly dialer: TlsDialer;

  constructor(tls: TlsOptions) {
    super({ keepAlive: false });
    this.dialer = new TlsDialer(tls);
  }

  override createConnection(options: { host?: string | null; port?: string | number | null }, callback?: (error: Error | null, socket: Duplex) => void): undefined {
    this.dialer.dial(options.host ?? '', Number(options.port), CONNECT_TIMEOUT_MS).then(
      (socket) => callback?.(null, socket),
      (error: Error) => (callback as ((error: Error) => void) | undefined)?.(error),
    );
    return undefined;
  }

  /** docker-modem formats its whole request for a debug line on every call, agent included: keep that short. */
  [inspect.custom](): string {
    return 'DialingAgent';
  }
}

/** Requests that dockerode cannot make as we need them. */
export interface RawTransport {
  request(method: string, path: string, headers?: Record<string, string>): http.ClientRequest;
  /** `host:port` or the socket, for messages. */
  readonly where: string;
}

/** One connection a call: engines close idle ones at moments of their own, which then look like failures. */
export function agentFor({ socketPath, ca, cert, key, insecure }: EngineAddress): HttpAgent {
  return socketPath === undefined ? new DialingAgent({ ca, cert, key, insecure }) : new HttpAgent({ keepAlive: false });
}

export function rawTransport(address: EngineAddress, agent: HttpAgent): RawTransport {
  const { socketPath, host, port } = address;
  const where = socketPath ?? `${host}:${port}`;
  return {
    where,
    request: (method, path, headers = {}) =>
      socketPath === undefined ? https.request({ host, port, method, path, headers, agent }) : http.request({ socketPath, method, path, headers: { Host: 'docker', ...headers }, agent }),
  };
}
