import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rotateKeys, type RotateReport } from '../../client/keys';
import type { LoadedConfig } from '../../client/session';
import { loadDecryptionKeys, loadEncryptionKeys } from '../../adapters/openpgp/keyring';
import { passphraseName } from '../../adapters/openpgp/passphrase';
import { readArtifact } from '../../adapters/vault/artifacts';
import { readBlobs } from '../../adapters/vault/segment-reader';
import { encryptionSchema, type EncryptionConfig } from '../../domain/config';
import { vaultPaths } from '../../domain/vault-format';
import { makeKey, type TestKey } from '../helpers/openpgp-keys';
import { makeRegistryTree } from '../helpers/registry-tree';
import { sealBackup } from '../helpers/sealed-backup';
import { collect, isError, scratchVault } from '../helpers/vault';

describe('drydock key rotate', function () {
  this.timeout(60_000);
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  let old: TestKey;
  let fresh: TestKey;
  let words: string;
  const tree = makeRegistryTree({ layout: 'id', seed: 3, layerBytes: 20_000 });

  const local = (encryption: EncryptionConfig): LoadedConfig =>
    ({ path: 'drydock.yaml', config: { stateDir: scratch.path, vaults: { main: { directory: scratch.directory } }, clusters: { lab: { vault: 'main', copies: [], retention: { hold: '7d' }, encryption: encryptionSchema.parse(encryption) } } } }) as unknown as LoadedConfig;
  const rotate = (encryption: EncryptionConfig, rewrap = false): Promise<RotateReport> => rotateKeys(local(encryption), 'lab', { rewrap });
  const seal = async (encryption: EncryptionConfig, startedAt: string) => sealBackup({ vault: scratch.vault, cluster: 'lab', tree, keys: await loadEncryptionKeys(encryption), startedAt });

  beforeEach(async () => {
    scratch = await scratchVault();
    await chmod(scratch.path, 0o700);
    old = await makeKey(scratch.path, 'old');
    fresh = await makeKey(scratch.path, 'fresh');
    words = join(scratch.path, 'words');
    await writeFile(words, 'some words');
  });
  afterEach(() => scratch.remove());

  it('states for each backup which keys open it, for whom it is closed, and whether it opens here', async () => {
    const first = await seal({ recipients: [old.publicFile] }, '2026-11-01T00:00:00.000Z');
    const report = await rotate({ recipients: [fresh.publicFile], passphrase: `file:${words}` });
    assert.deepEqual(report.recipients, [fresh.fingerprint, await passphraseName('some words')].sort());
    assert.deepEqual(report.backups, [{ id: first.backupId, sealedAt: first.sealedAt, opensWith: [old.fingerprint], lacks: report.recipients, opensHere: false }]);
    const withOld = await rotate({ recipients: [fresh.publicFile], privateKeys: [`file:${old.privateFile}`] });
    assert.deepEqual(withOld.backups.map(({ opensHere, lacks }) => [opensHere, lacks]), [[true, [fresh.fingerprint]]]);
  });

  it('opens old backups to the new key, metadata and blobs, once and without rewriting anything', async () => {
    const manifest = await seal({ recipients: [old.publicFile] }, '2026-11-01T00:00:00.000Z');
    const before = new Map<string, number>();
    for await (const { name, modified } of scratch.vault.list('')) before.set(name, modified.getTime());
    const encryption = { recipients: [fresh.publicFile], privateKeys: [`file:${old.privateFile}`] };
    const report = await rotate(encryption, true);
    assert.equal(report.rewrapped, manifest.segments.length + 5);
    assert.deepEqual(report.backups.map(({ opensWith, lacks }) => [opensWith, lacks]), [[[fresh.fingerprint, old.fingerprint].sort(), []]]);
    for (const [name, modified] of before) assert.equal((await scratch.vault.stat(name))?.modified.getTime(), modified, name);
    assert.equal((await rotate(encryption, true)).rewrapped, 0, 'nothing is left to do');

    const keys = await loadDecryptionKeys({ privateKeys: [`file:${fresh.privateFile}`] });
    assert.ok((await collect(await readArtifact(scratch.vault, manifest.artifacts.metadata, keys, { gunzip: true }))).length > 0);
    const wanted = tree.blobs.map(({ path, size, sha256 }) => ({ path, size, sha256 }));
    const placed = [];
    for (const { segment } of manifest.segments) {
      const index = (await scratch.vault.readAll(vaultPaths.segmentIndex('lab', segment), 1 << 20)).toString();
      placed.push(...wanted.filter(({ path }) => index.includes(path)).map((blob) => ({ ...blob, segment })));
    }
    let read = 0;
    for await (const { data } of readBlobs(scratch.vault, 'lab', placed, keys)) read += Number((await collect(data)).length > 0);
    assert.equal(read, tree.blobs.length);
  });

  it('says that nothing can be wrapped where no key is at hand, and refuses faulty keys before it looks', async () => {
    await seal({ recipients: [old.publicFile] }, '2026-11-01T00:00:00.000Z');
    await assert.rejects(rotate({ recipients: [fresh.publicFile] }, true), isError('Refused', /no session key can be wrapped anew/));
    const signer = await makeKey(scratch.path, 'signer', { subkeys: [] });
    await assert.rejects(rotate({ recipients: [signer.publicFile] }), isError('InvalidInput', new RegExp(`${signer.fingerprint}.*signing only`)));
  });

  it('no longer counts a recipient whose added packets went away', async () => {
    const manifest = await seal({ recipients: [old.publicFile] }, '2026-11-01T00:00:00.000Z');
    const encryption = { recipients: [fresh.publicFile], privateKeys: [`file:${old.privateFile}`] };
    await rotate(encryption, true);
    await scratch.vault.remove(vaultPaths.wrappedKeys(vaultPaths.segment('lab', manifest.segments[0]!.segment), fresh.fingerprint));
    assert.deepEqual((await rotate(encryption)).backups[0]!.lacks, [fresh.fingerprint]);
  });
});
