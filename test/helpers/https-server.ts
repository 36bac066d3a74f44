import https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KeyPair } from './pki';

export interface TestServer {
  port: number;
  url: string;
  /** `GET /path?query` of each call, in order. */
  calls: string[];
  close(): Promise<void>;
}

/** A small HTTPS server on loop-back, for answers that the real parts do not give on demand; `options` for one that asks for certificates. */
export async function httpsServer(pair: KeyPair, handler: (request: IncomingMessage, response: ServerResponse) => void, options: https.ServerOptions = {}): Promise<TestServer> {
  const calls: string[] = [];
  const server = https.createServer({ ...pair, ...options }, (request, response) => {
    calls.push(`${request.method} ${request.url}`);
    handler(request, response);
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port, url: `https://127.0.0.1:${port}`, calls,
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

/** The whole body of a request. */
export async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request as AsyncIterable<Buffer>) text += chunk.toString('latin1');
  return text;
}

export function sendJson(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}
