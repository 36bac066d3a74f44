import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connectEngine } from '../../adapters/docker/dockerode';

/** As engines of several ages list them. */
const node = (hostname: string, address: string, manager?: string): object => ({
  ID: hostname, Description: { Hostname: hostname }, Spec: { Role: manager === undefined ? 'worker' : 'manager', Availability: 'active' }, Status: { State: 'ready', Addr: address },
  ...(manager === undefined ? {} : { ManagerStatus: { Leader: true, Reachability: 'reachable', Addr: manager } }),
});

describe('members of a Swarm', () => {
  let server: Server;
  let folder: string;
  let listed: object[];

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'drydock-test-'));
    server = createServer((request, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify(request.url?.includes('/nodes') ? listed : {})));
    await new Promise<void>((resolve) => server.listen(path.join(folder, 'engine.sock'), resolve));
  });
  after(() => {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const addresses = async (...nodes: object[]): Promise<string[]> => {
    listed = nodes;
    return (await connectEngine({ socketPath: path.join(folder, 'engine.sock') }).nodes()).map(({ address }) => address);
  };

  it('have the address under which others reach them, also a leader that its engine lists without one, as 0.0.0.0 or as itself', async () => {
    const leaders = ['0.0.0.0', '127.0.0.1', '::', '::1', ''].map((own) => node('leader', own, '10.0.0.7:2377'));
    assert.deepEqual(await addresses(node('worker', '10.0.0.5'), node('manager', '10.0.0.6', '192.168.0.6:2377'), ...leaders), ['10.0.0.5', '10.0.0.6', ...leaders.map(() => '10.0.0.7')]);
    assert.deepEqual(await addresses(node('leader', '::', '[fd00::7]:2377'), node('alone', '127.0.0.1'), node('nowhere', '0.0.0.0')), ['fd00::7', '127.0.0.1', '']);
  });
});
