/** The real Docker Engine of this machine, and a door with mutual TLS in front of it that can be slammed. */
import net from 'node:net';
import tls from 'node:tls';
import type { TestCa } from './pki';

export const SOCKET = (process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace('unix://', '');

const connections = new Set<net.Socket>();

/** Ends every connection through the TLS door, as a proxy that is killed. */
export function cutAll(): void {
  for (const socket of connections) socket.destroy();
}

/** A door with mutual TLS in front of the engine's socket. */
export function tlsDoor(ca: TestCa): Promise<tls.Server> {
  const server = tls.createServer({ ...ca.issue(['IP:127.0.0.1']), ca: ca.cert, requestCert: true, rejectUnauthorized: true, allowHalfOpen: true }, (outside) => {
    const inside = net.connect({ path: SOCKET, allowHalfOpen: true });
    connections.add(outside).add(inside);
    outside.on('error', () => inside.destroy()).on('close', () => inside.destroy());
    inside.on('error', () => outside.destroy());
    outside.pipe(inside).pipe(outside);
  });
  server.on('tlsClientError', () => undefined);
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}
