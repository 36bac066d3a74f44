/** A real CNCF Distribution (Debian's docker-registry) on loopback, with TLS and a login. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabHttp, type Endpoint } from '../../lab/push/http';

export interface LoopbackRegistry extends Endpoint {
  /** A call with the login; any of the expected answers. */
  http: LabHttp;
  stop(): Promise<void>;
}

const PASSWORD = 'push-test-password';
/** bcrypt of PASSWORD. */
const HTPASSWD = 'pusher:$2y$05$abcdefghijklmnopqrstuuMxGrxlVPN.cWl8Cv4NY2uw9IoaY54xy\n';
const START_MS = 15_000;

export async function startRegistry(): Promise<LoopbackRegistry> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'drydock-registry-'));
  const registry = `127.0.0.1:${await freePort()}`;
  const caFile = path.join(folder, 'ca.crt');
  const keyFile = path.join(folder, 'key.pem');
  const certificate = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=push test'];
  execFileSync('openssl', [...certificate, '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', keyFile, '-out', caFile], { stdio: 'ignore' });
  writeFileSync(path.join(folder, 'htpasswd'), HTPASSWD);
  writeFileSync(path.join(folder, 'config.yml'), configuration(folder, registry, caFile, keyFile));
  const server = spawn('docker-registry', ['serve', path.join(folder, 'config.yml')], { stdio: 'ignore' });
  const endpoint: Endpoint = { registry, caFile, username: 'pusher', password: PASSWORD };
  const http = new LabHttp(endpoint);
  await waitUntilUp(http, server);
  const stop = async (): Promise<void> => {
    await http.close();
    server.kill();
    rmSync(folder, { recursive: true, force: true });
  };
  return { ...endpoint, http, stop };
}

function configuration(folder: string, address: string, certificate: string, key: string): string {
  return JSON.stringify({
    version: 0.1,
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: path.join(folder, 'data') }, delete: { enabled: true } },
    http: { addr: address, tls: { certificate, key } },
    auth: { htpasswd: { realm: 'push test', path: path.join(folder, 'htpasswd') } },
  });
}

async function waitUntilUp(http: LabHttp, server: ChildProcess): Promise<void> {
  const deadline = Date.now() + START_MS;
  for (;;) {
    try {
      await http.basic('GET', '/v2/', { expect: [200] });
      return;
    } catch (error) {
      if (server.exitCode !== null || Date.now() > deadline) throw error;
      await sleep(100);
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
