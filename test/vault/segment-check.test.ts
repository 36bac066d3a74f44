import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readlinkSync, readdirSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { openCiphertext } from '../../adapters/vault/ciphertext';
import { proveAlone, proveWhole } from '../../adapters/vault/segment-check';
import { readIndexes, type SegmentIndex } from '../../adapters/vault/segment-index';
import { SegmentWriter } from '../../adapters/vault/segment-writer';
import type { Vault } from '../../adapters/vault/vault';
import { DrydockError, type ErrorKind } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import { failure } from '../helpers/failure';
import { readKeys, scratchVault, writeKeys } from '../helpers/vault';

describe('proving a segment', function () {
  this.timeout(30_000);
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  let index: SegmentIndex;
  let name: string;

  before(async () => {
    scratch = await scratchVault();
    const data = Buffer.alloc(200_000, 'drydock');
    const sha256 = createHash('sha256').update(data).digest('hex');
    const writer = new SegmentWriter({ vault: scratch.vault, cluster: 'lab', keys: writeKeys, writtenBy: 'test', segmentBytes: 64 << 20 });
    await writer.push({ path: `docker/registry/v2/blobs/sha256/${sha256.slice(0, 2)}/${sha256}/data`, size: data.length, sha256 }, (async function* () {
      yield await Promise.resolve(data);
    })());
    await writer.finish();
    for await (const found of readIndexes(scratch.vault, 'lab')) index = found;
    name = vaultPaths.segment('lab', index.header.segment);
  });
  after(() => scratch.remove());

  /** A vault that refuses to be read from the given read on. */
  const refusing = (kind: ErrorKind, from: number): Vault => {
    let reads = 0;
    const read: Vault['read'] = (...args) => ((reads += 1) >= from ? Promise.reject(new DrydockError(kind, 'the way to the vault is shut')) : scratch.vault.read(...args));
    return new Proxy(scratch.vault, { get: (target, key) => (key === 'read' ? read : key === 'openLocally' ? undefined : (Reflect.get(target, key) as unknown)) });
  };

  it('throws what keeps us from the vault, and calls nothing damaged for it', async () => {
    for (const kind of ['AuthRejected', 'NotPermitted', 'TlsRejected', 'VaultUnavailable'] as const) {
      for (const from of [1, 2]) {
        await failure(proveWhole(refusing(kind, from), name, index.blobs, readKeys), kind);
        await failure(proveAlone(refusing(kind, from), 'lab', index, index.blobs, readKeys), kind);
      }
    }
  });

  it('tells what no key opens, and what is gone, by its blobs', async () => {
    const strangers = { passphrases: ['another one'], privateKeys: [] };
    assert.equal((await proveWhole(scratch.vault, name, index.blobs, strangers)).bad, null);
    assert.deepEqual(await proveAlone(scratch.vault, 'lab', index, index.blobs, strangers), index.blobs);
    assert.deepEqual(await proveAlone(refusing('NotFound', 1), 'lab', index, index.blobs, readKeys), index.blobs);
    assert.deepEqual((await proveWhole(scratch.vault, name, index.blobs, readKeys)).bad, []);
  });

  it('leaves no file open when the mount answers its opening and not the question for its size', async () => {
    const some = await open(scratch.path);
    const handles = Object.getPrototypeOf(some) as { stat: FileHandle['stat'] };
    await some.close();
    const isOpen = (): boolean => readdirSync('/proc/self/fd').some((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).endsWith(name);
      } catch {
        return false;
      }
    });
    const real = handles.stat;
    // A stale handle of a mount cannot be made here.
    for (const good of [0, 1]) {
      let calls = 0;
      handles.stat = function (this: FileHandle) {
        calls += 1;
        return calls > good ? Promise.reject(Object.assign(new Error('ESTALE: stale file handle, fstat'), { code: 'ESTALE' })) : real.call(this);
      } as FileHandle['stat'];
      try {
        await failure(openCiphertext(scratch.vault, name), 'VaultUnavailable');
      } finally {
        handles.stat = real;
      }
      assert.equal(isOpen(), false);
    }
  });
});
