import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApplicationFailure } from '@temporalio/common';
import { openCluster } from '../../activities/cluster';
import { StoredBlobs } from '../../activities/backup/stored';
import { WORK, WorkFiles } from '../../activities/backup/work-files';
import { loadDecryptionKeys, loadEncryptionKeys } from '../../adapters/openpgp/keyring';
import { Access } from '../../adapters/vault/access';
import { readManifest, readManifestJson } from '../../adapters/vault/manifest-file';
import { readBlobList } from '../../activities/restore/backup';
import { encryptionSchema, type Config } from '../../domain/config';
import type { BlobLine, Manifest } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';
import { artifactsOf } from '../../domain/manifest-artifacts';
import { cleanUp } from '../../activities/backup/clean-up';
import { seal } from '../../activities/backup/seal';
import type { Cluster } from '../../activities/cluster';
import { sealedRecords } from '../../activities/copy/records';
import { sha256Of } from '../../activities/sha256';
import { verifyDetached } from '../../adapters/openpgp/sign';
import { hasDigest } from '../../adapters/vault/copy-object';
import { activityEnvironment, BackupRun } from '../helpers/backup-run';
import { makeKey, type TestKey } from '../helpers/openpgp-keys';
import { makeRegistryTree, type RegistryTree } from '../helpers/registry-tree';
import { sealBackup } from '../helpers/sealed-backup';
import { scratchVault } from '../helpers/vault';
import { FACTS, RECORD } from '../workflows/fixtures/activities';
import type { SealedManifest } from '../helpers/segment-list';
import { segmentsOf } from '../../adapters/vault/segment-list';

describe('the seal of a backup', function () {
  this.timeout(120_000);
  let here: Awaited<ReturnType<typeof scratchVault>>;
  let config: Config;
  let tree: RegistryTree;
  let earlier: SealedManifest;

  beforeEach(async () => {
    here = await scratchVault();
    await chmod(here.path, 0o700);
    await writeFile(join(here.path, 'passphrase'), 'a passphrase of the tests', { mode: 0o600 });
    config = {
      stateDir: here.path, vaults: { main: { directory: here.directory } },
      clusters: { lab: { vault: 'main', copies: [], retention: { hold: '7d' }, hosts: {}, dtr: { url: 'https://127.0.0.1:1' }, ucp: { urls: ['https://127.0.0.1:1'], username: 'admin', password: `file:${join(here.path, 'passphrase')}` }, encryption: encryptionSchema.parse({ passphrase: `file:${join(here.path, 'passphrase')}` }) } },
    } as unknown as Config;
    tree = makeRegistryTree({ layout: 'sha256', seed: 5, repositories: 1, layerBytes: 20_000 });
    earlier = await sealBackup({ vault: here.vault, cluster: 'lab', tree, keys: await loadEncryptionKeys(config.clusters.lab!.encryption), startedAt: '2026-11-01T02:00:00.000Z' });
  });
  afterEach(() => here.remove());

  /** A backup that has proven all of its images by the segments of the earlier one, and stands before its seal. */
  async function aboutToSeal(): Promise<BackupRun> {
    const run = new BackupRun(config);
    const cluster = openCluster({ config, configPath: 'drydock.yaml', namespace: 'default', client: undefined as never }, 'lab');
    const lines: BlobLine[] = [];
    for await (const line of readBlobList(cluster, earlier)) lines.push(line);
    const work = await WorkFiles.open(cluster, run.step);
    await work.write(WORK.tags, []);
    await work.write(WORK.blobs, lines);
    await work.write(WORK.gaps, []);
    await work.write(WORK.notes, []);
    run.facts = FACTS;
    run.record = RECORD;
    const name = vaultPaths.artifact('lab', run.backupId, 'metadata.tar.gz.gpg');
    await here.vault.put(name, await here.vault.readAll(earlier.artifacts.metadata.name, 1 << 20));
    run.metadata = { ...earlier.product.metadata, artifact: { ...earlier.artifacts.metadata, name } };
    run.proof = { counts: { repositories: 1, tags: 0, manifests: 0, blobs: lines.length, inFlight: 0, gaps: 0, acceptedGaps: 0 }, imageBytes: 0, gaps: [], acceptedGaps: [], layouts: ['sha256'], unproven: [], warnings: [] };
    return run;
  }

  const mark = (segment: string): Promise<void> => here.vault.put(vaultPaths.tombstone('lab', segment, '20261102T020000Z'), JSON.stringify({ format: 1, id: segment, kind: 'segment', at: '2026-11-02T02:00:00.000Z', by: 'prune', why: 'Given up.' }));
  const isSealed = async ({ backupId }: BackupRun): Promise<boolean> => (await here.vault.stat(vaultPaths.manifest('lab', backupId))) !== null;

  it('refuses a segment that was marked while the backup ran, so that its blobs are copied again; names none of it', async () => {
    const run = await aboutToSeal();
    const { segment } = earlier.segments[0]!;
    await mark(segment);
    const failure = (await run.seal().catch((error: unknown) => error)) as ApplicationFailure;
    assert.deepEqual([failure.type, await isSealed(run)], ['WorkLost', false]);
    assert.match(failure.message, /1 segment that this backup relies on was marked for removal while it ran/);
    const stored = await StoredBlobs.load(here.vault, 'lab');
    const cluster = openCluster({ config, configPath: 'drydock.yaml', namespace: 'default', client: undefined as never }, 'lab');
    for await (const { path, sha256, segment: of } of readBlobList(cluster, earlier)) assert.equal(stored.good(path, sha256) === undefined, of === segment, 'the next pass stores just these anew');
  });

  describe('that is signed', () => {
    let run: BackupRun;
    let signer: TestKey;
    let folder: string;
    beforeEach(async () => {
      signer = await makeKey(here.path, 'signer');
      config.clusters.lab!.encryption = encryptionSchema.parse({ ...config.clusters.lab!.encryption, signingKey: `file:${signer.privateFile}` });
      run = await aboutToSeal();
      folder = join(here.directory, vaultPaths.backup('lab', run.backupId));
    });

    /** The first block of the guide, as it stands, in bash, by someone who has the signer's key. */
    async function firstBlock(): Promise<{ code: number; said: string }> {
      const [, lines] = /^```sh\n([\s\S]*?)^```$/m.exec(await readFile(join(folder, 'RESTORE.md'), 'utf8'))!;
      const env = { ...process.env, GNUPGHOME: join(here.path, 'gnupg') };
      await mkdir(env.GNUPGHOME, { recursive: true, mode: 0o700 });
      spawnSync('gpg', ['--batch', '--import', signer.publicFile], { env });
      const { status, stdout, stderr } = spawnSync('bash', ['-c', lines!], { cwd: folder, env });
      spawnSync('gpgconf', ['--kill', 'all'], { env });
      return { code: status!, said: `${stdout.toString()}\n${stderr.toString()}` };
    }

    it('covers guide and checksums by the signature, so that whoever follows the guide sees at its first step that they are as they were sealed', async () => {
      const sealed = await run.seal();
      assert.deepEqual(await run.seal(), sealed, 'asked twice, the answer stays the same');
      assert.match(await readFile(join(folder, 'RESTORE.md'), 'utf8'), new RegExp(`${signer.fingerprint} signs`));
      const good = await firstBlock();
      assert.deepEqual([good.code, /== signature: done[^]*Good signature/.test(good.said) || good.said], [0, true]);
      const file = join(folder, 'SHA256SUMS');
      const sums = await readFile(file, 'utf8');
      await writeFile(file, sums.replace(/^[0-9a-f]/, (digit) => (digit === '0' ? '1' : '0')));
      const changed = await firstBlock();
      assert.ok(changed.code !== 0 && /SHA256SUMS is not the one that was sealed[^]*== signature: FAILED/.test(changed.said), changed.said);
      await writeFile(file, sums);
      await writeFile(join(folder, 'manifest.json'), `${await readFile(join(folder, 'manifest.json'), 'utf8')} `);
      const forged = await firstBlock();
      assert.ok(forged.code !== 0 && /BAD signature[^]*== signature: FAILED/.test(forged.said), forged.said);
    });
  });

  it('is not written where the vault is not mounted any more; nor is anything else of the backup', async () => {
    const run = await aboutToSeal();
    await openCluster({ config, configPath: 'drydock.yaml', namespace: 'default', client: undefined as never }, 'lab').refuseOtherVault();
    await rename(here.directory, `${here.directory}-unmounted`);
    await mkdir(here.directory);
    for (const failure of [await run.failure('copyImages', { facts: FACTS, pass: 1 }), await run.failure('recordFreeze', {}), await run.failure('takeMetadata', { facts: FACTS, round: 0 }), (await run.seal().catch((error: unknown) => error)) as ApplicationFailure]) {
      assert.equal(failure.type, 'Refused');
      assert.match(failure.message, /^the vault "main" .* is not there: it has no vault\.json/);
    }
    assert.deepEqual(await readdir(here.directory), []);
  });

  /** A seal that is held where its vault is called with this method and a name that ends so, until something else has happened. */
  async function sealAround(run: BackupRun, method: 'put' | 'remove', ending: string, meanwhile: () => Promise<void>): ReturnType<typeof seal> {
    const cluster = openCluster({ config, configPath: 'drydock.yaml', namespace: 'default', client: undefined as never }, 'lab');
    let isHeld = false;
    const vault = new Proxy(cluster.vault, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key);
        // Listings are no promises.
        if (typeof value !== 'function' || key === 'list') return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
        return async (...args: unknown[]): Promise<unknown> => {
          if (key === method && String(args[0]).endsWith(ending) && !isHeld) {
            isHeld = true;
            await meanwhile();
          }
          return (value as (...all: unknown[]) => unknown).apply(target, args);
        };
      },
    });
    const held = Object.create(cluster, { vault: { value: vault } }) as Cluster;
    const step = { ...run.step, facts: run.facts, record: run.record, metadata: run.metadata, passes: run.passes, proof: run.proof, startedBy: 'a test', startedAt: run.startedAt, notes: run.notes };
    const ended = await activityEnvironment().run<[], Awaited<ReturnType<typeof seal>>, () => ReturnType<typeof seal>>(() => seal(held, step, new AbortController().signal));
    assert.ok(isHeld);
    return ended;
  }

  for (const [method, ending, what] of [['put', '/manifest.json.asc', 'signs its manifest'], ['put', '/manifest.json', 'writes its manifest']] as const) {
    it(`leaves nothing, and no manifest least of all, when its run ended without it and was cleaned up in the moment in which it ${what}`, async () => {
      const signer = await makeKey(here.path, 'signer');
      Object.assign(config.clusters.lab!.encryption, { signingKey: `file:${signer.privateFile}` });
      const run = await aboutToSeal();
      const cluster = openCluster({ config, configPath: 'drydock.yaml', namespace: 'default', client: undefined as never }, 'lab');
      const cleaned = (): Promise<void> => cleanUp(Object.create(cluster, { engine: { value: () => Promise.resolve({ containers: () => Promise.resolve([]) }) } }) as Cluster, run.step, { abandoned: true });
      await assert.rejects(sealAround(run, method, ending, cleaned), { kind: 'IntegrityMismatch', message: /went from the vault while the backup was made/ });
      assert.equal(await isSealed(run), false);
    });
  }

  describe('by two attempts at once, the first of which was taken for dead', () => {
    /** Both their results. */
    async function sealTwice(run: BackupRun, method: 'put' | 'remove', ending: string): Promise<string[]> {
      const results: string[] = [];
      results.push((await sealAround(run, method, ending, async () => void results.push((await run.seal()).manifestSha256))).manifestSha256);
      return results;
    }

    for (const [method, ending, what] of [['put', '/manifest.json', 'the manifest'], ['remove', '/RESTORE.md', 'the guide'], ['remove', '/SHA256SUMS', 'the checksums'], ['remove', '/manifest.json.asc', 'the signature']] as const) {
      it(`stands whole, and is the result of both, when the first comes to ${what} after the second has sealed`, async () => {
        const signer = await makeKey(here.path, 'signer');
        Object.assign(config.clusters.lab!.encryption, { signingKey: `file:${signer.privateFile}` });
        const run = await aboutToSeal();
        const results = await sealTwice(run, method, ending);
        assert.equal(results.length, 2, 'the first was held');
        const { manifest, content } = await readManifest(here.vault, 'lab', run.backupId);
        assert.deepEqual(results, [sha256Of(content.toString()), sha256Of(content.toString())]);
        for (const record of sealedRecords('lab', manifest, await segmentsOf(here.vault, manifest)).values()) assert.ok(await hasDigest(here.vault, record), record.name);
        const signature = (await here.vault.readAll(vaultPaths.signature('lab', run.backupId), 100_000)).toString();
        assert.equal((await verifyDetached(content, signature, [signer.privateKey.toPublic()])).fingerprint, signer.fingerprint);
        const cluster = openCluster({ config, configPath: 'drydock.yaml', namespace: 'default', client: undefined as never }, 'lab');
        await cleanUp(cluster, run.step, { abandoned: false });
        const left: string[] = [];
        for await (const { name } of here.vault.list(vaultPaths.backup('lab', run.backupId))) left.push(name);
        assert.deepEqual(left, [...artifactsOf(manifest).map(({ name }) => name), ...['RESTORE.md', 'SHA256SUMS', 'manifest.json', 'manifest.json.asc'].map((file) => vaultPaths.artifact('lab', run.backupId, file))].sort(), 'what the other attempt left goes with the clean-up');
      });
    }
  });

  it('is incomplete where rows could not be read, although no gap is known, and says so in its guide', async () => {
    const run = await aboutToSeal();
    run.proof = { ...run.proof, unproven: ['3 rows of the table tags are not of a form that Drydock knows.'] };
    assert.equal((await run.seal()).status, 'incomplete');
    const guide = (await here.vault.readAll(vaultPaths.artifact('lab', run.backupId, 'RESTORE.md'), 1 << 20)).toString();
    assert.match(guide, /INCOMPLETE: rows of the metadata could not be read/);
  });

  it('stands on segments that nobody has marked, whatever else is marked', async () => {
    const run = await aboutToSeal();
    await mark('20261101T000000Z-000000000000');
    assert.equal((await run.seal()).status, 'complete');
    assert.equal(await isSealed(run), true);
  });

  it('refuses session keys beside a segment that rotted while the backup ran where no key is at hand, and writes them anew where one is', async () => {
    const [old, fresh] = [await makeKey(here.path, 'old'), await makeKey(here.path, 'fresh')];
    const { encryption } = config.clusters.lab!;
    const withKeys = (more: object) => Object.assign(encryption, encryptionSchema.parse({ recipients: [old.publicFile], ...more }), { passphrase: undefined });
    withKeys({});
    earlier = await sealBackup({ vault: here.vault, cluster: 'lab', tree: makeRegistryTree({ layout: 'sha256', seed: 6, repositories: 1, layerBytes: 20_000 }), keys: await loadEncryptionKeys(encryption), startedAt: '2026-11-02T02:00:00.000Z' });
    const both = { recipients: [old.publicFile, fresh.publicFile] };
    withKeys({ ...both, privateKeys: [`file:${old.privateFile}`] });
    const run = await aboutToSeal();
    const access = await Access.load(here.vault, vaultPaths.segments('lab'), await loadEncryptionKeys(encryption), await loadDecryptionKeys(encryption));
    for (const { segment, recipients } of earlier.segments) await access.cover(vaultPaths.segment('lab', segment), recipients);
    const name = vaultPaths.wrappedKeys(vaultPaths.segment('lab', earlier.segments[0]!.segment), fresh.fingerprint);
    await here.vault.remove(name);
    await here.vault.put(name, Buffer.from('rotten'));
    withKeys(both);
    await assert.rejects(run.seal(), (failure: ApplicationFailure) => failure.type === 'WorkLost' && /session keys beside the segment .* damaged/.test(failure.message));
    assert.equal(await isSealed(run), false);
    withKeys({ ...both, privateKeys: [`file:${old.privateFile}`] });
    await run.seal();
    const manifest = (await readManifestJson(here.vault, 'lab', run.backupId)).json as Manifest;
    const content = await here.vault.readAll(name, 10_000);
    const sha256 = createHash('sha256').update(content).digest('hex');
    assert.ok(content.length > 50 && (await segmentsOf(here.vault, manifest)).some(({ wrapped }) => wrapped?.keys.some((key) => key.sha256 === sha256)), 'what is recorded is what was written anew');
  });
});
