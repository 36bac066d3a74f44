import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import Dockerode from 'dockerode';
import type { Lab } from '../../lab/cli/context';
import { HOST_IMAGE } from '../../lab/hosts/image';
import { runBinary, run } from '../../lab/hosts/process';
import { ask, dockerThroughUcp, startBareLab, stopLab } from './bare-lab';

const IMAGE = 'debian:bookworm-slim';

describe('UCP of the lab', function () {
  this.timeout(120_000);
  let lab: Lab;
  let temporary: string;
  const docker = (args: string[], input?: Buffer | string) => dockerThroughUcp(lab, args, input === undefined ? {} : { input });
  const read = (directory: string, name: string): string => readFileSync(path.join(directory, name), 'utf8');

  before(async () => {
    temporary = mkdtempSync(path.join(os.tmpdir(), 'lab-ucp-'));
    lab = await startBareLab('test-ucp');
  });

  after(async () => {
    await stopLab(lab);
    rmSync(temporary, { recursive: true, force: true });
  });

  async function bundleOf(user: string): Promise<string> {
    const directory = lab.state.file(`bundle-${user}`);
    await lab.ucp.fetchBundle(user, directory);
    return directory;
  }

  it('answers /_ping and /ca to anyone and 404 to HEAD /_ping', async () => {
    assert.deepEqual(await ask(lab, 'GET', '/_ping'), { status: 200, body: 'OK' });
    assert.equal((await ask(lab, 'HEAD', '/_ping')).status, 404);
    assert.equal((await ask(lab, 'GET', '/ca')).body, readFileSync(lab.ucp.caFile, 'utf8'));
  });

  it('refuses a wrong password, an unknown user and a call without a login with 401', async () => {
    assert.equal((await ask(lab, 'POST', '/auth/login', { form: { username: 'admin', password: 'wrong' } })).status, 401);
    assert.equal((await ask(lab, 'POST', '/auth/login', { form: { username: 'nobody', password: 'wrong' } })).status, 401);
    assert.equal((await ask(lab, 'GET', '/accounts/')).status, 401);
    assert.equal((await ask(lab, 'GET', '/containers/json')).status, 401);
    assert.equal((await ask(lab, 'GET', '/api/clientbundle', { token: 'made-up' })).status, 401);
  });

  it('gives a bundle with a new key pair each time, and both work', async () => {
    const first = path.join(lab.state.dir, 'bundle-1');
    const second = path.join(lab.state.dir, 'bundle-2');
    await lab.ucp.fetchBundle('admin', first);
    await lab.ucp.fetchBundle('admin', second);
    assert.notEqual(read(first, 'key.pem'), read(second, 'key.pem'));
    assert.equal(read(first, 'ca.pem'), readFileSync(lab.ucp.caFile, 'utf8'));
    assert.match(read(first, 'env.sh'), new RegExp(`export DOCKER_HOST=tcp://${lab.names.addresses.ucp}:443`));
    for (const name of ['cert.pem', 'cert.pub', 'env.cmd', 'env.ps1']) assert.notEqual(read(first, name), '');
    for (const bundle of [first, second]) {
      assert.match(dockerThroughUcp(lab, ['version', '--format', '{{.Server.Version}}'], { bundle }).stdout, /^ucp\//);
    }
  });

  it("breaks the connection of a client with a certificate of another UCP's CA", async () => {
    const tar = await runBinary('docker', ['run', '--rm', '--network', 'none', '--entrypoint', 'bash', HOST_IMAGE, '/usr/local/lib/lab/keys.sh', 'all', 'ucp=127.0.0.9']);
    await run('tar', ['-x', '-C', temporary], { input: tar });
    const foreign = { cert: read(temporary, 'ucp/engine-cert.pem'), key: read(temporary, 'ucp/engine-key.pem') };
    await assert.rejects(ask(lab, 'GET', '/containers/json', foreign), /socket hang up|ECONNRESET/);
    const own = { cert: read(lab.ucp.bundleDir, 'cert.pem'), key: read(lab.ucp.bundleDir, 'key.pem') };
    assert.equal((await ask(lab, 'GET', '/containers/json', own)).status, 200);
  });

  it('lists accounts page by page with stable ids, and says who is an administrator', async () => {
    const token = await lab.ucp.login('admin');
    const names: string[] = [];
    let start: string | undefined = '';
    do {
      const page = JSON.parse((await ask(lab, 'GET', `/accounts/?limit=2&start=${start}`, { token })).body) as { accounts: { name: string }[]; nextPageStart: string };
      assert.ok(page.accounts.length <= 2);
      names.push(...page.accounts.map(({ name }) => name));
      start = page.nextPageStart === '' ? undefined : page.nextPageStart;
    } while (start !== undefined);
    assert.deepEqual(names, ['acme', 'admin', 'alice', 'bob', 'infra']);
    const alice = JSON.parse((await ask(lab, 'GET', '/accounts/alice', { token })).body) as { id: string; isAdmin: boolean; isOrg: boolean };
    assert.match(alice.id, /^[0-9a-f-]{36}$/);
    assert.deepEqual([alice.isAdmin, alice.isOrg], [false, false]);
    const self = JSON.parse((await ask(lab, 'GET', '/id/', { token: await lab.ucp.login('alice') })).body) as { id: string };
    assert.equal(self.id, alice.id);
    const teams = JSON.parse((await ask(lab, 'GET', '/accounts/acme/teams/developers/members', { token })).body) as { members: { member: { name: string } }[] };
    assert.deepEqual(teams.members.map(({ member }) => member.name), ['alice', 'bob']);
  });

  it('lets an administrator make and remove accounts, and nobody else', async () => {
    const token = await lab.ucp.login('admin');
    const bob = await lab.ucp.login('bob');
    const form = { name: 'carol', password: 'long enough', isOrg: false };
    assert.equal((await ask(lab, 'POST', '/accounts/', { token: bob, form })).status, 403);
    assert.equal((await ask(lab, 'POST', '/accounts/', { token, form })).status, 201);
    assert.equal((await ask(lab, 'POST', '/auth/login', { form: { username: 'carol', password: 'long enough' } })).status, 200);
    assert.equal((await ask(lab, 'DELETE', '/accounts/carol', { token: bob })).status, 403);
    assert.equal((await ask(lab, 'DELETE', '/accounts/carol', { token })).status, 204);
    assert.equal((await ask(lab, 'GET', '/accounts/carol', { token })).status, 404);
  });

  it('places a container by constraint, on a random worker without one, and refuses a node that is not there', () => {
    assert.equal(docker(['run', '--rm', '-e', 'constraint:node==node-2', IMAGE, 'sh', '-c', 'env']).stdout.includes('constraint'), false);
    assert.equal(docker(['create', '--name', 'placed', '-e', 'constraint:node==node-2', IMAGE, 'true']).code, 0);
    assert.equal(docker(['inspect', '--format', '{{.Node.Name}} {{.Name}}', 'placed']).stdout, 'node-2 /placed');
    const seen = new Set<string>();
    for (let index = 0; index < 20 && seen.size < 2; index += 1) {
      const id = docker(['create', IMAGE, 'true']).stdout;
      seen.add(docker(['inspect', '--format', '{{.Node.Name}}', id]).stdout);
      docker(['rm', id]);
    }
    assert.ok(seen.size > 1 && !seen.has('ucp'), `seen ${[...seen].join(', ')}`);
    assert.match(docker(['run', '--rm', '-e', 'constraint:node==node-9', IMAGE, 'true']).stderr, /Unable to find a node that satisfies/);
    assert.equal(docker(['rm', 'placed']).code, 0);
  });

  it('shows containers and volumes of all nodes as <node>/<name>', () => {
    for (const node of ['node-1', 'node-3']) docker(['run', '-d', '--name', `here-${node}`, '-v', 'data:/data', '-e', `constraint:node==${node}`, IMAGE, 'sleep', '1000']);
    try {
      const names = docker(['ps', '--filter', 'name=here-', '--format', '{{.Names}}']).stdout.split('\n').sort();
      assert.deepEqual(names, ['node-1/here-node-1', 'node-3/here-node-3']);
      assert.equal(docker(['exec', '-i', 'node-3/here-node-3', 'sh', '-c', 'cat; hostname > /data/x'], 'through exec').stdout, 'through exec');
      assert.deepEqual(docker(['volume', 'ls', '--quiet', '--filter', 'name=data']).stdout.split('\n').sort(), ['node-1/data', 'node-3/data']);
      assert.equal(docker(['volume', 'inspect', '--format', '{{.Name}} {{.Mountpoint}}', 'node-3/data']).stdout, 'node-3/data /var/lib/docker/volumes/data/_data');
      assert.match(docker(['volume', 'inspect', 'data']).stderr, /several nodes/);
      assert.match(docker(['run', '--name', 'here-node-1', '-e', 'constraint:node==node-2', IMAGE, 'true']).stderr, /already assigned to a container on node node-1/);
    } finally {
      for (const node of ['node-1', 'node-3']) {
        docker(['rm', '--force', `${node}/here-${node}`]);
        docker(['volume', 'rm', `${node}/data`]);
      }
    }
    assert.equal(docker(['volume', 'ls', '--quiet', '--filter', 'name=data']).stdout, '');
  });

  it('carries standard input to its end and the output that comes after it, with the exit status, for the Docker client', () => {
    const input = randomBytes(20 << 20);
    const { code, stdout } = docker(['run', '-i', '--rm', '--log-driver', 'none', '-e', 'constraint:node==node-1', IMAGE, 'sh', '-c', 'sha256sum; sleep 1; echo late; exit 7'], input);
    assert.equal(stdout, `${createHash('sha256').update(input).digest('hex')}  -\nlate`);
    assert.equal(code, 7);
  });

  it('does the same for dockerode, which announces a body with attach', async () => {
    const input = randomBytes(5 << 20);
    const client = new Dockerode({ host: lab.names.addresses.ucp, port: 443, protocol: 'https', ca: read(lab.ucp.bundleDir, 'ca.pem'), cert: read(lab.ucp.bundleDir, 'cert.pem'), key: read(lab.ucp.bundleDir, 'key.pem') });
    const container = await client.createContainer({
      Image: IMAGE,
      Cmd: ['sh', '-c', 'sha256sum; sleep 1; echo late'],
      Env: ['constraint:node==node-2'],
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
      AttachStdout: true,
      HostConfig: { AutoRemove: true, LogConfig: { Type: 'none', Config: {} } },
    });
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, hijack: true });
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    const ended = new Promise((resolve) => stream.on('end', resolve));
    const exit = container.wait({ condition: 'removed' });
    await container.start();
    stream.end(input);
    assert.equal(((await exit) as { StatusCode: number }).StatusCode, 0);
    await ended;
    // Each output frame has a header of eight bytes; what is left is the text.
    const output = Buffer.concat(chunks).toString('latin1');
    assert.ok(output.includes(createHash('sha256').update(input).digest('hex')));
    assert.ok(output.includes('late\n'));
  });

  it('answers an error where a raw stream is asked for and cannot be given', () => {
    assert.match(docker(['attach', 'nobody']).stderr, /No such container: nobody/);
    assert.match(docker(['start', '--attach', 'nobody']).stderr, /No such container/);
  });

  it('refuses a user who is no administrator what is an administrator’s, and lets him run plain containers of his own', async () => {
    const bundle = await bundleOf('bob');
    const bob = (args: string[]) => dockerThroughUcp(lab, args, { bundle });
    docker(['run', '-d', '--name', 'of-admin', IMAGE, 'sleep', '1000']);
    assert.match(bob(['version', '--format', '{{.Server.Version}}']).stdout, /^ucp\//);
    assert.equal(bob(['run', '--rm', IMAGE, 'echo', 'mine']).stdout, 'mine');
    assert.equal(bob(['ps', '--quiet']).stdout, '');
    for (const args of [
      ['node', 'ls'],
      ['volume', 'create', 'node-1/x'],
      ['inspect', '--type', 'container', 'of-admin'],
      ['exec', 'of-admin', 'id'],
      ['run', '--rm', 'docker/dtr:2.5.3', 'images'],
      ['run', '--rm', 'mirantis/dtr:2.9.4', 'backup'],
      ['run', '--rm', '--privileged', IMAGE, 'true'],
      ['run', '--rm', '-v', '/:/host', IMAGE, 'true'],
    ]) {
      const { code, stderr } = bob(args);
      assert.notEqual(code, 0, args.join(' '));
      assert.match(stderr, /access denied/, args.join(' '));
    }
    docker(['rm', '--force', 'of-admin']);
  });

  it('keeps accounts and client certificates when its process is killed', async () => {
    const before = JSON.parse((await ask(lab, 'GET', '/accounts/acme', { token: await lab.ucp.login('admin') })).body) as { id: string };
    await lab.hosts.exec('ucp', ['pkill', '-9', 'node']);
    await lab.ucp.waitUp();
    const after = JSON.parse((await ask(lab, 'GET', '/accounts/acme', { token: await lab.ucp.login('admin') })).body) as { id: string };
    assert.equal(after.id, before.id);
    assert.equal(docker(['ps']).code, 0);
  });

  it('loads an image on all nodes', async () => {
    const tag = 'lab-test/loaded:1';
    await run('docker', ['import', '-', tag], { input: await runBinary('tar', ['-c', '-C', temporary, '.']) });
    const tar = await runBinary('docker', ['save', tag]);
    await run('docker', ['rmi', tag]);
    assert.equal(docker(['load'], tar).code, 0);
    for (const node of ['node-1', 'node-2', 'node-3']) assert.equal(docker(['create', '--name', `loaded-on-${node}`, '-e', `constraint:node==${node}`, tag, 'x']).code, 0);
  });
});
