import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connectEngine } from '../../adapters/docker/dockerode';
import type { Engine } from '../../adapters/docker/engine';
import { failure } from '../helpers/failure';

/** As engines of several ages list them. */
const node = (hostname: string, address: string, manager?: string): object => ({
  ID: hostname, Description: { Hostname: hostname }, Spec: { Role: manager === undefined ? 'worker' : 'manager', Availability: 'active' }, Status: { State: 'ready', Addr: address },
  ...(manager === undefined ? {} : { ManagerStatus: { Leader: true, Reachability: 'reachable', Addr: manager } }),
});

describe('members of a Swarm', () => {
  let server: Server;
  let folder: string;
  let listed: object;
  let status: number;

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'drydock-test-'));
    server = createServer((request, response) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(request.url?.includes('/nodes') ? listed : {})));
    await new Promise<void>((resolve) => server.listen(path.join(folder, 'engine.sock'), resolve));
  });
  beforeEach(() => {
    status = 200;
  });
  after(() => {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const connected = (): Engine => connectEngine({ socketPath: path.join(folder, 'engine.sock') });
  const addresses = async (...nodes: object[]): Promise<string[]> => {
    listed = nodes;
    return (await connected().nodes()).map(({ address }) => address);
  };

  it('have the address under which others reach them, also a leader that its engine lists without one, as 0.0.0.0 or as itself', async () => {
    const leaders = ['0.0.0.0', '127.0.0.1', '::', '::1', ''].map((own) => node('leader', own, '10.0.0.7:2377'));
    assert.deepEqual(await addresses(node('worker', '10.0.0.5'), node('manager', '10.0.0.6', '192.168.0.6:2377'), ...leaders), ['10.0.0.5', '10.0.0.6', ...leaders.map(() => '10.0.0.7')]);
    assert.deepEqual(await addresses(node('leader', '::', '[fd00::7]:2377'), node('alone', '127.0.0.1'), node('nowhere', '0.0.0.0')), ['fd00::7', '127.0.0.1', '']);
  });

  it('are managers as long as they are counted as such: those that a cluster which began anew has left behind are not', async () => {
    listed = [node('ucp', '10.0.0.1', '10.0.0.1:2377'), { ...node('old', '10.0.0.2'), Spec: { Role: 'manager' }, Status: { State: 'unknown' } }, { ...node('older', '10.0.0.3'), Spec: { Role: 'manager' }, ManagerStatus: null }, node('node-1', '10.0.0.4')];
    assert.deepEqual((await connected().nodes()).map(({ role }) => role), ['manager', 'worker', 'worker', 'worker']);
  });

  it('cannot be listed without a leader, which is told with what brings one back', async () => {
    status = 500;
    listed = { message: "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online." };
    const { retryable, remedy } = await failure(connected().nodes(), 'EngineUnavailable');
    assert.deepEqual([retryable, /force-new-cluster/.test(remedy ?? '')], [true, true]);
  });
});
