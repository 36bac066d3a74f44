import assert from 'node:assert/strict';
import { createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as openpgp from 'openpgp';
import { decryptStream } from '../../adapters/openpgp/decrypt';
import { encryptStream } from '../../adapters/openpgp/encrypt';
import { readMessageStart } from '../../adapters/openpgp/framing';
import { decryptionRecipients, expiringRecipients, loadDecryptionKeys, loadEncryptionKeys } from '../../adapters/openpgp/keyring';
import type { DecryptionKeys, EncryptionKeys } from '../../adapters/openpgp/keys';
import { passphraseName, wrapForPassphrases } from '../../adapters/openpgp/passphrase';
import { isForWantOfKey } from '../../adapters/openpgp/session-key';
import { loadTrustedSigners } from '../../adapters/openpgp/sign';
import { GpgHome, makeKey, writeKey, type TestKey } from '../helpers/openpgp-keys';
import { collect, isError, scratchDirectory, type Scratch } from '../helpers/vault';

async function through(data: Buffer, stream: NodeJS.ReadWriteStream): Promise<Buffer> {
  const [result] = await Promise.all([collect(stream as unknown as AsyncIterable<Buffer>), pipeline(Readable.from([data]), stream)]);
  return result;
}

describe('the keys of a backup', function () {
  this.timeout(60_000);
  let scratch: Scratch;
  let gpg: GpgHome;
  let file: (name: string) => string;

  before(async () => {
    scratch = await scratchDirectory();
    await chmod(scratch.path, 0o700);
    gpg = await GpgHome.create(scratch.path);
    file = (name) => join(scratch.path, name);
  });
  after(async () => {
    await gpg.stop();
    await scratch.remove();
  });

  const encrypt = async (plain: Buffer, keys: EncryptionKeys): Promise<Buffer> => through(plain, await encryptStream(keys));
  const decrypt = (message: Buffer, keys: DecryptionKeys): Promise<Buffer> => through(message, decryptStream(keys));
  const secret = async (name: string, text: string): Promise<string> => {
    await writeFile(file(name), text);
    return `file:${file(name)}`;
  };

  it('may be three public keys and two passphrases, and each of the five opens the message alone, by us and by gpg', async () => {
    const officers = await Promise.all(['anna', 'bela', 'cora'].map((name) => makeKey(scratch.path, name)));
    const passphrases = await Promise.all([secret('pass-1', 'first words'), secret('pass-2', 'second words')]);
    const keys = await loadEncryptionKeys({ passphrase: passphrases[0], passphrases: [passphrases[1]], recipients: officers.map(({ publicFile }) => publicFile) });
    assert.deepEqual(keys.recipients, [...officers.map(({ fingerprint }) => fingerprint), await passphraseName('first words'), await passphraseName('second words')].sort());
    const plain = randomBytes(70_000);
    const message = await encrypt(plain, keys);
    await writeFile(file('m.gpg'), message);
    for (const { privateFile } of officers) {
      assert.ok((await decrypt(message, await loadDecryptionKeys({ recipients: [], privateKeys: [`file:${privateFile}`] }))).equals(plain));
    }
    for (const text of ['first words', 'second words']) {
      assert.ok((await decrypt(message, { passphrases: [text], privateKeys: [] })).equals(plain));
    }
    assert.ok((await gpg.run('--passphrase', 'first words', '--decrypt', file('m.gpg'))).equals(plain), 'gpg with the first passphrase');
    // gpg 2.2 tries a passphrase on the first packet only; docs/vault-format.md has these lines.
    const second = `N=$($GPG --list-only --list-packets m.gpg 2>/dev/null | sed -n 's/^# off=\\([0-9]*\\) .* tag=3 .*/\\1/p' | sed -n 2p)
      tail -c +$((N + 1)) m.gpg | $GPG --passphrase 'second words' --decrypt`;
    assert.ok((await gpg.shell(second, scratch.path)).equals(plain), 'gpg with the second passphrase');
    const forKeys = await encrypt(plain, await loadEncryptionKeys({ recipients: officers.map(({ publicFile }) => publicFile) }));
    await writeFile(file('k.gpg'), forKeys);
    for (const { privateFile, fingerprint } of officers) {
      await gpg.run('--import', privateFile);
      assert.ok((await gpg.run('--decrypt', file('k.gpg'))).equals(plain));
      await gpg.run('--delete-secret-and-public-key', fingerprint);
    }
  });

  it('include passphrases that open old backups and for which nothing new is written', async () => {
    const [now, former] = await Promise.all([secret('now', 'new words'), secret('former', 'old words')]);
    const encryption = { passphrase: now, formerPassphrases: [former] };
    const message = await encrypt(randomBytes(100), await loadEncryptionKeys(encryption));
    await assert.rejects(decrypt(message, { passphrases: ['old words'], privateKeys: [] }), isError('AuthRejected', /none of the keys/));
    const old = await encrypt(Buffer.from('from last year'), { passphrases: ['old words'], publicKeys: [], recipients: [] });
    assert.equal((await decrypt(old, await loadDecryptionKeys(encryption))).toString(), 'from last year');
  });

  it('are told 30 days before they expire, with the date, by the key and by its last subkey', async () => {
    const day = 86_400;
    const notices = async (options: Parameters<typeof makeKey>[2], inDays: number): Promise<string[]> => {
      const { publicFile } = await makeKey(scratch.path, 'mortal', options);
      return expiringRecipients(await loadEncryptionKeys({ recipients: [publicFile] }), Date.now() + inDays * day * 1000);
    };
    const date = new Date(Date.now() + 40 * day * 1000).toISOString().slice(0, 10);
    assert.deepEqual(await notices({}, 3000), [], 'a key without an end');
    assert.deepEqual(await notices({ keyExpirationTime: 40 * day }, 9), []);
    for (const options of [{ keyExpirationTime: 40 * day }, { subkeys: [{ keyExpirationTime: 40 * day }] }, { keyExpirationTime: 400 * day, subkeys: [{ keyExpirationTime: 20 * day }, { keyExpirationTime: 40 * day }] }]) {
      const [notice] = await notices(options, 11);
      assert.match(notice!, new RegExp(`^The recipient's key [0-9A-F]{40} \\(mortal <mortal@example.com>\\) expires on ${date}: `));
    }
  });

  it('that stay locked are a want of a key, as one that does not fit is', async () => {
    const locked = await makeKey(scratch.path, 'locked', { passphrase: 'open sesame' });
    const privateKeys = [`file:${locked.privateFile}`];
    for (const encryption of [{ privateKeys }, { privateKeys, privateKeyPassphrase: await secret('not-it', 'not it') }]) {
      await assert.rejects(loadDecryptionKeys(encryption), (error: unknown) => isError('AuthRejected', /is locked and no|is not unlocked by/)(error) && isForWantOfKey(error));
    }
  });

  it('never mislead gpg: no passphrase fits the session key packet of another', () => {
    const passphrases = ['a', 'b', 'c'];
    // Ciphers that gpg has; 5 and 6 of RFC 4880 are reserved, and it passes over a key that names one of them.
    const known = [1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13];
    for (let round = 0; round < 6; round += 1) {
      const packets = wrapForPassphrases(randomBytes(32), passphrases);
      for (const [at, packet] of packets.entries()) {
        const foreign = passphrases.filter((_, other) => other !== at);
        assert.deepEqual(foreign.map((passphrase) => known.includes(firstOctet(packet.subarray(2), passphrase))), [false, false]);
      }
    }
  });

  it('are all those of a file, armoured in several blocks or binary in one ring, each once however often it is named', async () => {
    const [one, two] = [await makeKey(scratch.path, 'one'), await makeKey(scratch.path, 'two')];
    const blocks = await Promise.all([one, two].map(({ publicFile }) => readFile(publicFile, 'utf8')));
    await writeFile(file('both.asc'), `\ufeff# officers\r\n${blocks.join('and the deputy:\n\n').replaceAll('\n', '\r\n')}`);
    for (const { publicFile } of [one, two]) await gpg.run('--import', publicFile);
    await writeFile(file('ring.gpg'), await gpg.run('--export', one.fingerprint, two.fingerprint));
    const expected = [one.fingerprint, two.fingerprint].sort();
    for (const recipients of [[file('both.asc')], [file('ring.gpg')], [one.publicFile, file('both.asc'), file('ring.gpg')]]) {
      const keys = await loadEncryptionKeys({ recipients });
      assert.deepEqual(keys.recipients, expected);
      const message = await encrypt(Buffer.from('rows'), keys);
      assert.equal(readMessageStart(message)!.keyPackets.length, 2, 'one session key packet for each');
      for (const { privateFile } of [one, two]) assert.equal((await decrypt(message, await loadDecryptionKeys({ privateKeys: [`file:${privateFile}`] }))).toString(), 'rows');
    }
    const forTwo = await encrypt(Buffer.from('rows'), await loadEncryptionKeys({ recipients: [two.publicFile] }));
    await writeFile(file('both.key'), `${await readFile(one.privateFile, 'utf8')}${await readFile(two.privateFile, 'utf8')}`);
    const opening = await loadDecryptionKeys({ privateKeys: [`file:${file('both.key')}`] });
    assert.deepEqual(await decryptionRecipients(opening), expected);
    assert.equal((await decrypt(forTwo, opening)).toString(), 'rows', 'the second private key of a file opens as well');
  });

  it('are refused where a file holds what is left of a block, and each bad key of a file is named', async () => {
    const [one, two] = [await makeKey(scratch.path, 'left-1'), await makeKey(scratch.path, 'left-2')];
    const [a, b] = (await Promise.all([one, two].map(({ publicFile }) => readFile(publicFile, 'utf8')))) as [string, string];
    const lines = b.trimEnd().split('\n');
    const without = (at: number): string => `${a}${lines.filter((_, line) => line !== at).join('\n')}\n`;
    const spoilt: [string, string, RegExp][] = [
      ['no END', without(lines.length - 1), /line \d+\): the key block has no end: the file ends/],
      ['no END in the middle', `${lines.slice(0, -1).join('\n')}\n${a}`, /line 1\): the key block has no end: line \d+ is not its END line/],
      ['no BEGIN', without(0), /looks like a part of a key block stands outside/],
      ['a broken BEGIN', `${a}${b.replace('BLOCK-----', 'BLOCK----')}`, /stands outside/],
      ['a line is missing', without(5), /garbled/],
      ['letters changed', `${a}${b.replace(lines[5]!, lines[5]!.split('').reverse().join(''))}`, /garbled/],
      ['a signature', `${a}${a.replaceAll('PUBLIC KEY BLOCK', 'SIGNATURE')}`, /a PGP SIGNATURE stands there, which is no key/],
    ];
    for (const [what, content, message] of spoilt) {
      await writeFile(file('spoilt.asc'), content);
      await assert.rejects(loadEncryptionKeys({ recipients: [file('spoilt.asc')] }), (error: Error) => isError('InvalidInput', message)(error) && error.message.includes(file('spoilt.asc')), what);
      await assert.rejects(loadTrustedSigners({ signedBy: [file('spoilt.asc')] }), isError('InvalidInput', message), what);
      if (what === 'a signature') continue;
      await writeFile(file('spoilt.key'), content.replaceAll('PUBLIC KEY', 'PRIVATE KEY'));
      await assert.rejects(loadDecryptionKeys({ privateKeys: [`file:${file('spoilt.key')}`] }), isError('InvalidInput', /spoilt\.key \(line/), what);
    }
    const ring = Buffer.concat((await Promise.all([a, b].map(async (armoredKey) => (await openpgp.readKey({ armoredKey })).write()))).map(Buffer.from));
    await writeFile(file('cut.gpg'), ring.subarray(0, -20));
    await assert.rejects(loadEncryptionKeys({ recipients: [file('cut.gpg')] }), isError('InvalidInput', /cut\.gpg: the key is cut short/));
    const bad = await Promise.all([makeKey(scratch.path, 'sign-1', { subkeys: [] }), makeKey(scratch.path, 'sign-2', { subkeys: [] })]);
    await writeFile(file('mixed.asc'), [a, ...(await Promise.all(bad.map(({ publicFile }) => readFile(publicFile, 'utf8'))))].join(''));
    await assert.rejects(loadEncryptionKeys({ recipients: [file('mixed.asc')] }), (error: Error) => {
      for (const { fingerprint } of bad) assert.match(error.message, new RegExp(`${fingerprint} .* in ${file('mixed.asc')} cannot encrypt`));
      assert.doesNotMatch(error.message, new RegExp(one.fingerprint));
      return true;
    });
  });

  it('on a curve that Drydock has no code for are refused with its name, public and private', async () => {
    for (const [curve, mail] of [['brainpoolP256r1', 'bp@example.com'], ['secp256k1', 'koblitz@example.com']] as const) {
      await gpg.run('--passphrase', '', '--quick-generate-key', mail, curve, 'sign', 'never');
      const fingerprint = await fingerprintOf(gpg, mail);
      await gpg.run('--passphrase', '', '--quick-add-key', fingerprint, curve, 'encr', 'never');
      await writeFile(file('curve.asc'), await gpg.run('--armor', '--export', fingerprint));
      await writeFile(file('curve.key'), await gpg.run('--armor', '--export-secret-keys', fingerprint));
      const named = isError('InvalidInput', new RegExp(`${fingerprint} \\(${mail}\\) .* on the curve ${curve}, which Drydock cannot use`));
      await assert.rejects(loadEncryptionKeys({ recipients: [file('curve.asc')] }), named);
      await assert.rejects(loadDecryptionKeys({ privateKeys: [`file:${file('curve.key')}`] }), named);
      await assert.rejects(loadTrustedSigners({ signedBy: [file('curve.asc')] }), named);
      await assert.rejects(loadTrustedSigners({ signingKey: `file:${file('curve.key')}` }), named);
    }
    await gpg.run('--passphrase', '', '--quick-generate-key', 'half@example.com', 'ed25519', 'sign', 'never');
    const half = await fingerprintOf(gpg, 'half@example.com');
    await gpg.run('--passphrase', '', '--quick-add-key', half, 'brainpoolP384r1', 'encr', 'never');
    await writeFile(file('half.asc'), await gpg.run('--armor', '--export', half));
    await writeFile(file('half.key'), await gpg.run('--armor', '--export-secret-keys', half));
    await assert.rejects(loadEncryptionKeys({ recipients: [file('half.asc')] }), isError('InvalidInput', /encrypts on the curve brainpoolP384r1/));
    await assert.rejects(loadDecryptionKeys({ privateKeys: [`file:${file('half.key')}`] }), isError('InvalidInput', /on the curve brainpoolP384r1/));
  });

  describe('that cannot serve are refused with fingerprint, user id and file:', () => {
    const refused = async (key: TestKey, what: RegExp): Promise<void> => {
      await assert.rejects(loadEncryptionKeys({ recipients: [key.publicFile] }), (error: Error) => {
        assert.ok(error.message.startsWith(`the key ${key.fingerprint} (${key.userId}) in ${key.publicFile} `), error.message);
        return isError('InvalidInput', what)(error);
      });
    };

    it('weak RSA', async () => refused(await makeKey(scratch.path, 'weak', { type: 'rsa', rsaBits: 1024 }), /weak: RSA with 1024 bits/));

    it('signing only', async () => refused(await makeKey(scratch.path, 'signer', { subkeys: [] }), /for signing only/));

    it('expired', async () => refused(await makeKey(scratch.path, 'old', { date: new Date('2020-01-01'), keyExpirationTime: 86_400 }), /expired on 2020-01-02/));

    it('an expired encryption subkey', async () => {
      const key = await makeKey(scratch.path, 'old-sub', { date: new Date('2020-01-01'), subkeys: [{ keyExpirationTime: 86_400 }] });
      await refused(key, /no encryption key that is still valid: it expired/);
    });

    it('revoked', async () => {
      const { privateKey } = await makeKey(scratch.path, 'gone');
      const { privateKey: revoked } = await openpgp.revokeKey({ key: privateKey, format: 'object' });
      await refused(await writeKey(scratch.path, 'gone', 'gone <gone@example.com>', revoked), /is revoked/);
    });

    it('certified with SHA-1 only', async () => {
      await gpg.run('--passphrase', '', '--cert-digest-algo', 'SHA1', '--quick-generate-key', 'sha1 <sha1@example.com>', 'rsa2048', 'sign,encr', 'never');
      const armored = (await gpg.run('--armor', '--export', 'sha1@example.com')).toString();
      const [key] = await openpgp.readKeys({ armoredKeys: armored });
      assert.deepEqual(key!.users.flatMap(({ selfCertifications }) => selfCertifications.map(({ hashAlgorithm }) => hashAlgorithm)), [openpgp.enums.hash.sha1], 'the test made what it meant to make');
      await writeFile(file('sha1.asc'), armored);
      await assert.rejects(loadEncryptionKeys({ recipients: [file('sha1.asc')] }), isError('InvalidInput', /\(sha1 <sha1@example.com>\).*certified with SHA-1 only/));
    });

    it('a form that gpg 2.2 does not know', async () => refused(await makeKey(scratch.path, 'modern', { type: 'curve25519' } as never), /x25519, which gpg 2\.2 cannot use/));

    it('DSA with ElGamal', async () => {
      await gpg.run('--passphrase', '', '--quick-generate-key', 'dsa <dsa@example.com>', 'dsa2048', 'sign', 'never');
      const fingerprint = await fingerprintOf(gpg, 'dsa@example.com');
      await gpg.run('--passphrase', '', '--quick-add-key', fingerprint, 'elg2048', 'encr', 'never');
      await writeFile(file('dsa.asc'), await gpg.run('--armor', '--export', fingerprint));
      await assert.rejects(loadEncryptionKeys({ recipients: [file('dsa.asc')] }), isError('InvalidInput', new RegExp(`${fingerprint} \\(dsa <dsa@example.com>\\).*weak: DSA`)));
    });

    it('several bad ones in one sentence, so that they are mended at once', async () => {
      const one = await makeKey(scratch.path, 'bad-1', { subkeys: [] });
      const two = await makeKey(scratch.path, 'bad-2', { date: new Date('2020-01-01'), keyExpirationTime: 60 });
      const good = await makeKey(scratch.path, 'good');
      await assert.rejects(loadEncryptionKeys({ recipients: [one.publicFile, good.publicFile, two.publicFile] }), (error: Error) => {
        assert.match(error.message, new RegExp(`${one.fingerprint}.*signing only.*${two.fingerprint}.*expired`));
        assert.doesNotMatch(error.message, new RegExp(good.fingerprint));
        return true;
      });
    });
  });
});

async function fingerprintOf(gpg: GpgHome, mail: string): Promise<string> {
  return /^fpr:+([0-9A-F]{40}):/m.exec((await gpg.run('--with-colons', '--list-keys', mail)).toString())![1]!;
}

/** What a passphrase makes of the first octet of a packet, read here once more, apart from the code under test. */
function firstOctet(body: Buffer, passphrase: string): number {
  const unit = Buffer.concat([body.subarray(4, 12), Buffer.from(passphrase)]);
  const all = Buffer.alloc(1 << 24, unit);
  return createDecipheriv('aes-256-cfb', createHash('sha256').update(all).digest(), Buffer.alloc(16)).update(body.subarray(13))[0]!;
}
