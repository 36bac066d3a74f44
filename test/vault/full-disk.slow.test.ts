import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { copyInto, type Copying } from '../../activities/backup/copy-images';
import { StoredBlobs } from '../../activities/backup/stored';
import type { Cluster } from '../../activities/cluster';
import { Progress } from '../../activities/restore/progress';
import { verifyBackup } from '../../activities/verify/verify';
import { localHost } from '../../adapters/host/local';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { openSftpVault } from '../../adapters/vault/sftp';
import type { Vault } from '../../adapters/vault/vault';
import { sftpSchema } from '../../domain/config';
import type { Manifest } from '../../domain/manifest';
import type { VerifyResult } from '../../domain/verify';
import { activityEnvironment } from '../helpers/backup-run';
import { makeRegistryTree, writeRegistryTree, type RegistryTree } from '../helpers/registry-tree';
import { sealBackup } from '../helpers/sealed-backup';
import { startSshd } from '../helpers/sshd';
import { isError, readKeys, scratchDirectory, writeKeys, type Scratch } from '../helpers/vault';
import { smallDisk, type SmallDisk } from './places';

const DISK_BYTES = 8 << 20;
const tree = (seed: number): RegistryTree => makeRegistryTree({ layout: 'sha256', seed, repositories: 2, layerBytes: 40_000 });

/** The vault with some methods in the place of its own. Its state stays one: connections are counted there. */
function instead(vault: Vault, methods: Partial<Vault>): Vault {
  return new Proxy(vault, {
    get(target, key) {
      const found: unknown = Reflect.get(key in methods ? methods : target, key);
      return typeof found === 'function' ? (found as (...args: unknown[]) => unknown).bind(target) : found;
    },
  });
}

interface Server {
  vault: Vault;
  stop(): Promise<void>;
}

/** Makers of a vault in a directory. */
const kinds: [string, (directory: string) => Promise<Server>][] = [
  ['in a directory', async (directory) => ({ vault: openDirectoryVault(directory), stop: async () => undefined })],
  ['on an SFTP server', async (directory) => {
    const sshd = await startSshd();
    const vault = openSftpVault(sftpSchema.parse({ address: '127.0.0.1', port: sshd.port, user: 'root', key: `file:${sshd.keyFile}`, knownHosts: sshd.knownHosts, path: directory }));
    return { vault, stop: () => vault.close().then(() => sshd.stop()) };
  }],
];

for (const [where, serve] of kinds) describe(`a vault ${where} whose disk is full`, function () {
  this.timeout(180_000);
  let server: Server | undefined;
  let disk: SmallDisk | null;
  let scratch: Scratch;
  let vault: Vault;
  let older: Manifest;

  const filler = (): string => path.join(disk!.path, 'filler');
  const fill = (): void => void spawnSync('dd', ['if=/dev/zero', `of=${filler()}`, 'bs=4k']);
  /** As the vault, on whose disk others write everything full just before a file of this name is written. */
  const filledBefore = (name: RegExp): Vault =>
    instead(vault, {
      upload: (file, options) => {
        if (name.test(file)) fill();
        return vault.upload(file, options);
      },
      put: (file, content) => {
        if (name.test(file)) fill();
        return vault.put(file, content);
      },
    });
  const cluster = (of: Vault = vault): Cluster =>
    ({
      name: 'lab', vault: of, config: { policy: { stallSeconds: 60, segmentBytes: 1 << 20, streams: 1, nice: 0, ionice: 'none', bandwidth: [] } }, encryptionKeys: () => Promise.resolve(writeKeys), decryptionKeys: () => Promise.resolve(readKeys),
      trustedSigners: () => Promise.resolve([]),
    }) as unknown as Cluster;
  const verified = async (manifest: Manifest): Promise<string> => {
    const request = { backup: manifest.backupId, level: 'L3', withoutKeys: false, by: 'a test' } as const;
    return (await activityEnvironment().run<[], VerifyResult, () => Promise<VerifyResult>>(() => verifyBackup(cluster(), request, new Progress('a test')))).result;
  };

  beforeEach(async function () {
    disk = await smallDisk(DISK_BYTES);
    if (!disk) return this.skip();
    scratch = await scratchDirectory();
    server = await serve(path.join(disk.path, 'vault'));
    vault = server.vault;
    await vault.check();
    older = await sealBackup({ vault, cluster: 'lab', tree: tree(1), keys: writeKeys });
  });
  afterEach(async () => {
    await server?.stop();
    await disk?.remove();
    await scratch?.remove();
  });

  for (const [what, name] of [['a segment', /\.tar\.gpg$/], ['an index', /\.index$/], ['an artifact', /metadata\.tar\.gz\.gpg$/], ['a list', /blobs\.jsonl\.gz\.gpg$/], ['the manifest', /manifest\.json$/]] as const) {
    it(`when ${what} is written: nothing is sealed, the older backup is whole, and the next one works once there is room`, async () => {
      const seal = (of: Vault) => sealBackup({ vault: of, cluster: 'lab', tree: tree(2), keys: writeKeys, startedAt: '2026-11-24T02:00:00.000Z' });
      await assert.rejects(seal(filledBefore(name)), isError('NoSpace', /disk is full.*\d+ bytes are free/));
      await rm(filler());
      const sealed: string[] = [];
      for await (const entry of vault.list('lab/backups/')) if (entry.name.endsWith('/manifest.json')) sealed.push(entry.name.split('/')[2]!);
      assert.deepEqual(sealed, [older.backupId]);
      assert.equal(await verified(older), 'good');
      const next = await seal(vault);
      assert.deepEqual([await verified(next), await verified(older)], ['good', 'good']);
    });
  }

  it('says before the first byte, and also when it fills up on the way, how much the new images need', async () => {
    const images = tree(3);
    const root = path.join(scratch.path, 'volume');
    await writeRegistryTree(root, images);
    const copy = async (of: Vault, freeBytes: () => Promise<number | null>): Promise<unknown> => {
      const limited = instead(of, { freeBytes });
      const copying: Copying = {
        cluster: cluster(limited), step: { cluster: 'lab', operation: 'op', backupId: '20261124T020000Z-bbbbbb', facts: {}, pass: 1 } as unknown as Copying['step'],
        host: localHost(), root, stored: await StoredBlobs.load(of, 'lab'), signal: new AbortController().signal,
      };
      return activityEnvironment().run(() => copyInto(copying, images.blobs, 'a test'));
    };
    const bytes = images.blobs.reduce((sum, { size }) => sum + size, 0);
    const need = Math.ceil(bytes * 1.02);
    await assert.rejects(copy(vault, () => Promise.resolve(1000)), isError('NoSpace', new RegExp(`has 1000 bytes left, the new images need ${need}`)));
    await assert.rejects(copy(filledBefore(/\.tar\.gpg$/), () => Promise.resolve(null)), isError('NoSpace', /disk is full.*still to be stored need about \d+ bytes/));
    await rm(filler());
    assert.equal(await verified(older), 'good');
    await copy(vault, () => vault.freeBytes());
    const stored = await StoredBlobs.load(vault, 'lab');
    assert.ok(images.blobs.every(({ path: name, sha256 }) => stored.good(name, sha256)));
  });
});
