import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openCluster } from '../../activities/cluster';
import type { Proof } from '../../activities/contract';
import { WORK, WorkFiles } from '../../activities/backup/work-files';
import { readBackup, readNotes, readTags } from '../../activities/restore/backup';
import { Progress } from '../../activities/restore/progress';
import { proveBackup, type Proven } from '../../activities/restore/prove-backup';
import { Refusals } from '../../activities/restore/refusals';
import { verifyActivities } from '../../activities/verify';
import { loadEncryptionKeys } from '../../adapters/openpgp/keyring';
import type { AcceptedGap } from '../../domain/accepted-gaps';
import { encryptionSchema, type Config } from '../../domain/config';
import type { Manifest } from '../../domain/manifest';
import type { VerifyResult } from '../../domain/verify';
import { vaultPaths } from '../../domain/vault-format';
import { activityEnvironment, BackupRun } from '../helpers/backup-run';
import { httpsServer, sendJson, type TestServer } from '../helpers/https-server';
import { TestCa } from '../helpers/pki';
import { makeRegistryTree, type RegistryTree } from '../helpers/registry-tree';
import { sealBackup } from '../helpers/sealed-backup';
import { scratchVault } from '../helpers/vault';
import { FACTS, RECORD } from '../workflows/fixtures/activities';

const REPOSITORY = 'org0/app0';
const IMAGE = `${REPOSITORY}:v1`;
const VOLUME = { name: 'dtr-registry-1', driver: 'local', options: {}, owner: { uid: 0, gid: 0 }, mode: '755', mountpoint: '/nowhere', host: 'node-1' };

describe('a backup of a registry that lacks what people have accepted', () => {
  let here: Awaited<ReturnType<typeof scratchVault>>;
  let config: Config;
  let tree: RegistryTree;
  let earlier: Manifest;
  let lost: string[];
  let dtr: TestServer;
  const cluster = () => openCluster({ config, configPath: 'drydock.yaml', namespace: 'default', client: undefined as never }, 'lab');
  const accepted = (change: Partial<AcceptedGap> = {}): AcceptedGap => ({ repository: REPOSITORY, tag: 'v1', digests: [`sha256:${lost[0]}`], by: 'Ann', why: 'lost in 2019', until: '2099-12-31', ...change });

  before(async () => {
    const ca = new TestCa();
    dtr = await httpsServer(ca.issue(['IP:127.0.0.1']), (_request, response) => sendJson(response, 200, { tags: tree.tags.map(({ tag, digest }) => ({ name: tag, digest: `sha256:${digest}`, updatedAt: '2020-01-01T00:00:00Z' })) }));
    here = await scratchVault();
    await chmod(here.path, 0o700);
    const passphrase = join(here.path, 'passphrase');
    await writeFile(passphrase, 'a passphrase of the tests', { mode: 0o600 });
    await writeFile(join(here.path, 'ca.pem'), ca.cert);
    tree = makeRegistryTree({ layout: 'sha256', seed: 5, repositories: 1, layerBytes: 2_000 });
    // Both layers of v1 that no other tag needs, and its configuration.
    const of = (tag: string): { config: { digest: string }; layers: { digest: string }[] } => JSON.parse(contentOf(tree.tags.find((each) => each.tag === tag)!.digest).toString()) as ReturnType<typeof of>;
    lost = [of('v1').layers[1]!.digest.slice(7), of('v1').config.digest.slice(7)];
    tree.blobs = tree.blobs.filter(({ sha256 }) => !lost.includes(sha256));
    config = {
      stateDir: here.path, vaults: { main: { directory: here.directory } },
      clusters: { lab: { vault: 'main', copies: [], retention: { hold: '7d' }, hosts: {}, dtr: { url: dtr.url, caFile: join(here.path, 'ca.pem') }, ucp: { urls: [dtr.url], username: 'admin', password: `file:${passphrase}` }, encryption: encryptionSchema.parse({ passphrase: `file:${passphrase}` }) } },
    } as unknown as Config;
    earlier = await sealBackup({ vault: here.vault, cluster: 'lab', tree, keys: await loadEncryptionKeys(config.clusters.lab!.encryption), startedAt: '2026-11-01T02:00:00.000Z' });
  });
  after(async () => {
    await dtr.close();
    await here.remove();
  });

  const contentOf = (sha256: string): Buffer => [...tree.content.values()].find((data) => createHash('sha256').update(data).digest('hex') === sha256)!;

  /** Proves and seals with these entries of `acceptGaps`. */
  async function backUp(...gaps: AcceptedGap[]): Promise<{ proof: Proof; manifest: Manifest; states: string[]; notes: object[]; guide: string }> {
    config.clusters.lab!.acceptGaps = gaps;
    const run = new BackupRun(config);
    const work = await WorkFiles.open(cluster(), run.step);
    await work.write(WORK.rows, [{ table: 'repositories', repository: REPOSITORY }, ...tree.tags.map(({ repository, tag, digest }) => ({ table: 'tags', repository, name: tag, digest }))]);
    for (const name of [WORK.blobLinks, WORK.links, WORK.aliases]) await work.write(name, []);
    await work.write(WORK.listing, tree.blobs.map(({ path }) => path));
    run.facts = { ...FACTS, version: '2.9.4', volume: VOLUME };
    run.record = RECORD;
    const name = vaultPaths.artifact('lab', run.backupId, 'metadata.tar.gz.gpg');
    await here.vault.put(name, await here.vault.readAll(earlier.artifacts.metadata.name, 1 << 20));
    run.metadata = { ...earlier.product.metadata, dumpStartedAt: '2026-11-23T02:00:00.000Z', artifact: { ...earlier.artifacts.metadata, name } };
    const proof = await run.prove();
    await run.seal();
    const { manifest } = await readBackup(cluster(), run.backupId);
    const states: string[] = [];
    for await (const { name: tag, state } of readTags(cluster(), manifest)) states.push(`${tag} ${state}`);
    const notes: object[] = [];
    for await (const note of readNotes(cluster(), manifest)) notes.push(note);
    return { proof, manifest, states: states.sort(), notes, guide: await readFile(join(here.directory, vaultPaths.artifact('lab', run.backupId, 'RESTORE.md')), 'utf8') };
  }

  it('is incomplete as long as nobody has accepted it', async () => {
    const { manifest, states, proof } = await backUp();
    assert.deepEqual([manifest.status, manifest.counts.gaps, manifest.counts.acceptedGaps], ['incomplete', 2, 0]);
    assert.deepEqual(states, ['v0 whole', 'v1 gap']);
    assert.deepEqual(proof.gaps.map(({ image }) => image), [IMAGE, IMAGE]);
  });

  it('is complete when all of it is accepted, says so wherever it is looked at, and is verified as good', async () => {
    const { manifest, states, proof, notes, guide } = await backUp(accepted({ digests: lost.map((hex) => `sha256:${hex}`) }));
    assert.deepEqual([manifest.status, manifest.counts.gaps, manifest.counts.acceptedGaps, manifest.gaps], ['complete', 0, 2, []]);
    assert.deepEqual(states, ['v0 whole', 'v1 acceptedGap']);
    const told = { image: IMAGE, digests: proof.acceptedGaps[0]!.digests, by: 'Ann', why: 'lost in 2019', until: '2099-12-31' };
    assert.deepEqual([...told.digests].sort(), lost.map((hex) => `sha256:${hex}`).sort());
    assert.deepEqual(proof.acceptedGaps, [told]);
    assert.deepEqual(notes, [{ kind: 'acceptedGap', ...told }]);
    assert.deepEqual(proof.warnings, []);
    const planned: Proven = await activityEnvironment().run(async () => proveBackup(cluster(), manifest, new Refusals(undefined), new Progress('x')));
    assert.match(planned.accepted.join(), /^org0\/app0:v1 lacks 2 parts, the first sha256:[0-9a-f]{64}: accepted by Ann until 2099-12-31 \(lost in 2019\)$/, 'so the plan of a restore says it');
    assert.match(guide, /2 missing parts of images were accepted by people/);
    const { verifyBackup } = verifyActivities({ config, configPath: 'drydock.yaml', namespace: 'default', client: undefined as never });
    const verified: VerifyResult = await activityEnvironment().run(verifyBackup, { cluster: 'lab', operation: 'verify', backup: manifest.backupId, level: 'L2', withoutKeys: false, by: 'a test' });
    assert.deepEqual(verified.findings, []);
    assert.ok(verified.notes.includes('Tolerated: 1 tags lack what people have accepted to be missing.'), verified.notes.join('\n'));
  });

  it('is incomplete when the same tag lacks more than is accepted, and names just that', async () => {
    const { manifest, proof, states } = await backUp(accepted());
    assert.deepEqual([manifest.status, manifest.counts.gaps, manifest.counts.acceptedGaps], ['incomplete', 1, 1]);
    assert.deepEqual(proof.gaps, [{ image: IMAGE, digest: `sha256:${lost[1]}`, what: 'configuration' }]);
    assert.deepEqual(states, ['v0 whole', 'v1 gap']);
  });

  it('is incomplete when the day until which it was accepted is over, and warns of entries that are over, or that nothing needs', async () => {
    const { manifest, proof } = await backUp(accepted({ digests: lost.map((hex) => `sha256:${hex}`), until: '2026-11-22' }), accepted({ tag: 'v0' }));
    assert.deepEqual([manifest.status, manifest.counts.gaps], ['incomplete', 2]);
    assert.deepEqual(proof.warnings, [`${IMAGE}: what Ann accepted to be missing until 2026-11-22 is a gap again, because that day is over.`, `${REPOSITORY}:v0: nothing that acceptGaps names for it is missing any more; take the entry out.`]);
  });
});
