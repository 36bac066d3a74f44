import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { connectEngine } from '../../adapters/docker/dockerode';
import type { Engine } from '../../adapters/docker/engine';
import { connectHost } from '../../adapters/host/ssh';
import { bundleFor, engineAddress, loadBundle, saveBundle } from '../../adapters/ucp/bundle';
import { connectUcp } from '../../adapters/ucp/client';
import { connectUcpEngine } from '../../adapters/ucp/engine';
import type { Bundle, Ucp } from '../../adapters/ucp/ucp';
import { clusterSchema, hostSchema, type ClusterConfig } from '../../domain/config';
import type { DrydockError } from '../../domain/errors';
import { openLab } from '../../lab/cli/context';
import { until } from '../workflows/fixtures/harness';
import { bareLabUp, labDown, type BareLab } from '../helpers/bare-lab';
import { failure } from '../helpers/failure';
import { freePort } from '../helpers/free-port';
import { noise } from '../helpers/noise';
import { TestCa } from '../helpers/pki';

const LAB = process.env.DRYDOCK_LAB ?? 'adapters';
const IMAGE = 'debian:bookworm-slim';
const labels = { 'drydock.test': randomBytes(4).toString('hex') };
const LABEL = `drydock.test=${labels['drydock.test']}`;

describe('UCP of the lab', function () {
  this.timeout(300_000);
  let lab: BareLab;
  let ucp: Ucp;
  let engine: Engine;
  let bundle: Bundle;
  let dir: string;

  const config = (extra: Partial<Record<keyof ClusterConfig['ucp'], unknown>> = {}): ClusterConfig['ucp'] =>
    clusterSchema.shape.ucp.parse({ urls: [lab.ucpUrl], caFile: lab.ucpCa, username: 'admin', password: `file:${lab.passwordFile}`, ...extra });
  const alice = () => config({ username: 'alice', password: `file:${path.join(path.dirname(lab.passwordFile), 'alice')}` });
  const sh = (script: string) => ({ image: IMAGE, command: ['sh', '-c', script], labels });

  before(async () => {
    dir = mkdtempSync(path.join(tmpdir(), 'drydock-ucp-'));
    lab = await bareLabUp(LAB);
    ucp = await connectUcp(config());
    bundle = await loadBundle(lab.bundle);
    engine = connectEngine(engineAddress(bundle));
  });
  after(async () => {
    await ucp?.close();
    engine?.close();
    rmSync(dir, { recursive: true, force: true });
    if (process.env.DRYDOCK_LAB === undefined) await labDown(LAB);
  });

  describe('the login', () => {
    it('knows an administrator from another user', async () => {
      assert.equal(await ucp.isAdmin(), true);
      const other = await connectUcp(alice());
      assert.equal(await other.isAdmin(), false);
      await other.close();
    });

    it('is refused at once for a wrong password, without trying the next address', async () => {
      const wrong = path.join(dir, 'wrong');
      writeFileSync(wrong, 'not it');
      const error = await failure(connectUcp(config({ urls: [lab.ucpUrl, 'https://127.0.0.1:9'], password: `file:${wrong}` })), 'AuthRejected');
      assert.match(error.remedy ?? '', /ucp\.password/);
    });

    it('goes to the next address when one does not answer', async () => {
      const made = await connectUcp(config({ urls: ['https://127.0.0.1:9', lab.ucpUrl] }));
      assert.equal(made.url, lab.ucpUrl);
      assert.equal(await made.ping(), true);
      await made.close();
      await failure(connectUcp(config({ urls: ['https://127.0.0.1:9', 'https://127.0.0.1:10'] })), 'UcpUnavailable');
    });

    it('is not sent to a UCP that another authority vouches for', async () => {
      const other = new TestCa();
      await failure(connectUcp(config({ caFile: other.caFile })), 'TlsRejected');
      other.remove();
    });

    it('lists users and organisations, and gives the CA that the lab uses', async () => {
      const accounts = await ucp.accounts();
      for (const name of ['admin', 'alice', 'acme']) assert.ok(accounts.some((account) => account.name === name), name);
      assert.equal(accounts.find(({ name }) => name === 'acme')?.isOrg, true);
      assert.equal((await ucp.ca()).trim(), readFileSync(lab.ucpCa, 'utf8').trim());
    });
  });

  describe('the client bundle', () => {
    it('is fetched once, kept for its owner only, and used again', async () => {
      let fetched = 0;
      const counting = { fetchBundle: () => (fetched++, ucp.fetchBundle()) };
      const first = await bundleFor('lab', config(), dir, counting);
      const second = await bundleFor('lab', config(), dir, counting);
      assert.deepEqual(second, first);
      assert.equal(fetched, 1);
      assert.equal(statSync(path.join(dir, 'bundles', 'lab', 'key.pem')).mode & 0o777, 0o600);
      assert.equal(statSync(path.join(dir, 'bundles', 'lab')).mode & 0o077, 0);
      const own = connectEngine(engineAddress(first));
      assert.equal((await own.info()).isUcp, true);
      own.close();
    });

    it('of another UCP is refused', async () => {
      const other = new TestCa('Another UCP');
      await failure(connectEngine({ ...engineAddress(bundle), ca: other.cert, ...other.issue([]) }).info(), 'TlsRejected');
      const half = connectEngine({ ...engineAddress(bundle), ...other.issue([]) });
      const error = await half.info().then(() => undefined, (reason: unknown) => reason as Error);
      assert.ok(error !== undefined, 'a certificate of another authority was let in');
      other.remove();
    });

    it('leads to the manager that answers, and is fetched anew when UCP does not know it any more', async () => {
      const other = new TestCa('Another UCP');
      const kept = path.join(dir, 'bundles', 'again');
      await saveBundle(kept, { ...bundle, dockerHost: `tcp://127.0.0.1:${await freePort()}` });
      const moved = await connectUcpEngine({ clusterName: 'again', config: config(), stateDir: dir, ucp });
      assert.deepEqual([moved.note, moved.where.split(':')[0]], [undefined, new URL(lab.ucpUrl).hostname]);
      moved.engine.close();
      await saveBundle(kept, { ...bundle, ...other.issue([], { days: 100 }) });
      utimesSync(kept, new Date(0), new Date(0));
      const anew = await connectUcpEngine({ clusterName: 'again', config: config(), stateDir: dir, ucp });
      assert.match(anew.note ?? '', /was forgotten, and a new one was fetched/);
      assert.ok((await anew.engine.nodes()).length > 0);
      anew.engine.close();
      other.remove();
    });

    it('of a user who is no administrator may not do what needs one', async () => {
      const other = await connectUcp(alice());
      const weak = connectEngine(engineAddress(await bundleFor('alice', alice(), dir, other)));
      await failure(weak.nodes(), 'NotPermitted');
      await failure(weak.removeNode('whatever'), 'NotPermitted');
      weak.close();
      await other.close();
    });
  });

  describe('the Docker API', () => {
    it('shows itself as UCP, with the nodes of the Swarm', async () => {
      const info = await engine.info();
      assert.match(info.serverVersion, /ucp\//);
      assert.ok(info.clusterId !== undefined && info.clusterId !== '');
      const nodes = await engine.nodes();
      assert.deepEqual(nodes.filter(({ role }) => role === 'worker').map(({ hostname, state }) => `${hostname} ${state}`).sort(), ['node-1 ready', 'node-2 ready', 'node-3 ready']);
    });

    it('places a run on the node that it is given', async () => {
      for (const node of ['node-1', 'node-3']) {
        const id = await engine.start({ image: IMAGE, command: ['sleep', '600'], labels, node });
        const found = (await engine.containers({ labels: [LABEL] })).find((container) => container.id === id);
        assert.match(found?.names[0] ?? '', new RegExp(`^${node}/`));
        assert.equal((await engine.container(id)).node, node);
        assert.equal((await engine.container(found!.names[0]!)).id, id);
        await engine.removeContainer(id, { force: true });
      }
    });

    it('says so when the node does not exist', async () => {
      const error = await failure(engine.run({ ...sh('true'), node: 'node-9' }), 'NotFound');
      assert.match(error.remedy ?? '', /node/);
    });

    it('gives output, errors and the exit code of short runs each time', async () => {
      for (let n = 0; n < 10; n++) {
        const result = await engine.run({ ...sh('echo out; echo err >&2; exit 3'), node: 'node-2' });
        assert.deepEqual({ ...result, stdout: result.stdout.toString() }, { exitCode: 3, stdout: 'out\n', stderr: 'err\n' });
      }
    });

    it('carries 100 MiB in and out unchanged, and the end of the input arrives', async () => {
      const sent = createHash('sha256');
      const received = createHash('sha256');
      const result = await engine.run({ ...sh('cat; echo done >&2'), node: 'node-1', stdin: Readable.from(noise(100, sent)), onStdout: async (stream) => {
        for await (const chunk of stream as AsyncIterable<Buffer>) received.update(chunk);
      } });
      assert.deepEqual([result.exitCode, result.stderr], [0, 'done\n']);
      assert.equal(received.digest('hex'), sent.digest('hex'));
    });

    it('does not hang when a container ends early with a large input', async () => {
      const started = Date.now();
      const result = await engine.run({ ...sh('head -c 10 >/dev/null; echo refused >&2; exit 1'), stdin: Readable.from(noise(300, createHash('sha256'))) });
      assert.deepEqual([result.exitCode, result.stderr], [1, 'refused\n']);
      assert.ok(Date.now() - started < 15_000, `${Date.now() - started} ms`);
    });

    it('kills and removes the container when the signal fires', async () => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(new Error('cancelled')), 1_500);
      await assert.rejects(engine.run({ ...sh('sleep 600'), node: 'node-1', signal: controller.signal }), /cancelled/);
      assert.deepEqual(await engine.containers({ labels: [LABEL] }), []);
    });

    it('finds a volume by its node', async () => {
      const name = `drydock-test-${labels['drydock.test']}`;
      await engine.run({ ...sh('true'), node: 'node-2', binds: [`${name}:/held`] });
      assert.equal((await engine.volume(`node-2/${name}`))?.driver, 'local');
      assert.equal(await engine.volume(`node-1/${name}`), null);
      assert.ok((await engine.volumes()).some((volume) => volume.name === `node-2/${name}`));
      await engine.removeVolume(`node-2/${name}`);
      assert.equal(await engine.volume(`node-2/${name}`), null);
    });

    it('says which image is missing', async () => {
      assert.equal(await engine.hasImage(IMAGE), true);
      assert.equal(await engine.hasImage('docker/dtr:9.9.9'), false);
      await failure(engine.run({ image: 'docker/dtr:9.9.9', command: [], node: 'node-1' }), 'NotFound');
    });
  });

  it('lets the hosts be reached over SSH as root and as an ordinary user with sudo', async () => {
    const hosts = Object.fromEntries(lab.nodes.map(({ name, host, port, user, keyFile }) => [name, hostSchema.parse({
      address: host, port, user, key: `file:${keyFile}`, ...(user === 'root' ? {} : { sudoPassword: `file:${path.join(path.dirname(lab.passwordFile), user)}` }),
    })]));
    for (const [name, host] of Object.entries(hosts)) {
      const connected = await connectHost(name, host, { knownHosts: lab.knownHosts, hosts });
      assert.equal((await connected.exec(['id', '-u'])).stdout, '0\n');
      assert.match((await connected.exec(['docker', 'info', '-f', '{{.Name}}'])).stdout, new RegExp(name));
      await connected.close();
    }
  });

  describe('a Swarm that has lost the majority of its managers', () => {
    const hosts = openLab(undefined, LAB).hosts;
    const onManager = (...command: string[]) => hosts.exec('ucp', ['docker', ...command]);

    it('has no members to show, and what brings them back is said', async () => {
      await onManager('node', 'promote', 'node-1', 'node-2');
      const isManager = async (): Promise<number> => (await engine.nodes()).filter(({ role }) => role === 'manager').length;
      await until(async () => (await isManager()) === 3 || undefined, 'three managers');
      await Promise.all([hosts.kill('node-1'), hosts.kill('node-2')]);
      const error = await until(async () => engine.nodes().then(() => undefined, (thrown: unknown) => (/does not have a leader/.test(String(thrown)) ? (thrown as DrydockError) : undefined)), 'the end of the leader', 90);
      assert.deepEqual([error.kind, error.retryable], ['EngineUnavailable', true]);
      assert.match(error.remedy ?? '', /^bring managers of the Swarm back; .*docker swarm init --force-new-cluster/);
    });

    it('begins anew with one of them by that remedy: Docker takes no demotion of the others any more, counts them as managers no longer, and removes them', async () => {
      await onManager('swarm', 'init', '--force-new-cluster', '--advertise-addr', hosts.names.addresses.ucp);
      const lost = await until(async () => {
        const nodes = await engine.nodes().catch(() => []);
        const found = nodes.filter(({ hostname }) => hostname === 'node-1' || hostname === 'node-2');
        return nodes.length > 0 && found.every(({ state }) => state !== 'ready') ? found : undefined;
      }, 'the Swarm', 90);
      assert.match((await onManager('node', 'inspect', 'node-1', 'node-2', '--format', '{{.Spec.Role}} {{.ManagerStatus}}')).stdout, /^manager <nil>\s+manager <nil>$/);
      assert.deepEqual(lost.map(({ role }) => role), ['worker', 'worker']);
      await assert.rejects(onManager('node', 'demote', 'node-1'), /can't find manager in raft memberlist/);
      for (const { id } of lost) await engine.removeNode(id);
      assert.deepEqual((await engine.nodes()).map(({ hostname }) => hostname).sort(), ['node-3', 'ucp']);
    });
  });
});
