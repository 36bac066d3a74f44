import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { StoredBlobs } from '../../activities/backup/stored';
import { loadDecryptionKeys, loadEncryptionKeys } from '../../adapters/openpgp/keyring';
import type { DecryptionKeys, EncryptionKeys } from '../../adapters/openpgp/keys';
import { Access, recordWrapped } from '../../adapters/vault/access';
import { readArtifact, writeArtifact } from '../../adapters/vault/artifacts';
import { readBlobs } from '../../adapters/vault/segment-reader';
import { SegmentWriter, type WrittenSegment } from '../../adapters/vault/segment-writer';
import type { Vault } from '../../adapters/vault/vault';
import { DrydockError } from '../../domain/errors';
import { sha256BlobPath } from '../../domain/layout';
import { wrapSessionKey } from '../../adapters/openpgp/wrap';
import { vaultPaths } from '../../domain/vault-format';
import { GpgHome, makeKey, type TestKey } from '../helpers/openpgp-keys';
import { makeRegistryTree } from '../helpers/registry-tree';
import { sealBackup } from '../helpers/sealed-backup';
import { collect, isError, scratchVault } from '../helpers/vault';
import { forgeSegments } from '../helpers/segment-list';

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

describe('access of new recipients to old files', function () {
  this.timeout(60_000);
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  let gpg: GpgHome;
  let old: TestKey;
  let fresh: TestKey;
  let forOld: EncryptionKeys;
  let forBoth: EncryptionKeys;
  let ofOld: DecryptionKeys;
  let ofFresh: DecryptionKeys;
  const nobody: DecryptionKeys = { passphrases: [], privateKeys: [] };
  const blob = randomBytes(300_000);
  const path = sha256BlobPath(sha256(blob));
  let segment: WrittenSegment;

  beforeEach(async () => {
    scratch = await scratchVault();
    await chmod(scratch.path, 0o700);
    gpg = await GpgHome.create(scratch.path);
    old = await makeKey(scratch.path, 'old');
    fresh = await makeKey(scratch.path, 'fresh');
    forOld = await loadEncryptionKeys({ recipients: [old.publicFile] });
    await writeFile(join(scratch.path, 'words'), 'new words');
    forBoth = await loadEncryptionKeys({ recipients: [old.publicFile, fresh.publicFile], passphrase: `file:${join(scratch.path, 'words')}` });
    ofOld = await loadDecryptionKeys({ privateKeys: [`file:${old.privateFile}`] });
    ofFresh = await loadDecryptionKeys({ privateKeys: [`file:${fresh.privateFile}`] });
    const writer = new SegmentWriter({ vault: scratch.vault, cluster: 'lab', keys: forOld, writtenBy: 'test', segmentBytes: 1 << 20 });
    await writer.add({ path, size: blob.length, sha256: sha256(blob) }, Readable.from([blob]));
    segment = (await writer.finish())[0]!;
  });
  afterEach(async () => {
    await gpg.stop();
    await scratch.remove();
  });

  const name = () => vaultPaths.segment('lab', segment.segment);
  const load = (current: EncryptionKeys, keys: DecryptionKeys) => Access.load(scratch.vault, vaultPaths.segments('lab'), current, keys);
  const stored = async (current: EncryptionKeys, keys: DecryptionKeys) => StoredBlobs.load(scratch.vault, 'lab', { access: await load(current, keys) });
  const read = async (keys: DecryptionKeys): Promise<Buffer> => {
    for await (const { data } of readBlobs(scratch.vault, 'lab', [{ path, size: blob.length, sha256: sha256(blob), segment: segment.segment }], keys)) return collect(data);
    throw new Error('nothing was read');
  };

  it('is given by wrapping the session key beside the segment, which itself stays as it is', async () => {
    await assert.rejects(read(ofFresh), isError('AuthRejected', /none of the keys/));
    const before = await scratch.vault.stat(name());
    assert.ok((await stored(forBoth, ofOld)).good(path, sha256(blob)));
    assert.ok((await read(ofFresh)).equals(blob), 'the new key');
    assert.ok((await read({ passphrases: ['new words'], privateKeys: [] })).equals(blob), 'the new passphrase');
    assert.ok((await read(ofOld)).equals(blob), 'the old key');
    assert.deepEqual(await scratch.vault.stat(name()), before);
    assert.deepEqual((await load(forBoth, nobody)).recipientsOf(name(), forOld.recipients), forBoth.recipients);
  });

  it('counts the blobs as new where no private key is at hand, and as stored where another worker has wrapped the key', async () => {
    assert.equal((await stored(forBoth, nobody)).good(path, sha256(blob)), undefined);
    const lookedUp = await stored(forBoth, ofFresh);
    assert.equal(lookedUp.likely(lookedUp.copies.numbers.blobs.add(path), blob.length), false);
    assert.ok((await stored(forOld, nobody)).good(path, sha256(blob)), 'for the recipients it was written for, nothing has to be done');
    await stored(forBoth, ofOld);
    assert.ok((await stored(forBoth, nobody)).good(path, sha256(blob)));
  });

  it('is opened by gpg: the packets in the .keys file take the place of the segment\'s own', async () => {
    const access = await load(forBoth, ofOld);
    await access.cover(name(), forOld.recipients);
    const { encryptedFrom, keys } = (await recordWrapped(scratch.vault, name(), access.addedTo(name())))!;
    assert.deepEqual(keys.map(({ recipient }) => recipient), forBoth.recipients.filter((recipient) => recipient !== old.fingerprint));
    await gpg.run('--import', fresh.privateFile);
    const file = (recipient: string): string => join(scratch.directory, vaultPaths.wrappedKeys(name(), recipient));
    const line = (recipient: string): string => `(cat ${file(recipient)}; tail -c +${encryptedFrom} ${join(scratch.directory, name())}) | $GPG --passphrase 'new words' --decrypt | tar -xOf - ${path}`;
    assert.ok((await gpg.shell(line(fresh.fingerprint), scratch.path)).equals(blob), 'the new key');
    assert.ok((await gpg.shell(line(keys.map(({ recipient }) => recipient).find((recipient) => recipient.startsWith('passphrase'))!), scratch.path)).equals(blob), 'the new passphrase');
    await assert.rejects(gpg.shell(`$GPG --decrypt ${join(scratch.directory, name())}`, scratch.path), /No secret key/);
  });

  it('survives two workers that wrap at the same time, and one that had begun', async () => {
    const [one, two] = await Promise.all([load(forBoth, ofOld), load(forBoth, ofOld)]);
    assert.deepEqual(await Promise.all([one.cover(name(), forOld.recipients), two.cover(name(), forOld.recipients)]), [true, true]);
    await scratch.vault.remove(vaultPaths.wrappedKeys(name(), fresh.fingerprint));
    assert.ok(await (await load(forBoth, ofOld)).cover(name(), forOld.recipients));
    assert.ok((await read(ofFresh)).equals(blob));
  });

  it('is no matter of keys where the vault itself refuses the worker: that ends the look, and is no reason to store everything anew', async () => {
    const refused = new DrydockError('AuthRejected', 'the server does not accept the keys (ExpiredToken)', { remedy: 'check them' });
    const closed = Object.assign(Object.create(scratch.vault) as Vault, { read: () => Promise.reject(refused) });
    const access = await Access.load(closed, vaultPaths.segments('lab'), forBoth, ofOld);
    await assert.rejects(access.cover(name(), forOld.recipients), refused);
    const promised = await Access.load(scratch.vault, vaultPaths.segments('lab'), forBoth, ofFresh);
    assert.equal(await promised.cover(name(), [fresh.fingerprint]), false, 'a header that promises what the file does not keep');
  });

  it('is given to artifacts in the same way', async () => {
    const record = await writeArtifact(scratch.vault, 'lab/backups/b/metadata.tar.gz.gpg', forOld, Readable.from([Buffer.from('rows')]), { gzip: true });
    const access = await Access.load(scratch.vault, 'lab/backups/b/', forBoth, ofOld);
    assert.deepEqual(access.missingFrom(record.name, record.recipients).length, 2);
    assert.ok(await access.cover(record.name, record.recipients));
    assert.equal((await collect(await readArtifact(scratch.vault, record, ofFresh, { gunzip: true }))).toString(), 'rows');
  });

  describe('by a .keys file that is rotten', () => {
    const keysFile = (recipient = fresh.fingerprint): string => vaultPaths.wrappedKeys(name(), recipient);
    const passphrase = (): string => forBoth.recipients.find((recipient) => recipient.startsWith('passphrase'))!;
    const replace = async (file: string, content: Buffer): Promise<void> => {
      await scratch.vault.remove(file);
      await scratch.vault.put(file, content);
    };
    /** As a backup that uses the segment seals it. */
    const sealed = async (startedAt: string, keys: DecryptionKeys): Promise<void> => {
      const access = await load(forBoth, keys);
      if (access.isDamaged(name())) assert.ok(await access.cover(name(), forOld.recipients));
      const wrapped = (await recordWrapped(scratch.vault, name(), access.addedTo(name())))!;
      const tree = makeRegistryTree({ layout: 'sha256', seed: 3, repositories: 1, layerBytes: 1000 });
      const manifest = await sealBackup({ vault: scratch.vault, cluster: 'lab', tree, keys: forOld, startedAt });
      const [ref] = manifest.segments;
      const path = join(scratch.directory, vaultPaths.manifest('lab', manifest.backupId));
      await writeFile(path, JSON.stringify(await forgeSegments(scratch.vault, manifest, (segments) => [...segments, { ...ref!, segment: segment.segment, wrapped }])));
    };

    it('is not believed where its octets are no session key packets for the recipient, and the blobs count as new for a worker without private keys', async () => {
      await stored(forBoth, ofOld);
      const good = await scratch.vault.readAll(keysFile(), 10_000);
      const ofPassphrase = await scratch.vault.readAll(keysFile(passphrase()), 10_000);
      const stranger = await wrapSessionKey(randomBytes(32), await loadEncryptionKeys({ recipients: [old.publicFile] }));
      const flip = (at: number, bit: number): Buffer => Buffer.from(good.map((octet, index) => (index === at ? octet ^ bit : octet)));
      for (const [what, content] of Object.entries({ random: randomBytes(100), empty: Buffer.alloc(0), cut: good.subarray(0, -3), doubled: Buffer.concat([good, good.subarray(0, 20)]), foreign: stranger, passphrase: ofPassphrase, 'another key id': flip(4, 1), 'another algorithm': flip(11, 4), 'length of a number': flip(13, 0x10) })) {
        await replace(keysFile(), content);
        const access = await load(forBoth, nobody);
        assert.deepEqual(access.missingFrom(name(), forOld.recipients), [fresh.fingerprint], what);
        assert.deepEqual(access.addedTo(name()), [passphrase()], what);
        const blobs = await stored(forBoth, nobody);
        assert.equal(blobs.good(path, sha256(blob)), undefined, what);
        assert.ok(blobs.damaged.some((sentence) => sentence.startsWith(`${keysFile()} is not relied on`)), what);
      }
      await replace(keysFile(), good);
      await replace(keysFile(passphrase()), ofPassphrase.subarray(1));
      assert.deepEqual((await load(forBoth, nobody)).missingFrom(name(), forOld.recipients), [passphrase()]);
    });

    it('is written anew by a worker whose key opens the segment', async () => {
      await stored(forBoth, ofOld);
      await replace(keysFile(), randomBytes(100));
      const blobs = await stored(forBoth, ofOld);
      assert.ok(blobs.good(path, sha256(blob)));
      assert.deepEqual(blobs.damaged, []);
      assert.ok((await read(ofFresh)).equals(blob));
      assert.ok((await stored(forBoth, nobody)).good(path, sha256(blob)));
    });

    it('is not believed where a sealed backup recorded another digest, although its form is right', async () => {
      await stored(forBoth, ofOld);
      await sealed('2026-11-23T02:00:00.000Z', nobody);
      assert.ok((await stored(forBoth, nobody)).good(path, sha256(blob)), 'as it was sealed it counts');
      const content = await scratch.vault.readAll(keysFile(), 10_000);
      content[content.length - 1]! ^= 1;
      await replace(keysFile(), content);
      await assert.rejects(read(ofFresh), isError('AuthRejected', /none of the keys/), 'it opens nothing');
      assert.equal((await stored(forBoth, nobody)).good(path, sha256(blob)), undefined);
      assert.ok((await stored(forBoth, ofOld)).good(path, sha256(blob)));
      assert.ok((await read(ofFresh)).equals(blob), 'it was written anew');
      await sealed('2026-11-24T02:00:00.000Z', ofOld);
      assert.ok((await stored(forBoth, nobody)).good(path, sha256(blob)), 'the newest backup counts');
    });
  });

  it('is not taken from a damaged .keys file', async () => {
    await (await load(forBoth, ofOld)).cover(name(), forOld.recipients);
    const file = vaultPaths.wrappedKeys(name(), fresh.fingerprint);
    await scratch.vault.remove(file);
    await scratch.vault.put(file, randomBytes(100));
    await assert.rejects(read(ofFresh), isError('IntegrityMismatch', /./));
    assert.ok((await read(ofOld)).equals(blob), 'who does not need it is not disturbed');
  });
});
