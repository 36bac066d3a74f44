import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { followImages } from '../../adapters/extract/images';
import { Target } from '../../adapters/extract/target';
import { writeOciLayout } from '../../adapters/extract/oci-layout';
import { loadDecryptionKeys } from '../../adapters/openpgp/keyring';
import { connectRegistry } from '../../adapters/registry/client';
import type { Registry } from '../../adapters/registry/registry';
import { SealedBackup } from '../../adapters/vault/sealed-backup';
import type { RestoreDecisions } from '../../domain/plan';
import type { TagLine } from '../../domain/manifest';
import { LabHttp } from '../../lab/push/http';
import { pushOddImages, type OddImage } from '../../lab/push/odd';
import { DtrLab } from '../lab/dtr-lab';
import { CLUSTER, Steps } from './steps';

const REPOSITORY = 'admin/odd';
const step = { cluster: CLUSTER, operation: 'odd_images' };

describe('images as clients have pushed them for years, on DTR 2.5.3', function () {
  this.timeout(600_000);
  let dtr: DtrLab;
  let steps: Steps;
  let pushed: OddImage[];
  let backupId: string;
  let registry: Registry;

  before(async () => {
    dtr = await DtrLab.start(process.env.DRYDOCK_LAB ?? 'odd', '2.5.3', 1, 'local');
    steps = await Steps.of(dtr);
    const login = { username: 'admin', password: await dtr.lab.state.password('admin') };
    const caFile = dtr.lab.state.file('dtr-ca.pem');
    for (const name of ['odd', 'gone']) await dtr.api('POST', '/api/v0/repositories/admin', { name, visibility: 'private' });
    const http = new LabHttp({ registry: dtr.host, caFile, ...login });
    try {
      pushed = await pushOddImages(http, REPOSITORY);
      // Its link files outlive it.
      await pushOddImages(http, 'admin/gone');
    } finally {
      await http.close();
    }
    assert.ok([200, 202, 204].includes((await dtr.api('DELETE', '/api/v0/repositories/admin/gone')).status));
    registry = connectRegistry({ url: `https://${dtr.host}`, ...login, caFile });
    backupId = await steps.backUp();
  });
  after(async () => {
    await registry?.close();
    if (process.env.DRYDOCK_LAB === undefined) await dtr?.stop();
  });

  it('are a complete backup, in which each tag is whole', async () => {
    const { status, counts } = await steps.manifest(backupId);
    assert.deepEqual({ status, tags: counts.tags, gaps: counts.gaps, inFlight: counts.inFlight }, { status: 'complete', tags: pushed.length, gaps: 0, inFlight: 0 });
  });

  it('are found good by verification, down to every byte and row', async () => {
    for (const level of ['L2', 'L4'] as const) {
      const { result, findings } = await steps.run('verifyBackup', { ...step, backup: backupId, level, withoutKeys: false, by: 'a test' });
      assert.deepEqual({ result, findings }, { result: 'good', findings: [] }, level);
    }
  });

  it('are extracted with every byte that was pushed', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'odd-'));
    const cluster = steps.config.clusters[CLUSTER]!;
    const vault = openDirectoryVault((steps.config.vaults[cluster.vault] as { directory: string }).directory);
    const backup = await SealedBackup.open(vault, CLUSTER, backupId, await loadDecryptionKeys(cluster.encryption));
    const target = await Target.create(path.join(folder, 'out'));
    try {
      const tags: TagLine[] = [];
      for await (const tag of backup.tags()) tags.push(tag);
      const set = await followImages(backup, tags);
      assert.deepEqual(set.leftOut, []);
      await writeOciLayout(target, backup, set);
      await target.commit();
      for (const { manifest, children, blobs } of pushed) {
        for (const { digest, data } of [manifest, ...children, ...blobs]) assert.deepEqual(await readFile(path.join(folder, 'out/blobs', digest.replace(':', '/'))), data);
      }
    } finally {
      await target.abort();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('come back as they were, and pass the confirmation', async () => {
    const { decisions } = await steps.plan(backupId);
    const restoring: { cluster: string; operation: string; decisions: RestoreDecisions } = { ...step, decisions };
    for (const { id, node } of decisions.stops) await steps.run('stopReplica', { ...step, id, node });
    await steps.destroy(step, decisions);
    await steps.run('restoreImages', restoring);
    await steps.run('restoreMetadata', restoring);
    await steps.run('waitHealthy', { ...restoring, replica: decisions.first });
    const confirmed = await steps.run('confirmRestore', restoring);
    assert.deepEqual({ differences: confirmed.differences, missing: confirmed.missing, notJudged: confirmed.notJudged }, { differences: [], missing: [], notJudged: [] });
    assert.equal(confirmed.tags, pushed.length);
    for (const { tag, manifest, children, blobs } of pushed) {
      assert.deepEqual((await registry.manifest(REPOSITORY, tag)).body, manifest.data);
      for (const { digest, data } of children) assert.deepEqual((await registry.manifest(REPOSITORY, digest)).body, data);
      for (const { digest, data } of blobs) assert.equal(await registry.checkBlob(REPOSITORY, digest), data.length, `${tag} ${digest}`);
    }
  });
});
