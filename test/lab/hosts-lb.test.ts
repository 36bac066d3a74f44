import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { buildLabImages, HOST_IMAGE } from '../../lab/hosts/image';
import { runBinary, sleep, waitFor } from '../../lab/hosts/process';
import { Balancer } from '../../lab/lb/balancer';

interface Replica {
  server: https.Server;
  port: number;
  healthy: boolean;
}

describe('load balancer of the lab', function () {
  this.timeout(120_000);
  let directory: string;
  let balancer: Balancer;
  let port: number;
  const replicas: Replica[] = [];

  before(async () => {
    directory = mkdtempSync(path.join(os.tmpdir(), 'lab-lb-'));
    await buildLabImages(() => undefined);
    const tar = await runBinary('docker', ['run', '--rm', '--network', 'none', '--entrypoint', 'bash', HOST_IMAGE, '/usr/local/lib/lab/keys.sh', 'all', 'ucp=127.0.0.1']);
    assert.equal(spawnSync('tar', ['-x', '-C', directory], { input: tar }).status, 0);
    for (const name of ['first', 'second']) replicas.push(await startReplica(name));
    balancer = new Balancer(replicas.map((replica) => ({ host: '127.0.0.1', port: replica.port })));
    port = await balancer.listen(0, '127.0.0.1');
  });

  after(() => {
    balancer.close();
    for (const { server } of replicas) server.close();
    rmSync(directory, { recursive: true, force: true });
  });

  async function startReplica(name: string): Promise<Replica> {
    const replica = { healthy: true } as Replica;
    replica.server = https.createServer(
      { key: readFileSync(path.join(directory, 'ucp/server-key.pem')), cert: readFileSync(path.join(directory, 'ucp/server-cert.pem')) },
      (request, response) => {
        response.statusCode = request.url === '/_ping' && !replica.healthy ? 503 : 200;
        response.end(name);
      },
    );
    await new Promise<void>((resolve) => replica.server.listen(0, '127.0.0.1', resolve));
    replica.port = (replica.server.address() as AddressInfo).port;
    return replica;
  }

  async function ask(): Promise<string> {
    return await new Promise((resolve, reject) => {
      // The certificate of the replica itself is checked: TLS ends there and not at the balancer.
      const request = https.get({ host: '127.0.0.1', port, path: '/x', ca: readFileSync(path.join(directory, 'ucp/ca.pem')), agent: false }, (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => resolve(body));
      });
      request.on('error', reject);
    });
  }

  async function answers(): Promise<Set<string>> {
    return new Set([await ask(), await ask(), await ask(), await ask()]);
  }

  it('passes TLS through to the healthy replicas in turn', async () => {
    await sleep(500);
    assert.deepEqual(await answers(), new Set(['first', 'second']));
  });

  it('leaves a replica out that says it is not healthy, and takes it back', async () => {
    replicas[0]!.healthy = false;
    await waitFor('only the second', 5, async () => [...(await answers())].join() === 'second');
    replicas[0]!.healthy = true;
    await waitFor('both again', 5, async () => (await answers()).size === 2);
  });

  it('shows the error of an unhealthy registry itself when no replica is healthy', async () => {
    for (const replica of replicas) replica.healthy = false;
    await sleep(2500);
    assert.equal((await answers()).size, 2);
    for (const replica of replicas) replica.healthy = true;
  });

  it('goes on with the others when a replica is gone, and closes the connection when all are', async () => {
    replicas[0]!.server.close();
    await waitFor('only the second', 5, async () => [...(await answers())].join() === 'second');
    replicas[1]!.server.close();
    await assert.rejects(ask(), /socket|ECONNRESET/);
  });
});
