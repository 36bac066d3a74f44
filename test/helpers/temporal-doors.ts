/** Ways to a Temporal server that are not as they should be. */
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import type { KeyPair } from './pki';

export interface Door {
  /** `127.0.0.1:port` */
  address: string;
  port: number;
  close(): Promise<void>;
}

/** TLS in front of a server that speaks plain. */
export function tlsDoor(inside: string, options: tls.TlsOptions): Promise<Door> {
  const server = tls.createServer({ ALPNProtocols: ['h2'], ...options }, (outside) => {
    const socket = net.connect(Number(inside.split(':').at(-1)), '127.0.0.1');
    outside.on('error', () => socket.destroy()).on('close', () => socket.destroy());
    socket.on('error', () => outside.destroy()).on('close', () => outside.destroy());
    outside.pipe(socket).pipe(outside);
  });
  server.on('tlsClientError', () => undefined);
  return opened(server);
}

/** TLS, and a key for the API that must be right: `wrong` says no to the others in these words. */
export function keyDoor(inside: string, pair: KeyPair, key: string, wrong: string): Promise<Door> {
  const upstream = http2.connect(`http://${inside}`);
  upstream.on('error', () => undefined);
  const server = http2.createSecureServer(pair);
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    if (headers.authorization !== `Bearer ${key}`) {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '16', 'grpc-message': encodeURIComponent(wrong) }, { endStream: true });
      return;
    }
    const call = upstream.request({ ...Object.fromEntries(PASSED_ON.map((name) => [name, headers[name]])), ':method': 'POST' });
    call.on('error', () => stream.destroy());
    let trailers: http2.OutgoingHttpHeaders = {};
    call.on('trailers', (end: http2.IncomingHttpHeaders) => (trailers = plain(end)));
    call.on('response', (answer, flags) => {
      const head = { ...plain(answer), ':status': 200 };
      if ((flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0) return stream.respond(head, { endStream: true });
      stream.on('wantTrailers', () => stream.sendTrailers(trailers));
      stream.respond(head, { waitForTrailers: true });
      call.pipe(stream);
    });
    stream.pipe(call);
  });
  return opened(server, () => upstream.destroy());
}

const PASSED_ON = [':path', 'content-type', 'te', 'grpc-encoding', 'grpc-accept-encoding'] as const;

/** Without what begins with a colon, which each side sets itself. */
function plain(headers: http2.IncomingHttpHeaders): http2.OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':')));
}

/** Cuts every connection after so long, as a load balancer does with what it takes for idle. */
export function cuttingDoor(inside: string, afterMs: number): Promise<Door> {
  return opened(net.createServer((outside) => {
    const socket = net.connect(Number(inside.split(':').at(-1)), '127.0.0.1');
    const cut = setTimeout(() => outside.destroy(), afterMs);
    outside.on('close', () => (clearTimeout(cut), socket.destroy()));
    socket.on('error', () => outside.destroy()).on('close', () => outside.destroy());
    outside.pipe(socket).pipe(outside);
  }));
}

/** A web server. */
export function webDoor(): Promise<Door> {
  return opened(http.createServer((_request, response) => response.writeHead(404).end('no such page')));
}

/** Takes connections and never says a word. */
export function silentDoor(): Promise<Door> {
  return opened(net.createServer(() => undefined));
}

function opened(server: net.Server, alsoClose: () => void = () => undefined): Promise<Door> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => sockets.add(socket.once('close', () => sockets.delete(socket)).on('error', () => undefined)));
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      resolve({
        address: `127.0.0.1:${port}`, port,
        close: () => new Promise((done) => {
          alsoClose();
          server.close(() => done());
          for (const socket of sockets) socket.destroy();
        }),
      });
    });
  });
}
