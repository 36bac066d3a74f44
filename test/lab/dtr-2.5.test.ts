import assert from 'node:assert/strict';
import { waitFor } from '../../lab/hosts/process';
import { readArchive } from './archive';
import { DtrLab } from './dtr-lab';
import { writeImage } from './image-folder';

interface Job {
  id: string;
  status: string;
}

describe('stand-in DTR 2.5.3, one replica on a local volume', function () {
  this.timeout(240_000);
  let dtr: DtrLab;
  let kept: string;
  let id: string;

  const volume = (): string => `/var/lib/docker/volumes/dtr-registry-${id}/_data`;
  const blobFile = (digest: string): string => `${volume()}/docker/registry/v2/blobs/sha256/${digest.slice(7, 9)}/${digest.slice(7)}/data`;
  const exists = (file: string): boolean => dtr.on('node-1', `test -e ${file}`).code === 0;

  before(async () => {
    dtr = await DtrLab.start('test-dtr25', '2.5.3', 1, 'local');
    id = dtr.ids[0]!;
    kept = writeImage(dtr.file('image'));
    await dtr.api('POST', '/api/v0/repositories/infra', { name: 'base' });
    assert.equal(dtr.push('image', 'infra/base:1').code, 0);
  });

  after(() => dtr?.stop());

  it('keeps blobs by digest and tags as link files, as Distribution does', () => {
    assert.ok(exists(blobFile(kept)));
    assert.equal(dtr.on('node-1', `cat ${volume()}/docker/registry/v2/repositories/infra/base/_manifests/tags/1/current/link`).stdout, kept);
    assert.equal(dtr.pull(`infra/base@${kept}`, 'back').code, 0);
  });

  it('makes repositories on push, private ones, and gives what is public to everyone', () => {
    assert.equal(dtr.push('image', 'alice/new:1', 'alice').code, 0);
    assert.notEqual(dtr.pull('alice/new:1', 'back', '').code, 0);
    assert.equal(dtr.pull('infra/base:1', 'back', '').code, 0);
  });

  it('sweeps untagged images off the disk in a collection', async () => {
    const gone = writeImage(dtr.file('second'));
    assert.equal(dtr.push('second', 'infra/base:2').code, 0);
    assert.equal((await dtr.api('DELETE', '/api/v0/repositories/infra/base/tags/2')).status, 204);
    assert.ok(exists(blobFile(gone)));
    const { body } = await dtr.api<Job>('POST', '/api/v0/jobs', { action: 'gc' });
    await waitFor('the collection', 30, async () => (await dtr.api<Job>('GET', `/api/v0/jobs/${body.id}`)).body.status === 'done');
    assert.ok(!exists(blobFile(gone)));
    assert.ok(exists(blobFile(kept)));
    assert.equal(dtr.pull('infra/base:1', 'back').code, 0);
  });

  it('updates the vulnerability database online, or says that it failed', async () => {
    type Status = { db_version: number; db_updated_at: string; lastDBUpdateFailed: boolean };
    const status = async (): Promise<Status> => (await dtr.api<Status>('GET', '/api/v0/imagescan/status')).body;
    await dtr.api('POST', '/api/v0/meta/settings', { scanningEnabled: true });
    await waitFor('the first update', 20, async () => (await status()).db_version > 0);
    await dtr.api('PUT', '/api/v0/lab/knobs', { failOnlineUpdate: 1 });
    assert.equal((await dtr.api('PUT', '/api/v0/imagescan/scan/update?online=true')).status, 200);
    await waitFor('the failure', 20, async () => (await status()).lastDBUpdateFailed);
    await dtr.api('PUT', '/api/v0/lab/knobs', { failOnlineUpdate: 0 });
  });

  it('restores from an archive of older tables, without the collection cron and without a storage flag of newer versions', async () => {
    const backup = dtr.bootstrapper(['backup', '--existing-replica-id', id]);
    assert.equal(backup.code, 0, backup.stderr);
    const { root, tables } = await readArchive(backup.output);
    assert.equal(root, 'dtr-backup-v2.5.3');
    assert.ok(!tables.has('blobs') && !tables.has('blob_links'));
    assert.deepEqual(tables.get('crons')!.map((row) => row.action).sort(), ['license_update', 'update_vuln_db']);

    const images = dtr.on('node-1', `tar -C ${volume()} -cf - .`).output;
    assert.equal(dtr.bootstrapper(['destroy', '--replica-id', id]).code, 0);
    assert.equal(dtr.on('node-1', `docker volume ls -q | grep -c ${id}`).stdout.trim(), '0');
    dtr.on('node-1', `docker volume create dtr-registry-${id} && tar -C ${volume()} -xf -`, images);

    const flags = ['--replica-id', id, '--ucp-node', 'node-1', '--dtr-external-url', `https://${dtr.host}`];
    assert.match(dtr.bootstrapper(['restore', ...flags, '--dtr-use-default-storage'], { input: backup.output }).stderr, /not defined: -dtr-use-default-storage/);
    const restore = dtr.bootstrapper(['restore', ...flags], { input: backup.output });
    assert.equal(restore.code, 0, restore.stderr);
    await waitFor('the load balancer', 20, async () => (await dtr.api('GET', '/_ping').catch(() => null))?.status === 200);
    assert.equal(dtr.pull(`infra/base@${kept}`, 'back').code, 0);
    // The database of vulnerabilities is in no backup.
    assert.equal((await dtr.api<{ db_version: number }>('GET', '/api/v0/imagescan/status')).body.db_version, 0);
  });
});
