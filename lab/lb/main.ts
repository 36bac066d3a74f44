/**
 * Load balancer of the lab: passes TCP through to the replicas' HTTPS ports, so that `https://<lb>` is the registry's external URL.
 *   node lb.js PORT HOST:PORT...
 * It asks each replica for `/_ping`; where none is healthy it tries all that accept a connection, so that people see the registry's own error.
 */
import https from 'node:https';
import net from 'node:net';

interface Backend {
  host: string;
  port: number;
  healthy: boolean;
}

const PROBE_MS = 1000;
const CONNECT_MS = 2000;

const [listen = '443', ...targets] = process.argv.slice(2);
const backends: Backend[] = targets.map((target) => {
  const [host = '', port = '443'] = target.split(':');
  return { host, port: Number(port), healthy: false };
});
let turn = 0;

function probe(backend: Backend): void {
  const request = https.get(
    // Pass-through ends no TLS and so checks no certificate: only the status counts here.
    { host: backend.host, port: backend.port, path: '/_ping', rejectUnauthorized: false, agent: false, timeout: CONNECT_MS },
    (response) => {
      backend.healthy = response.statusCode === 200;
      response.resume();
    },
  );
  request.on('timeout', () => request.destroy(new Error('no answer')));
  request.on('error', () => (backend.healthy = false));
}

/** Healthy ones first, both groups in turn. */
function candidates(): Backend[] {
  turn += 1;
  const turned = backends.map((_, index) => backends[(index + turn) % backends.length]!);
  return [...turned.filter((backend) => backend.healthy), ...turned.filter((backend) => !backend.healthy)];
}

async function connect(backend: Backend): Promise<net.Socket | undefined> {
  return await new Promise((resolve) => {
    const socket = net.connect({ host: backend.host, port: backend.port, allowHalfOpen: true, noDelay: true });
    const timer = setTimeout(() => socket.destroy(new Error('no answer')), CONNECT_MS);
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
    socket.once('error', () => {
      clearTimeout(timer);
      backend.healthy = false;
      resolve(undefined);
    });
  });
}

async function serve(client: net.Socket): Promise<void> {
  client.on('error', () => client.destroy());
  for (const backend of candidates()) {
    const socket = await connect(backend);
    if (client.destroyed) {
      socket?.destroy();
      return;
    }
    if (socket === undefined) continue;
    socket.on('error', () => client.destroy());
    client.on('close', () => socket.destroy());
    socket.on('close', () => client.end());
    client.pipe(socket);
    socket.pipe(client);
    return;
  }
  client.destroy();
}

net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => void serve(client)).listen(Number(listen), '0.0.0.0');
setInterval(() => backends.forEach(probe), PROBE_MS);
backends.forEach(probe);
