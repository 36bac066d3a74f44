import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { configSchema } from '../../domain/config';
import type { Lab } from '../../lab/cli/context';
import { rebuild } from '../../lab/cli/break';
import { describeLab } from '../../lab/cli/describe';
import { healLab } from '../../lab/cli/heal';
import { labStatus } from '../../lab/cli/status';
import { sleep, waitFor } from '../../lab/hosts/process';
import { dockerThroughUcp, ssh, startBareLab, stopLab } from './bare-lab';

const IMAGE = 'debian:bookworm-slim';
const MAIN = path.resolve(__dirname, '../../lab/cli/main.ts');

/** All that the machine's engine has under a lab's label. */
function leftovers(name: string): string {
  const list = (...args: string[]): string => spawnSync('docker', [...args, '--quiet', '--filter', `label=drydock.lab=${name}`], { encoding: 'utf8' }).stdout;
  return list('ps', '--all') + list('volume', 'ls') + list('network', 'ls');
}

describe('hosts of the lab', function () {
  this.timeout(120_000);
  let lab: Lab;
  const docker = (args: string[]) => dockerThroughUcp(lab, args);
  const running = (): string[] => docker(['ps', '--format', '{{.Names}}']).stdout.split('\n').sort();

  before(async () => {
    lab = await startBareLab('test-hosts');
    for (const node of ['node-1', 'node-2', 'node-3']) {
      docker(['run', '-d', '--name', `on-${node}`, '--network', 'dtr-ol', '-v', 'kept:/kept', '-e', `constraint:node==${node}`, IMAGE, 'sh', '-c', 'touch /kept/file; exec sleep 100000']);
    }
    docker(['run', '-d', '--name', 'stopped', '-e', 'constraint:node==node-2', IMAGE, 'sleep', '100000']);
    docker(['stop', '-t', '1', 'node-2/stopped']);
  });

  after(() => stopLab(lab));

  it('lets in root by key on two hosts and an ordinary user with sudo and a password on the third', async () => {
    const { addresses } = lab.names;
    assert.equal(ssh(lab, `root@${addresses['node-1']}`, 'hostname; id -u').stdout, 'node-1\n0');
    assert.equal(ssh(lab, `root@${addresses['node-2']}`, 'hostname').stdout, 'node-2');
    assert.equal(ssh(lab, `ops@${addresses['node-3']}`, 'hostname; id -un').stdout, 'node-3\nops');
    assert.match(ssh(lab, `root@${addresses['node-3']}`, 'true').stderr, /Permission denied \(publickey\)/);
    assert.match(ssh(lab, `ops@${addresses['node-3']}`, 'sudo -n true').stderr, /a password is required/);
    const password = await lab.state.password('ops');
    assert.equal(ssh(lab, `ops@${addresses['node-3']}`, 'sudo -S -p "" id -u', `${password}\n`).stdout, '0');
  });

  it('writes a drydock.yaml that is valid, with files that only their owner reads', async () => {
    const description = await describeLab(lab);
    const config = configSchema.parse(parse(readFileSync(description.config, 'utf8')));
    assert.deepEqual(Object.keys(config.clusters), ['lab']);
    assert.deepEqual(config.clusters.lab!.approvers, ['operator', 'second']);
    assert.deepEqual(Object.keys(config.clusters.lab!.hosts), ['node-1', 'node-2', 'node-3']);
    for (const file of [description.config, description.passwordFile, description.ucpCa, description.knownHosts, path.join(description.bundle, 'key.pem'), description.nodes[0]!.keyFile]) {
      assert.ok(path.isAbsolute(file) && existsSync(file), file);
      assert.equal(statSync(file).mode & 0o077, 0, file);
    }
  });

  it('joins containers of different hosts by name over dtr-ol', () => {
    assert.equal(docker(['exec', 'node-1/on-node-1', 'getent', 'hosts', 'on-node-3']).code, 0);
  });

  it('shows a killed host as Down, and heals it with what ran on it and without what was stopped', async () => {
    await lab.hosts.kill('node-2');
    await waitFor('node-2 Down', 20, async () => (await lab.swarm.nodes()).some(({ hostname, status }) => hostname === 'node-2' && status === 'Down'));
    assert.deepEqual(running(), ['node-1/on-node-1', 'node-3/on-node-3']);
    assert.match(docker(['inspect', 'node-2/on-node-2']).stderr, /node node-2 cannot be reached/);
    assert.match(docker(['run', '--rm', '-e', 'constraint:node==node-2', IMAGE, 'true']).stderr, /Unable to find a node/);
    assert.deepEqual(await healLab(lab), ['node-2']);
    assert.deepEqual(running(), ['node-1/on-node-1', 'node-2/on-node-2', 'node-3/on-node-3']);
    assert.equal(docker(['exec', 'node-2/on-node-2', 'ls', '/kept']).stdout, 'file');
  });

  it('cuts a host off and connects it again with its containers still running', async () => {
    const started = docker(['inspect', '--format', '{{.State.StartedAt}}', 'node-1/on-node-1']).stdout;
    await lab.hosts.cut('node-1');
    assert.equal((await labStatus(lab)).nodes[0]!.host, 'cut off');
    await waitFor('node-1 Down', 20, async () => (await lab.swarm.nodes()).some(({ hostname, status }) => hostname === 'node-1' && status === 'Down'));
    assert.notEqual(ssh(lab, `root@${lab.names.addresses['node-1']}`, 'true').code, 0);
    await healLab(lab);
    assert.equal(docker(['inspect', '--format', '{{.State.StartedAt}}', 'node-1/on-node-1']).stdout, started);
    assert.equal(ssh(lab, `root@${lab.names.addresses['node-1']}`, 'hostname').stdout, 'node-1');
  });

  it('does not bring back what ran on a host that was taken out of the Swarm while it was down', async () => {
    await lab.hosts.kill('node-3');
    await lab.swarm.waitMissed('node-3');
    const entry = (await lab.swarm.nodes()).find(({ hostname }) => hostname === 'node-3')!;
    assert.equal(docker(['node', 'rm', '--force', entry.id]).code, 0);
    assert.deepEqual(await healLab(lab), ['node-3']);
    assert.deepEqual((await labStatus(lab)).nodes[2], { name: 'node-3', host: 'running', swarm: 'absent', replicaId: null, replica: null, containers: { running: 0, total: 1 } });
    assert.deepEqual(running(), ['node-1/on-node-1', 'node-2/on-node-2']);
  });

  it('rebuilds a host empty under its name and address, with a host key that known_hosts does not have', async () => {
    const { hostKey } = await rebuild(lab, 'node-3', { images: false, trust: false });
    assert.match(hostKey, /^ssh-ed25519 [A-Za-z0-9+/]+=*$/);
    assert.match(ssh(lab, `ops@${lab.names.addresses['node-3']}`, 'true').stderr, /Host key verification failed/);
    assert.equal((await lab.hosts.exec('node-3', ['docker', 'images', '--quiet'])).stdout, '');
    assert.equal((await lab.hosts.exec('node-3', ['docker', 'ps', '--all', '--quiet'])).stdout, '');
    await lab.state.trustHostKeys(lab.names);
    assert.equal(ssh(lab, `ops@${lab.names.addresses['node-3']}`, 'hostname').stdout, 'node-3');
    assert.deepEqual(running(), ['node-1/on-node-1', 'node-2/on-node-2']);
  });

  it('says in one sentence which hosts there are when a name is wrong, and passes exit codes of exec on', () => {
    const main = (...args: string[]) => spawnSync('npx', ['tsx', MAIN, ...args], { encoding: 'utf8', env: { ...process.env, DRYDOCK_LAB: lab.names.name } });
    const wrong = main('cut', 'node-7');
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /there is no node node-7; the nodes are node-1, node-2, node-3/);
    const executed = main('exec', 'node-1', '--json', '--', 'sh', '-c', 'hostname; exit 5');
    assert.equal(executed.status, 5);
    assert.deepEqual(JSON.parse(executed.stdout), { host: 'node-1', code: 5, stdout: 'node-1\n', stderr: '' });
  });

  it('takes the same lab up twice without a change', async () => {
    const before = docker(['info', '--format', '{{.ID}}']).stdout;
    const again = spawnSync('npx', ['tsx', MAIN, 'up', '--bare', '--json'], { encoding: 'utf8', env: { ...process.env, DRYDOCK_LAB: lab.names.name } });
    assert.deepEqual(JSON.parse(again.stdout), JSON.parse(JSON.stringify(await describeLab(lab))));
    assert.equal(docker(['info', '--format', '{{.ID}}']).stdout, before);
  });

  it('removes all of a lab, and only that lab', () => {
    spawnSync('docker', ['volume', 'create', '--label', 'drydock.lab=test-other', 'drydock-test-other']);
    try {
      const { status } = spawnSync('npx', ['tsx', MAIN, 'down'], { env: { ...process.env, DRYDOCK_LAB: lab.names.name } });
      assert.equal(status, 0);
      assert.equal(leftovers(lab.names.name), '');
      assert.equal(existsSync(lab.state.dir), false);
      assert.notEqual(leftovers('test-other'), '');
    } finally {
      spawnSync('docker', ['volume', 'rm', 'drydock-test-other']);
    }
  });
});

describe('lab up', function () {
  this.timeout(120_000);
  const name = 'test-break-off';
  const env = { ...process.env, DRYDOCK_LAB: name };
  const stateDir = path.resolve(__dirname, '../../.drydock/lab', name);

  after(() => {
    spawnSync('npx', ['tsx', MAIN, 'down'], { env });
  });

  it('leaves nothing behind when it is interrupted', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', MAIN, 'up', '--bare'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
    const exit = new Promise<number | null>((resolve) => child.on('close', resolve));
    await waitFor('the hosts being made', 60, () => Promise.resolve(output.includes('· four hosts')));
    await sleep(500);
    assert.notEqual(leftovers(name), '');
    child.kill('SIGINT');
    assert.equal(await exit, 130);
    assert.equal(leftovers(name), '');
    assert.equal(existsSync(stateDir), false);
  });
});
