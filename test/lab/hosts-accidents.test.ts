import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { bootstrapperImage } from '../../lab/contract';
import { breakLab } from '../../lab/cli/break';
import { openLab, type Lab } from '../../lab/cli/context';
import { replicaHealth } from '../../lab/cli/dtr';
import { healLab } from '../../lab/cli/heal';
import { pushToLab } from '../../lab/cli/push';
import { labStatus } from '../../lab/cli/status';
import { up } from '../../lab/cli/up';
import { waitFor } from '../../lab/hosts/process';
import { dockerThroughUcp, stopLab } from './bare-lab';

describe('accidents in a lab with DTR', function () {
  this.timeout(300_000);
  let lab: Lab;
  let id: string;

  before(async () => {
    lab = openLab(undefined, 'test-accidents');
    await up(lab, { dtr: '2.9.4', replicas: 1, storage: 'local' });
    id = (await lab.state.read()).replicaIds['node-1']!;
  });

  after(() => stopLab(lab));

  async function blobFiles(): Promise<number> {
    const { stdout } = await lab.hosts.exec('node-1', ['sh', '-c', `find /var/lib/docker/volumes/dtr-registry-${id}/_data -type f | wc -l`]);
    return Number(stdout);
  }

  it('has one healthy replica through UCP and through the load balancer', async () => {
    const status = await labStatus(lab);
    assert.equal(status.registry, 'healthy');
    assert.deepEqual(status.nodes.map(({ replicaId, replica }) => [replicaId, replica]), [[id, 'healthy'], [null, null], [null, null]]);
    const names = dockerThroughUcp(lab, ['ps', '--filter', 'name=dtr-', '--format', '{{.Names}}']).stdout.split('\n');
    assert.ok(names.includes(`node-1/dtr-registry-${id}`), names.join());
    assert.match(readFileSync(lab.state.file('dtr-ca.pem'), 'utf8'), /BEGIN CERTIFICATE/);
  });

  it('takes images and says which', async () => {
    const report = await pushToLab(lab, { repos: 2, tags: 2, mib: 2, seed: 7, client: 'auto' });
    assert.ok(report.images.length > 0);
    for (const { digest } of report.images) assert.match(digest, /^sha256:[0-9a-f]{64}$/);
    assert.ok((await blobFiles()) > 0);
  });

  it('loses a replica by its containers and heals it, twice', async () => {
    for (let round = 0; round < 2; round += 1) {
      assert.deepEqual(await breakLab(lab, 'replica', []), { broken: 'replica', nodes: ['node-1'] });
      assert.notEqual(await replicaHealth(lab, 'node-1'), 'healthy');
      assert.deepEqual(await healLab(lab), ['node-1']);
      assert.equal(await replicaHealth(lab, 'node-1'), 'healthy');
    }
  });

  it('loses the host of the replica and heals it with the registry on it', async () => {
    await breakLab(lab, 'node', ['node-1']);
    assert.equal((await labStatus(lab)).nodes[0]!.host, 'stopped');
    await healLab(lab);
    assert.equal((await labStatus(lab)).registry, 'healthy');
    assert.ok((await blobFiles()) > 0);
  });

  it('lets a node lose the vendor’s image', async () => {
    const image = bootstrapperImage('2.9.4');
    await lab.hosts.exec('node-2', ['docker', 'rmi', '--force', image]);
    assert.notEqual(dockerThroughUcp(lab, ['run', '--rm', '-e', 'constraint:node==node-2', image, 'images']).code, 0);
    assert.equal(dockerThroughUcp(lab, ['run', '--rm', '-e', 'constraint:node==node-3', image, 'images']).code, 0);
  });

  it('deletes the image blobs and leaves the registry running', async () => {
    await breakLab(lab, 'volume', []);
    assert.equal(await blobFiles(), 0);
    const { stdout } = await lab.hosts.exec('node-1', ['docker', 'inspect', '--format', '{{.State.Running}}', `dtr-registry-${id}`]);
    assert.equal(stdout, 'true');
  });

  it('deletes the metadata so that no heal brings the registry back', async () => {
    await breakLab(lab, 'metadata', []);
    await waitFor('the loss to show', 30, async () => (await replicaHealth(lab, 'node-1')) !== 'healthy');
    const { stdout } = await lab.hosts.exec('node-1', ['sh', '-c', `find /var/lib/docker/volumes/dtr-rethink-${id}/_data -type f | wc -l`]);
    assert.equal(stdout, '0');
  });
});
