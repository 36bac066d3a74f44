/**
 * Load balancer of the lab: passes TCP through to the replicas' HTTPS ports, so that its address can be the registry's external URL.
 * It asks each replica for `/_ping`; where none is healthy it tries all that accept a connection, so that people see the registry's own error.
 */
import https from 'node:https';
import net from 'node:net';

export interface Target {
  host: string;
  port: number;
}

interface Backend extends Target {
  healthy: boolean;
}

const PROBE_MS = 1000;
const CONNECT_MS = 2000;

export class Balancer {
  private readonly backends: Backend[];
  private readonly server: net.Server;
  private readonly timer: NodeJS.Timeout;
  private turn = 0;

  constructor(targets: Target[]) {
    this.backends = targets.map((target) => ({ ...target, healthy: false }));
    this.server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => void this.serve(client));
    this.timer = setInterval(() => this.backends.forEach(probe), PROBE_MS);
    this.backends.forEach(probe);
  }

  /** Resolves with the port when it listens. */
  async listen(port: number, host: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, host, resolve);
    });
    return (this.server.address() as net.AddressInfo).port;
  }

  close(): void {
    clearInterval(this.timer);
    this.server.close();
  }

  /** Healthy ones first, both groups in turn. */
  private candidates(): Backend[] {
    this.turn += 1;
    const turned = this.backends.map((_, index) => this.backends[(index + this.turn) % this.backends.length]!);
    return [...turned.filter((backend) => backend.healthy), ...turned.filter((backend) => !backend.healthy)];
  }

  private async serve(client: net.Socket): Promise<void> {
    client.on('error', () => client.destroy());
    for (const backend of this.candidates()) {
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
}

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
