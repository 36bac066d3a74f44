/** UCP's one HTTPS port: who asks, which part answers. */
import { readFileSync } from 'node:fs';
import https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { AccountsApi } from './accounts-api';
import type { DockerApi } from './docker-api';
import { HttpError, sendJson } from './http';
import type { Sessions } from './sessions';
import { refuseSocket } from './streams';

export interface ServerParts {
  files: { ca: string; cert: string; key: string };
  sessions: Sessions;
  accountsApi: AccountsApi;
  dockerApi: DockerApi;
}

export function createServer({ files, sessions, accountsApi, dockerApi }: ServerParts): https.Server {
  const ca = readFileSync(files.ca);
  const server = https.createServer({
    ca,
    cert: Buffer.concat([readFileSync(files.cert), ca]),
    key: readFileSync(files.key),
    // A certificate is optional (people log in with a password), but a wrong one is refused below.
    requestCert: true,
    rejectUnauthorized: false,
    // Else output that comes after a client's end of input is lost.
    allowHalfOpen: true,
    requestTimeout: 0,
    keepAliveTimeout: 5000,
  });

  server.on('secureConnection', (socket: TLSSocket) => {
    const presented = Object.keys(socket.getPeerCertificate()).length > 0;
    if (presented && !socket.authorized) socket.destroy();
  });

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    answer(request, response).catch((error: unknown) => {
      if (response.headersSent) return response.destroy();
      const { status, message, code } = describe(error);
      // Both shapes: the Docker API's and the one of UCP's own.
      return sendJson(response, status, { message, ...(code === '' ? {} : { errors: [{ code, message }] }) });
    });
  });

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    const url = requestUrl(request);
    Promise.resolve()
      .then(() => dockerApi.upgrade(sessions.account(request), request, socket, head, url))
      .catch((error: unknown) => {
        const { status, message } = describe(error);
        refuseSocket(socket, status, message);
      });
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = requestUrl(request);
    if (/^(\/v\d+\.\d+)?\/_ping$/.test(url.pathname)) return ping(request, response);
    if (url.pathname === '/ca') {
      response.writeHead(200, { 'content-type': 'application/x-pem-file' });
      response.end(ca);
      return;
    }
    if (await accountsApi.handle(request, response, url)) return;
    await dockerApi.handle(sessions.account(request), request, response, url);
  }

  return server;
}

function ping(request: IncomingMessage, response: ServerResponse): void {
  if (request.method !== 'GET') {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'api-version': '1.41', ostype: 'linux', 'content-length': 2 });
  response.end('OK');
}

function requestUrl(request: IncomingMessage): URL {
  return new URL(request.url ?? '/', 'https://ucp');
}

function describe(error: unknown): { status: number; message: string; code: string } {
  if (error instanceof HttpError) return error;
  console.error(error);
  return { status: 500, message: error instanceof Error ? error.message : String(error), code: '' };
}
