import assert from 'node:assert/strict';
import { waitFor } from '../../lab/hosts/process';
import { readArchive } from './archive';
import { DtrLab } from './dtr-lab';
import { writeImage } from './image-folder';

interface Job {
  id: string;
  status: string;
}

interface ClusterStatus {
  replica_health: Record<string, string>;
}

describe('stand-in DTR 2.9.4, three replicas on shared storage', function () {
  this.timeout(240_000);
  let dtr: DtrLab;
  let kept: string;
  let archive: Buffer;

  const blobFiles = (): number => Number(dtr.on('node-1', 'find /srv/nfs/dtr/docker/registry/v2/blobs/id -name data | wc -l').stdout);
  const runJob = async (action: string, parameters: Record<string, string> = {}): Promise<void> => {
    const { body } = await dtr.api<Job>('POST', '/api/v0/jobs', { action, parameters });
    await waitFor(`the job ${action}`, 30, async () => ['done', 'error'].includes((await dtr.api<Job>('GET', `/api/v0/jobs/${body.id}`)).body.status));
  };
  const health = async (): Promise<Record<string, string>> => (await dtr.api<ClusterStatus>('GET', '/api/v0/meta/cluster_status')).body.replica_health;

  before(async () => {
    dtr = await DtrLab.start('test-dtr29', '2.9.4', 3, 'nfs');
    kept = writeImage(dtr.file('image'));
  });

  after(() => dtr?.stop());

  it('makes repositories on push where its settings say so, for those only who might make them by hand', async () => {
    assert.equal(dtr.push('image', 'bob/new:1', 'bob').code, 0);
    assert.match(dtr.push('image', 'acme/bobs:1', 'bob').stderr, /denied/);
    assert.match(dtr.push('image', 'nobody/new:1').stderr, /denied/);
    const { body } = await dtr.api<{ repositories: { name: string; visibility: string }[] }>('GET', '/api/v0/repositories', undefined, 'bob');
    assert.deepEqual(body.repositories.map(({ name, visibility }) => [name, visibility]), [['new', 'private']]);
    assert.equal((await dtr.api('DELETE', '/api/v0/repositories/bob/new', undefined, 'bob')).status, 204);
  });

  it('lets everyone pull what is public, without a login too, and nobody else what is private', async () => {
    for (const visibility of ['public', 'private']) {
      assert.equal((await dtr.api('POST', '/api/v0/repositories/acme', { name: visibility, visibility })).status, 201);
      assert.equal(dtr.push('image', `acme/${visibility}:1`).code, 0);
      assert.equal(dtr.pull(`acme/${visibility}:1`, 'back', '').code === 0, visibility === 'public');
      assert.equal((await dtr.api('DELETE', `/api/v0/repositories/acme/${visibility}`)).status, 204);
    }
  });

  it('takes pushes into existing repositories only, and only of those who may push', async () => {
    assert.equal((await dtr.api('POST', '/api/v0/meta/settings', { createRepositoryOnPush: false })).status, 202);
    assert.match(dtr.push('image', 'acme/app:1').stderr, /denied/);
    assert.equal((await dtr.api('POST', '/api/v0/repositories/acme', { name: 'app', visibility: 'private' })).status, 201);
    assert.equal((await dtr.api('POST', '/api/v0/repositories/acme', { name: 'app' })).status, 400);
    assert.equal(dtr.push('image', 'acme/app:1').code, 0);
    assert.equal((await dtr.api('POST', '/api/v0/repositories/alice', { name: 'own', visibility: 'private' }, 'alice')).status, 201);
    assert.equal(dtr.push('image', 'alice/own:1', 'alice').code, 0);
    assert.match(dtr.push('image', 'alice/own:2', 'bob').stderr, /denied/);
    assert.notEqual(dtr.pull('alice/own:1', 'stolen', 'bob').code, 0);
  });

  it('gives back what was pushed, by tag and by digest', () => {
    assert.equal(dtr.pull('acme/app:1', 'back').code, 0);
    assert.equal(dtr.pull(`acme/app@${kept}`, 'back').code, 0);
  });

  it('answers the API in the documented shapes', async () => {
    assert.deepEqual((await dtr.api('GET', '/_ping')).body, { Error: '', Healthy: true });
    assert.deepEqual((await dtr.api('GET', '/health')).body, { error: '', healthy: true });
    assert.deepEqual((await dtr.api('GET', '/api/v0/admin/version')).body, { version: '2.9.4' });
    assert.deepEqual(await dtr.api<{ errors: { code: string }[] }>('GET', '/api/v0/crons', undefined, 'admin', 'wrong').then((a) => [a.status, a.body.errors[0]!.code]), [401, 'NOT_AUTHENTICATED']);
    assert.deepEqual(await dtr.api<{ errors: { code: string }[] }>('GET', '/api/v0/crons', undefined, 'bob').then((a) => [a.status, a.body.errors[0]!.code]), [403, 'NOT_AUTHORIZED']);
    assert.deepEqual(await dtr.api<{ errors: { code: string }[] }>('GET', '/api/v0/imagescan/status').then((a) => [a.status, a.body.errors[0]!.code]), [400, 'SCANNING_NOT_ENABLED']);
    const settings = (await dtr.api<Record<string, unknown>>('GET', '/api/v0/meta/settings')).body;
    assert.deepEqual([settings.nfsHost, settings.nfsPath, settings.dtrHost], ['nas.lab', '/srv/nfs/dtr', dtr.host]);
    assert.deepEqual(Object.keys(settings.replicaSettings as object).sort(), [...dtr.ids].sort());
    assert.deepEqual(Object.values(await health()), ['OK', 'OK', 'OK']);
  });

  it('refuses pushes, not pulls, while it is read-only', async () => {
    assert.equal((await dtr.api('POST', '/api/v0/meta/settings', { readOnlyRegistry: true })).status, 202);
    writeImage(dtr.file('second'));
    assert.match(dtr.push('second', 'acme/app:2').stderr, /read-only mode/);
    assert.equal(dtr.pull('acme/app:1', 'back').code, 0);
    await dtr.api('POST', '/api/v0/meta/settings', { readOnlyRegistry: false });
    assert.equal(dtr.push('second', 'acme/app:2').code, 0);
  });

  it('really deletes in a collection what no tag leads to any more, and nothing else', async () => {
    const before = blobFiles();
    assert.equal((await dtr.api('DELETE', '/api/v0/repositories/acme/app/tags/2')).status, 204);
    await runJob('onlinegc', { graceSeconds: '0' });
    // Manifest, configuration and two layers of the second image.
    assert.equal(blobFiles(), before - 4);
    assert.equal(dtr.pull('acme/app:1', 'back').code, 0);
    assert.notEqual(dtr.pull('acme/app:2', 'gone').code, 0);
  });

  it('starts a cron at its time', async () => {
    assert.equal((await dtr.api('POST', '/api/v0/crons', { action: 'license_update', schedule: '*/2 * * * * *' })).status, 202);
    await waitFor('the cron', 15, async () => (await dtr.api<{ jobs: Job[] }>('GET', '/api/v0/jobs?action=license_update')).body.jobs.some((job) => job.status === 'done'));
    assert.equal((await dtr.api('DELETE', '/api/v0/crons/license_update')).status, 204);
    assert.equal((await dtr.api('GET', '/api/v0/crons/license_update')).status, 404);
  });

  it('writes an archive of 26 tables with the rows of what was pushed', async () => {
    const { code, output, stderr } = dtr.bootstrapper(['backup', '--existing-replica-id', dtr.ids[0]!]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /level=info msg="Backup complete\."/);
    archive = output;
    const { root, tables } = await readArchive(archive);
    assert.equal(root, 'dtr-backup-v2.9.4-online');
    assert.equal(tables.size, 26);
    const tag = tables.get('tags')!.find((row) => row.pk === 'acme/app:1');
    assert.equal(tag?.digestPK, `acme/app@${kept}`);
    const manifest = tables.get('blobs')!.find((row) => row.sha256sum === kept);
    assert.ok(manifest, 'the manifest is a blob');
    assert.match(dtr.on('node-2', `sha256sum /srv/nfs/dtr/docker/registry/v2/blobs/id/${String(manifest.id).slice(0, 2)}/${String(manifest.id)}/data`).stdout, new RegExp(`^${kept.slice(7)}`));
  });

  it('lets tables of an archive disagree when somebody pushes while it is written', async () => {
    await dtr.api('PUT', '/api/v0/lab/knobs', { backupTableDelayMs: 400 });
    let running = true;
    const backup = dtr.bootstrapperInBackground(['backup', '--existing-replica-id', dtr.ids[1]!]).finally(() => (running = false));
    for (let number = 0; running; number += 1) {
      writeImage(dtr.file('flying'), 1, 2000);
      await dtr.pushInBackground('flying', `acme/app:fly-${number}`);
    }
    const { tables } = await readArchive(await backup);
    await dtr.api('PUT', '/api/v0/lab/knobs', { backupTableDelayMs: 0 });
    const digests = (table: string, field: string): string => [...new Set(tables.get(table)!.map((row) => row[field]))].sort().join();
    const tags = digests('tags', 'digest');
    assert.ok(tags !== digests('manifests', 'digest') || tags !== [...new Set(tables.get('events')!.map((row) => (row.object as { digest: string }).digest))].sort().join());
  });

  it('lets two backups that are started together wait for each other, on whatever nodes', async () => {
    const both = await Promise.all(dtr.ids.slice(0, 2).map((id) => dtr.bootstrapperInBackground(['backup', '--existing-replica-id', id])));
    for (const one of both) assert.equal((await readArchive(one)).tables.size, 26);
  });

  describe('the bootstrapper refuses', () => {
    const refused = (args: string[], message: RegExp, options: Parameters<DtrLab['bootstrapper']>[1] = {}): void => {
      const { code, stderr, stdout } = dtr.bootstrapper(args, options);
      assert.equal(code, 1, stderr);
      assert.match(stderr + stdout, message);
    };

    it('a flag that it does not know', () => refused(['backup', '--no-such-flag'], /flag provided but not defined: -no-such-flag/));
    it('a wrong UCP password', () => refused(['backup'], /level=fatal msg="Failed to authenticate with UCP/, { env: { UCP_PASSWORD: 'wrong' } }));
    it('a user who is no administrator', async () => refused(['backup'], /is not an administrator/, { env: { UCP_USERNAME: 'alice', UCP_PASSWORD: await dtr.lab.state.password('alice') } }));
    it('a UCP whose certificate it cannot check', () => refused(['backup'], /Failed to connect to UCP.*self-signed/, { env: { UCP_CA: '' } }));
    it('to ask for a password without a terminal', () => refused(['backup'], /cannot prompt for a password because the container was not started in tty mode/, { env: { UCP_PASSWORD: '' } }));
    it('a restore without a storage flag', () => refused(['restore'], /Must explicitly set one of --dtr-use-default-storage/));
    it('an empty archive', () => refused(['restore', '--dtr-use-default-storage'], /empty: EOF/));
    it('an archive of another version', () => refused(['restore', '--dtr-use-default-storage'], /created by DTR version 2\.9\.5/, { input: Buffer.from(archive.toString('latin1').replaceAll('v2.9.4', 'v2.9.5'), 'latin1') }));
    it('a node that has a replica', () => refused(['install', '--ucp-node', 'node-2'], /already has a DTR replica/));
    it('a replica that is not there', () => refused(['destroy', '--replica-id', 'ffffffffffff'], /Couldn't find/));
  });

  it('leaves a ghost when a member of the living cluster is destroyed, which blocks joins until it is removed', async () => {
    const [first, , third] = dtr.ids;
    assert.equal(dtr.bootstrapper(['destroy', '--replica-id', third!]).code, 0);
    assert.equal(dtr.on('node-3', `docker volume ls -q | grep -c ${third}`).stdout.trim(), '0');
    const join = (): ReturnType<DtrLab['bootstrapper']> => dtr.bootstrapper(['join', '--existing-replica-id', first!, '--replica-id', third!, '--ucp-node', 'node-3']);
    assert.match(join().stderr, new RegExp(`Unhealthy replicas: ${third}; reasons: Rethink replica is currently in state: disconnected`));
    assert.equal(dtr.bootstrapper(['remove', '--existing-replica-id', first!, '--replica-ids', third!]).code, 0);
    const { code, stderr } = join();
    assert.equal(code, 0, stderr);
    await waitFor('three healthy replicas', 30, async () => Object.values(await health()).join() === 'OK,OK,OK');
  });

  it('stops answering without a majority, and goes on from one replica after an emergency repair', async () => {
    for (const node of ['node-2', 'node-3'] as const) dtr.on(node, 'docker kill $(docker ps -q --filter name=dtr-rethinkdb)');
    const backup = dtr.bootstrapper(['backup', '--existing-replica-id', dtr.ids[0]!]);
    assert.equal(backup.code, 1);
    assert.equal(backup.output.length, 0);
    const repair = dtr.bootstrapper(['emergency-repair', '--existing-replica-id', dtr.ids[0]!, '--yes', '--prune']);
    assert.equal(repair.code, 0, repair.stderr);
    assert.deepEqual(Object.keys(await health()), [dtr.ids[0]]);
    assert.equal(dtr.pull('acme/app:1', 'back').code, 0);
  });

  it('comes back whole from the archive and the registry volume alone, with deleted crons still deleted', async () => {
    const id = dtr.ids[0]!;
    assert.equal(dtr.bootstrapper(['destroy', '--replica-id', id]).code, 0);
    const flags = ['--replica-id', id, '--ucp-node', 'node-2', '--dtr-external-url', `https://${dtr.host}`, '--nfs-storage-url', 'nfs://nas.lab/srv/nfs/dtr'];
    const restore = dtr.bootstrapper(['restore', ...flags], { input: archive });
    assert.equal(restore.code, 0, restore.stderr);
    assert.match(restore.stderr, /msg="Restore complete\."/);
    await waitFor('the load balancer', 20, async () => (await dtr.api('GET', '/_ping').catch(() => null))?.status === 200);
    assert.equal(dtr.pull(`acme/app@${kept}`, 'back').code, 0);
    const crons = (await dtr.api<{ crons: { action: string }[] }>('GET', '/api/v0/crons')).body.crons.map((cron) => cron.action);
    assert.deepEqual(crons.sort(), ['onlinegc', 'update_vuln_db']);
    assert.equal(dtr.push('second', 'acme/app:3').code, 0);
  });
});
