import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { createActivities } from '../../activities';
import { copyImages } from '../../activities/backup/copy-images';
import { SegmentTrust } from '../../activities/backup/segment-trust';
import { StoredBlobs } from '../../activities/backup/stored';
import { WorkFiles } from '../../activities/backup/work-files';
import type { Cluster } from '../../activities/cluster';
import { ContentCache } from '../../adapters/vault/content-cache';
import type { BackupFacts, ImagesPass } from '../../activities/contract';
import { localHost } from '../../adapters/host/local';
import { readBadSegments } from '../../adapters/vault/bad-segments';
import { readIndexes } from '../../adapters/vault/segment-index';
import { SegmentWriter } from '../../adapters/vault/segment-writer';
import { writeVerdict } from '../../adapters/vault/verdicts';
import type { Vault } from '../../adapters/vault/vault';
import { encryptionSchema, type Config } from '../../domain/config';
import { REPACKED } from '../../domain/repack';
import { vaultPaths } from '../../domain/vault-format';
import type { VerifyResult } from '../../domain/verify';
import { activityEnvironment } from '../helpers/backup-run';
import { makeRegistryTree, writeRegistryTree, type RegistryTree } from '../helpers/registry-tree';
import { sealBackup } from '../helpers/sealed-backup';
import { PASSPHRASE, readKeys, scratchVault, writeKeys } from '../helpers/vault';
import type { SealedManifest } from '../helpers/segment-list';

const CLUSTER = 'lab';
const step = { cluster: CLUSTER, operation: 'backup_test', backupId: '20261124T020000Z-abcdef' };

describe('segments that no sealed backup names', () => {
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  let tree: RegistryTree;
  let root: string;
  /** Segments whose ciphertext was read. */
  let read: string[];

  beforeEach(async () => {
    scratch = await scratchVault();
    await chmod(scratch.path, 0o700);
    tree = makeRegistryTree({ layout: 'sha256', seed: 5, repositories: 3, layerBytes: 400_000 });
    root = join(scratch.path, 'volume');
    await writeRegistryTree(root, tree);
    read = [];
  });
  afterEach(() => scratch.remove());

  const note = (name: string): void => {
    const [, segment] = /segments\/(.*)\.tar\.gpg$/.exec(name) ?? [];
    if (segment !== undefined) read.push(segment);
  };
  const watched = (): Vault => Object.assign(Object.create(scratch.vault) as Vault, {
    read: (name: string, range?: { offset: number; length: number }) => {
      note(name);
      return scratch.vault.read(name, range);
    },
    openLocally: (name: string) => {
      note(name);
      return scratch.vault.openLocally!(name);
    },
  });

  /** What a step needs of its cluster; the volume is a folder of this machine. `worker`: whose disk holds the working files. */
  const clusterOn = (worker: string): Cluster => ({
    name: CLUSTER, vault: watched(), cache: new ContentCache(join(scratch.path, worker, 'cache')),
    config: { policy: { segmentBytes: 1 << 20, streams: 1, stallSeconds: 60, bandwidth: [], nice: 0, ionice: 'none' } },
    images: async () => ({ host: localHost(), root }),
    encryptionKeys: async () => writeKeys,
    decryptionKeys: async () => readKeys,
    workDir: async (operation: string) => {
      const directory = join(scratch.path, worker, operation);
      await mkdir(directory, { recursive: true });
      return directory;
    },
  }) as unknown as Cluster;

  /** The first pass of a backup; `until`: killed when so many segments are there. */
  async function firstPass(worker: string, until?: number): Promise<ImagesPass> {
    const environment = activityEnvironment();
    const controller = new AbortController();
    const vault = clusterOn(worker).vault;
    const cluster = Object.assign(clusterOn(worker), {
      vault: Object.assign(Object.create(vault) as Vault, {
        put: async (name: string, content: string) => {
          await scratch.vault.put(name, content);
          if (name.endsWith('.index') && (await segments()).length === until) controller.abort(new Error('killed'));
        },
      }),
    });
    return environment.run(() => copyImages(cluster, { ...step, facts: { volume: {} } as BackupFacts, pass: 1 }, controller.signal));
  }

  async function segments(): Promise<string[]> {
    const found: string[] = [];
    for await (const { header } of readIndexes(scratch.vault, CLUSTER)) found.push(header.segment);
    return found;
  }

  async function flip(segment: string): Promise<void> {
    const file = join(scratch.directory, vaultPaths.segment(CLUSTER, segment));
    const content = await readFile(file);
    content[content.length >> 1]! ^= 1;
    await writeFile(file, content);
  }

  /** Where each blob of the registry counts as stored for this worker, and what it would say in its report. */
  async function standing(worker: string): Promise<{ used: Set<string>; missing: number; warnings: string[] }> {
    const trust = await SegmentTrust.open(clusterOn(worker), await WorkFiles.open(clusterOn(worker), step));
    const stored = await StoredBlobs.load(scratch.vault, CLUSTER, { trust });
    const copies = tree.blobs.map(({ path, sha256 }) => stored.good(path, sha256));
    return { used: new Set(copies.flatMap((copy) => copy?.segment ?? [])), missing: copies.filter((copy) => copy === undefined).length, warnings: trust.warnings };
  }

  it('left by a killed attempt are hashed once and used; a damaged one is not, its blobs are stored anew, and the report says so', async () => {
    await assert.rejects(firstPass('worker', 3), /killed/);
    const left = await segments();
    assert.ok(left.length >= 3, 'some segments are there');
    await flip(left[0]!);
    read = [];
    await firstPass('worker');
    assert.deepEqual([...new Set(read)].sort(), left, 'each was read again, and nothing else');
    assert.equal(read.length, left.length);
    const { used, missing, warnings } = await standing('worker');
    assert.equal(missing, 0);
    assert.equal(used.has(left[0]!), false);
    for (const sound of left.slice(1)) assert.ok(used.has(sound), 'a sound one is used');
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, new RegExp(`${left[0]}.*is damaged; its blobs are stored anew`));
  });

  it('are hashed once for a backup: its later steps, and what it wrote itself, are not read again', async () => {
    await assert.rejects(firstPass('worker', 2), /killed/);
    await firstPass('worker');
    read = [];
    const again = await firstPass('worker');
    assert.deepEqual(read, []);
    assert.equal(again.stored.blobs, tree.blobs.length);
  });

  it('are hashed again where another worker goes on, which cannot know what was hashed', async () => {
    await firstPass('worker');
    read = [];
    await firstPass('another');
    assert.deepEqual([...read].sort(), await segments());
    assert.equal((await standing('another')).missing, 0);
  });

  it('are left alone where a sealed backup has all that is wanted', async () => {
    await sealBackup({ vault: scratch.vault, cluster: CLUSTER, tree, keys: writeKeys, segmentBytes: 1 << 20 });
    const sealed = await segments();
    await firstPass('worker');
    assert.deepEqual([read, await segments()], [[], sealed]);
  });

  it('are hashed and used when repacking wrote them, although a sealed backup has their blobs as well', async () => {
    await sealBackup({ vault: scratch.vault, cluster: CLUSTER, tree, keys: writeKeys, segmentBytes: 1 << 20 });
    const sealed = await segments();
    // Ids sort by the second in which they were made.
    await sleep(1000 - (Date.now() % 1000));
    const repacked = new SegmentWriter({ vault: scratch.vault, cluster: CLUSTER, keys: writeKeys, writtenBy: `${REPACKED}prune_lab`, segmentBytes: 1 << 20 });
    const [blob] = tree.blobs;
    await repacked.push(blob!, Readable.from([tree.content.get(blob!.path)!]));
    await repacked.finish();
    const { segment } = repacked.segments[0]!;
    assert.equal((await firstPass('worker')).stored.blobs, 0, 'nothing is moved');
    assert.deepEqual([read, await segments()], [[segment], [...sealed, segment]]);
    assert.ok((await standing('worker')).used.has(segment), 'the backup will name it');
  });

  describe('or that a verification found damaged', () => {
    let manifest: SealedManifest;
    beforeEach(async () => {
      manifest = await sealBackup({ vault: scratch.vault, cluster: CLUSTER, tree, keys: writeKeys, segmentBytes: 1 << 20 });
    });

    async function verify(): Promise<string> {
      await writeFile(join(scratch.path, 'passphrase'), PASSPHRASE, { mode: 0o600 });
      const encryption = encryptionSchema.parse({ passphrase: `file:${join(scratch.path, 'passphrase')}` });
      const config = { stateDir: scratch.path, vaults: { main: { directory: scratch.directory } }, clusters: { [CLUSTER]: { vault: 'main', copies: [], encryption } } } as unknown as Config;
      const { verifyBackup } = createActivities({ config, configPath: 'drydock.yaml', namespace: 'default', client: {} as Client });
      const found: VerifyResult = await activityEnvironment().run(verifyBackup, { cluster: CLUSTER, operation: 'verify', backup: manifest.backupId, level: 'L3' as const, withoutKeys: false, by: 'a test' });
      return found.result;
    }

    it('are not used by the next backup, which stores their blobs anew', async () => {
      const bad = manifest.segments[1]!.segment;
      await flip(bad);
      assert.equal(await verify(), 'bad');
      assert.deepEqual([...(await readBadSegments(scratch.vault, CLUSTER))], [[bad, manifest.backupId]]);
      const { stored } = await firstPass('worker');
      assert.equal(stored.blobs, manifest.segments[1]!.usedBlobs);
      const { used, missing, warnings } = await standing('worker');
      assert.deepEqual([missing, used.has(bad)], [0, false]);
      assert.match(warnings.join(), new RegExp(`${bad} was found damaged when ${manifest.backupId} was verified`));
    });

    it('are used again after a good verification, when they were put back', async () => {
      const bad = manifest.segments[1]!.segment;
      await flip(bad);
      await verify();
      await flip(bad);
      assert.equal(await verify(), 'good');
      assert.deepEqual((await readBadSegments(scratch.vault, CLUSTER)).size, 0);
      assert.equal((await firstPass('worker')).stored.blobs, 0);
    });

    it('are known by their list alone: one without a verdict, or with lines that cannot be read, harms nothing', async () => {
      const at = '2026-11-24T03:00:00.000Z';
      await scratch.vault.put(vaultPaths.badSegments(CLUSTER, manifest.backupId, at), '{"segment":"x"}\nnonsense\n{"other":1}\n');
      assert.equal((await readBadSegments(scratch.vault, CLUSTER)).size, 0);
      await writeVerdict(scratch.vault, CLUSTER, { format: 1, backupId: manifest.backupId, level: 'L3', startedAt: at, at, by: 'a test', tool: { name: 'drydock', version: '0' }, withKeys: true, result: 'bad', checked: { segments: 1, blobs: 1, bytes: 1, tags: 1 }, findings: 1 }, [{}], writeKeys);
      assert.deepEqual([...(await readBadSegments(scratch.vault, CLUSTER)).keys()], ['x']);
    });
  });
});
