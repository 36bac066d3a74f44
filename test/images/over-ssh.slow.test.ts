import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { connectHost } from '../../adapters/host/ssh';
import type { Host } from '../../adapters/host/host';
import { copyBlobs } from '../../adapters/images/copy';
import { listBlobs } from '../../adapters/images/listing';
import { restoreBlobs } from '../../adapters/images/restore';
import { restoreTree, streamTree } from '../../adapters/images/tree';
import { readIndexes } from '../../adapters/vault/segment-index';
import type { WantedBlob } from '../../adapters/vault/segment-reader';
import type { SegmentWriterOptions } from '../../adapters/vault/segment-writer';
import { hostSchema } from '../../domain/config';
import { makeRegistryTree, writeRegistryTree, type RegistryTree } from '../helpers/registry-tree';
import { startSshd, type TestSshd } from '../helpers/sshd';
import { isError, readKeys, scratchVault, writeKeys } from '../helpers/vault';

const MIB = 1 << 20;

describe('images over SSH as an ordinary user with sudo', function () {
  this.timeout(180_000);
  let sshd: TestSshd;
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  let root: string;
  let tree: RegistryTree;

  const connect = (): Promise<Host> => {
    const config = hostSchema.parse({ address: '127.0.0.1', port: sshd.port, user: sshd.user, key: `file:${sshd.keyFile}`, sudoPassword: `file:${sshd.passwordFile}` });
    return connectHost('node', config, { knownHosts: sshd.knownHosts, hosts: {} });
  };
  const newWriter = (): Omit<SegmentWriterOptions, 'onBlob'> => ({ vault: scratch.vault, cluster: 'lab', keys: writeKeys, writtenBy: 'test', segmentBytes: 8 * MIB });

  async function stored(): Promise<WantedBlob[]> {
    const blobs: WantedBlob[] = [];
    for await (const { header, blobs: listed } of readIndexes(scratch.vault, 'lab')) for (const blob of listed) if (!blob.void) blobs.push({ ...blob, segment: header.segment });
    return blobs;
  }

  before(async () => {
    sshd = await startSshd({ ordinaryUser: true });
    scratch = await scratchVault();
    root = join(scratch.path, 'volume');
    tree = makeRegistryTree({ layout: 'sha256', seed: 11, layerBytes: 5 * MIB });
    await writeRegistryTree(root, tree);
    await chmod(scratch.path, 0o700);
  });
  after(async () => {
    await sshd.stop();
    await scratch.remove();
  });

  it('go on after the last complete segment when the connection is lost', async () => {
    let host = await connect();
    let written = 0;
    const writer = { ...newWriter(), onSegment: () => (written += 1) };
    let cut = false;
    const wanted = [];
    for await (const blob of listBlobs(host, root)) wanted.push(blob);
    const copying = copyBlobs({ host, root, wanted, writer, onProgress: () => {
      if (cut || written === 0) return;
      cut = true;
      sshd.dropConnections();
    } });
    await assert.rejects(copying, isError('HostUnreachable', /connection to node was lost/));
    await host.close();

    const before = await stored();
    assert.ok(before.length > 0 && before.length < tree.blobs.length, `${before.length} of ${tree.blobs.length} are stored`);
    const have = new Set(before.map((blob) => blob.path));
    host = await connect();
    const next = newWriter();
    const result = await copyBlobs({ host, root, wanted: wanted.filter((blob) => !have.has(blob.path)), writer: next });
    await host.close();
    assert.equal(result.stored.blobs, tree.blobs.length - before.length);
    assert.equal((await stored()).length, tree.blobs.length);
  });

  it('come back with the tree into an empty volume', async () => {
    const host = await connect();
    const target = join(scratch.path, 'target');
    await mkdir(target);
    await restoreTree({ host, root: target, source: streamTree(host, root) });
    const result = await restoreBlobs({ host, root: target, operation: 'op', vault: scratch.vault, cluster: 'lab', keys: readKeys, wanted: await stored() });
    assert.equal(result.written.blobs, tree.blobs.length);
    for (const [path, data] of tree.content) assert.ok((await readFile(join(target, path))).equals(data), path);
    const repeated = await restoreBlobs({ host, root: target, operation: 'op', vault: scratch.vault, cluster: 'lab', keys: readKeys, wanted: await stored() });
    assert.deepEqual([repeated.written.blobs, repeated.kept.blobs], [0, tree.blobs.length]);
    await host.close();
  });

  it('leave a volume that a lost connection interrupted fit for the same restore', async () => {
    let host = await connect();
    const target = join(scratch.path, 'interrupted');
    await mkdir(target);
    const wanted = await stored();
    const restoring = restoreBlobs({ host, root: target, operation: 'op', vault: scratch.vault, cluster: 'lab', keys: readKeys, wanted, onProgress: ({ bytes }) => bytes > 6 * MIB && sshd.dropConnections() });
    await assert.rejects(restoring, isError('HostUnreachable', /was lost/));
    await host.close();
    host = await connect();
    await restoreBlobs({ host, root: target, operation: 'op', vault: scratch.vault, cluster: 'lab', keys: readKeys, wanted });
    assert.deepEqual(await readdir(target), ['docker']);
    for (const [path, data] of tree.content) assert.ok((await readFile(join(target, path))).equals(data), path);
    await host.close();
    await rm(target, { recursive: true });
  });
});
