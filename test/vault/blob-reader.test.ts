import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { BlobReader } from '../../adapters/vault/blob-reader';
import { readIndexes } from '../../adapters/vault/segment-index';
import type { WantedBlob } from '../../adapters/vault/segment-places';
import { SegmentWriter } from '../../adapters/vault/segment-writer';
import type { Vault } from '../../adapters/vault/vault';
import { sha256BlobPath } from '../../domain/layout';
import { vaultPaths } from '../../domain/vault-format';
import { collect, isError, readKeys, scratchVault, writeKeys } from '../helpers/vault';

const MIB = 1 << 20;

describe('one blob alone', function () {
  this.timeout(30_000);
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  const content = new Map<string, Buffer>();
  let wanted: WantedBlob[];

  before(async () => {
    scratch = await scratchVault();
    const writer = new SegmentWriter({ vault: scratch.vault, cluster: 'lab', keys: writeKeys, writtenBy: 'test', segmentBytes: 64 * MIB });
    for (const bytes of [5 * MIB, 300, 3 * MIB + 17, 12 * MIB, 1, 0, 2 * MIB, 700_000]) {
      const data = randomBytes(bytes);
      const sha256 = createHash('sha256').update(data).digest('hex');
      content.set(sha256, data);
      await writer.add({ path: sha256BlobPath(sha256), size: bytes, sha256 }, only(data));
    }
    assert.equal((await writer.finish()).length, 1);
    wanted = [];
    for await (const { header, blobs } of readIndexes(scratch.vault, 'lab')) for (const { path: name, size, sha256 } of blobs) wanted.push({ path: name, size, sha256, segment: header.segment });
  });
  after(() => scratch?.remove());

  async function* only(data: Buffer): AsyncGenerator<Buffer> {
    yield await Promise.resolve(data);
  }

  /** The vault, counting the bytes of segments that were asked for. */
  function counting(): { vault: Vault; asked: () => number } {
    let bytes = 0;
    const vault = Object.create(scratch.vault) as Vault;
    vault.read = (name, range) => {
      if (name.endsWith('.tar.gpg')) bytes += range?.length ?? Infinity;
      return scratch.vault.read(name, range);
    };
    return { vault, asked: () => bytes };
  }

  it('comes back whole from wherever it lies, in any order', async () => {
    const reader = new BlobReader(scratch.vault, 'lab', readKeys);
    for (const blob of [...wanted].reverse()) assert.deepEqual(await collect(reader.read(blob)), content.get(blob.sha256));
  });

  it('is read by range: little more than its own bytes', async () => {
    const { vault, asked } = counting();
    const blob = wanted.find(({ size }) => size === 12 * MIB)!;
    await collect(new BlobReader(vault, 'lab', readKeys).read(blob));
    assert.ok(asked() < blob.size + 3 * MIB, `${asked()} bytes were asked for`);
  });

  it('opens a segment once, however many of its blobs are read', async () => {
    const { vault, asked } = counting();
    const reader = new BlobReader(vault, 'lab', readKeys);
    const blob = wanted.find(({ size }) => size === 300)!;
    await reader.readAll(blob, 1000);
    const first = asked();
    await reader.readAll(blob, 1000);
    assert.ok(asked() - first < first, 'the second time cost as much as the first');
  });

  it('is refused when its index does not list it, when it is too large, or when no key opens it', async () => {
    const reader = new BlobReader(scratch.vault, 'lab', readKeys);
    const [blob] = wanted;
    await assert.rejects(collect(reader.read({ ...blob!, sha256: 'a'.repeat(64) })), isError('IntegrityMismatch', /does not list it/));
    await assert.rejects(reader.readAll(blob!, 100), isError('IntegrityMismatch', /more than the 100/));
    await assert.rejects(collect(new BlobReader(scratch.vault, 'lab', { passphrases: ['wrong'], privateKeys: [] }).read(blob!)), isError('AuthRejected', /./));
  });

  it('is found to be damaged at its end when one bit of it has changed', async () => {
    const blob = wanted.find(({ size }) => size === 12 * MIB)!;
    const file = await open(path.join(scratch.directory, vaultPaths.segment('lab', blob.segment)), 'r+');
    const octet = Buffer.alloc(1);
    await file.read(octet, 0, 1, 15 * MIB);
    octet[0]! ^= 1;
    await file.write(octet, 0, 1, 15 * MIB);
    await file.close();
    await assert.rejects(collect(new BlobReader(scratch.vault, 'lab', readKeys).read(blob)), isError('IntegrityMismatch', /SHA-256/));
  });
});
