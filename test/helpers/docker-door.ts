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

const execs = new Set<net.Socket>();

/** Resets the connections of commands in containers, and none else. Returns how many there were. */
export function resetExecs(): number {
  const all = [...execs];
  for (const socket of all) socket.resetAndDestroy();
  execs.clear();
  return all.length;
}

/** A door with mutual TLS in front of the engine's socket. */
export function tlsDoor(ca: TestCa): Promise<tls.Server> {
  // A reset can only be sent from beneath TLS.
  const raw = new Map<number | undefined, net.Socket>();
  const server = tls.createServer({ ...ca.issue(['IP:127.0.0.1']), ca: ca.cert, requestCert: true, rejectUnauthorized: true, allowHalfOpen: true }, (outside) => {
    const inside = net.connect({ path: SOCKET, allowHalfOpen: true });
    connections.add(outside).add(inside);
    outside.on('error', () => inside.destroy()).on('close', () => inside.destroy());
    inside.on('error', () => outside.destroy());
    const beneath = raw.get(outside.remotePort);
    outside.once('data', (head: Buffer) => {
      if (beneath !== undefined && /^POST \/(v[\d.]+\/)?exec\/\w+\/start/.test(head.toString('latin1'))) execs.add(beneath.once('close', () => execs.delete(beneath)));
    });
    outside.pipe(inside).pipe(outside);
  });
  server.on('connection', (socket: net.Socket) => {
    const port = socket.remotePort;
    raw.set(port, socket);
    socket.once('close', () => raw.delete(port));
  });
  server.on('tlsClientError', () => undefined);
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}
