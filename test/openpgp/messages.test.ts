import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { decryptStream } from '../../adapters/openpgp/decrypt';
import { encryptStream } from '../../adapters/openpgp/encrypt';
import { CHUNK_BYTES } from '../../adapters/openpgp/framing';
import type { DecryptionKeys, EncryptionKeys } from '../../adapters/openpgp/keys';
import { canDecrypt, decryptionRecipients, loadDecryptionKeys, loadEncryptionKeys } from '../../adapters/openpgp/keyring';
import { passphraseName } from '../../adapters/openpgp/passphrase';
import { decryptRange } from '../../adapters/openpgp/random-access';
import { openMessage } from '../../adapters/openpgp/session-key';
import { DrydockError, type ErrorKind } from '../../domain/errors';

const run = promisify(execFile);
const PASSPHRASE = 'correct horse battery staple';

function isError(kind: ErrorKind, pattern: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof DrydockError, String(error));
    assert.equal(error.kind, kind);
    assert.match(error.message, pattern);
    assert.ok(error.remedy, 'a remedy is given');
    return true;
  };
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

async function encrypt(plain: Buffer, keys: EncryptionKeys, step = 65_536): Promise<Buffer> {
  const source = Readable.from(pieces(plain, step));
  const encryptor = await encryptStream(keys);
  const done = pipeline(source, encryptor);
  const [message] = await Promise.all([collect(encryptor), done]);
  return message;
}

async function decrypt(message: Buffer, keys: DecryptionKeys, step = 65_536): Promise<Buffer> {
  const decryptor = decryptStream(keys);
  const done = pipeline(Readable.from(pieces(message, step)), decryptor);
  const [plain] = await Promise.all([collect(decryptor), done]);
  return plain;
}

function* pieces(data: Buffer, step: number): Generator<Buffer> {
  for (let at = 0; at < data.length; at += step) yield data.subarray(at, at + step);
}

describe('OpenPGP messages', function () {
  this.timeout(60_000);
  let home: string;
  let keyPair: { fingerprint: string; publicFile: string; privateFile: string };
  const byPassphrase: EncryptionKeys = { passphrases: [PASSPHRASE], publicKeys: [], recipients: ['passphrase'] };
  const withPassphrase: DecryptionKeys = { passphrases: [PASSPHRASE], privateKeys: [] };

  const gpg = (...args: string[]) => run('gpg', ['--homedir', home, '--batch', '--yes', '--pinentry-mode', 'loopback', ...args], { maxBuffer: 1 << 26, encoding: 'buffer' });

  async function makeKey(name: string, algorithm: string, usage: string, expires = 'never'): Promise<{ fingerprint: string; publicFile: string; privateFile: string }> {
    await gpg('--passphrase', 'unlock-me', '--quick-generate-key', name, algorithm, usage, expires);
    const listed = (await gpg('--with-colons', '--list-keys', name)).stdout.toString();
    const fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(listed)![1]!;
    const publicFile = join(home, `${name}.pub`);
    const privateFile = join(home, `${name}.key`);
    await writeFile(publicFile, (await gpg('--armor', '--export', fingerprint)).stdout);
    await writeFile(privateFile, (await gpg('--armor', '--passphrase', 'unlock-me', '--export-secret-keys', fingerprint)).stdout);
    return { fingerprint, publicFile, privateFile };
  }

  async function gpgDecrypt(message: Buffer): Promise<Buffer> {
    const file = join(home, `${randomBytes(4).toString('hex')}.gpg`);
    await writeFile(file, message);
    return (await gpg('--passphrase-file', join(home, 'passphrase'), '--decrypt', file)).stdout;
  }

  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'drydock-gpg-'));
    await chmod(home, 0o700);
    await writeFile(join(home, 'passphrase'), PASSPHRASE);
    keyPair = await makeKey('officer', 'rsa2048', 'sign,encr');
  });

  after(async () => {
    await run('gpgconf', ['--homedir', home, '--kill', 'all']);
    await rm(home, { recursive: true, force: true });
  });

  for (const size of [0, 1, 505, CHUNK_BYTES - 6, CHUNK_BYTES - 5, 2 * CHUNK_BYTES - 6, 3 * CHUNK_BYTES + 12_345]) {
    it(`of ${size} bytes are opened by gpg and by us with the passphrase`, async () => {
      const plain = randomBytes(size);
      const message = await encrypt(plain, byPassphrase, 50_000);
      assert.ok((await gpgDecrypt(message)).equals(plain));
      assert.ok((await decrypt(message, withPassphrase, 33_333)).equals(plain));
    });
  }

  it('are read correctly when they arrive byte by byte', async () => {
    const plain = randomBytes(3000);
    assert.ok((await decrypt(await encrypt(plain, byPassphrase, 7), withPassphrase, 1)).equals(plain));
  });

  it('for a key and a passphrase are opened by either alone', async () => {
    const passphraseFile = join(home, 'passphrase');
    const keys = await loadEncryptionKeys({ passphrase: `file:${passphraseFile}`, recipients: [keyPair.publicFile], privateKeys: [] });
    assert.deepEqual(keys.recipients, [keyPair.fingerprint, await passphraseName(PASSPHRASE)]);
    const plain = randomBytes(100_000);
    const message = await encrypt(plain, keys);

    process.env['H4_UNLOCK'] = 'unlock-me';
    const privateOnly = await loadDecryptionKeys({ recipients: [keyPair.publicFile], privateKeys: [`file:${keyPair.privateFile}`], privateKeyPassphrase: 'env:H4_UNLOCK' });
    assert.deepEqual(await decryptionRecipients(privateOnly), [keyPair.fingerprint]);
    assert.ok((await decrypt(message, privateOnly)).equals(plain));
    assert.ok((await decrypt(message, withPassphrase)).equals(plain));

    const file = join(home, 'both.gpg');
    await writeFile(file, message);
    assert.ok((await gpg('--passphrase', 'unlock-me', '--decrypt', file)).stdout.equals(plain), 'gpg opens it with the private key');
  });

  it('carry neither a file name nor a date', async () => {
    const file = join(home, 'bare.gpg');
    await writeFile(file, await encrypt(Buffer.from('x'), byPassphrase));
    const packets = (await gpg('--passphrase', PASSPHRASE, '--list-packets', file)).stdout.toString();
    assert.match(packets, /literal data packet:\s+mode b \(62\), created 0, name=""/);
    assert.match(packets, /symkey enc packet: version 4, cipher 9/);
    assert.match(packets, /encrypted data packet:[\s\S]*mdc_method: 2/);
  });

  it('are refused with the wrong passphrase or without any key', async () => {
    const message = await encrypt(randomBytes(1000), byPassphrase);
    await assert.rejects(decrypt(message, { passphrases: ['wrong'], privateKeys: [] }), isError('AuthRejected', /none of the keys at hand/));
    assert.equal(canDecrypt({ passphrases: [], privateKeys: [] }), false);
    await assert.rejects(decrypt(message, { passphrases: [], privateKeys: [] }), isError('AuthRejected', /no passphrase and no private key/));
  });

  it('are found damaged when any bit flips behind the session key', async () => {
    const message = await encrypt(randomBytes(CHUNK_BYTES + 5000), byPassphrase);
    const bodyStart = (await openMessage(message, withPassphrase))!.bodyStart;
    for (let round = 0; round < 60; round += 1) {
      const at = bodyStart + Math.floor((round / 60) * (message.length - bodyStart));
      const flipped = Buffer.from(message);
      flipped[at]! ^= 1 << (round % 8);
      await assert.rejects(decrypt(flipped, withPassphrase), (error: unknown) => error instanceof DrydockError && ['IntegrityMismatch', 'AuthRejected'].includes(error.kind), `flip at ${at}`);
    }
  });

  it('are found damaged when cut at any place or followed by other bytes', async () => {
    const message = await encrypt(randomBytes(CHUNK_BYTES + 5000), byPassphrase);
    const cuts = [0, 1, 20, 60, 100, 5000, CHUNK_BYTES, CHUNK_BYTES + 200, message.length - 23, message.length - 1];
    for (const cut of cuts) {
      await assert.rejects(decrypt(message.subarray(0, cut), withPassphrase), isError('IntegrityMismatch', /./), `cut at ${cut}`);
    }
    await assert.rejects(decrypt(Buffer.concat([message, Buffer.from([0])]), withPassphrase), isError('IntegrityMismatch', /behind its end/));
    await assert.rejects(decrypt(randomBytes(500), withPassphrase), isError('IntegrityMismatch', /not an encrypted file/));
  });

  it('can be read from any place without what stands before', async () => {
    const plain = randomBytes(3 * CHUNK_BYTES + 777);
    const message = await encrypt(plain, byPassphrase);
    const opened = (await openMessage(message.subarray(0, 4096), withPassphrase))!;
    let bytesRead = 0;
    const read = (offset: number, length: number): Promise<Readable> => {
      const part = message.subarray(offset, offset + length);
      bytesRead += part.length;
      return Promise.resolve(Readable.from(pieces(part, 10_000)));
    };
    const edges = [0, 1, 17, CHUNK_BYTES - 7, CHUNK_BYTES - 6, CHUNK_BYTES - 5, CHUNK_BYTES, 2 * CHUNK_BYTES - 6, 2 * CHUNK_BYTES + 3, 3 * CHUNK_BYTES - 6, 3 * CHUNK_BYTES + 776];
    for (const from of edges) {
      for (const to of edges.filter((edge) => edge >= from)) {
        const part = await collect(decryptRange(read, opened, from, to - from + 1));
        assert.ok(part.equals(plain.subarray(from, to + 1)), `${from}..${to}`);
      }
    }
    bytesRead = 0;
    await collect(decryptRange(read, opened, 2 * CHUNK_BYTES + 100, 10));
    assert.ok(bytesRead < 2.1 * CHUNK_BYTES, `read ${bytesRead}`);
    await assert.rejects(collect(decryptRange(read, opened, plain.length - 5, 6)), isError('IntegrityMismatch', /ends before/));
  });

  it('never use the same session key twice', async () => {
    const digests = new Set<string>();
    for (let i = 0; i < 3; i += 1) digests.add(createHash('sha256').update(await encrypt(Buffer.from('same'), byPassphrase)).digest('hex'));
    assert.equal(digests.size, 3);
  });

  describe('keys that cannot serve', () => {
    const load = (file: string) => loadEncryptionKeys({ recipients: [file], privateKeys: [] });

    it('are refused by name when they are for signing only', async () => {
      const key = await makeKey('signer', 'ed25519', 'sign');
      await assert.rejects(load(key.publicFile), isError('InvalidInput', new RegExp(`${key.fingerprint}.*signing only`)));
    });

    it('are refused by name when they are RSA below 2048 bits', async () => {
      const key = await makeKey('weak', 'rsa1024', 'sign,encr');
      await assert.rejects(load(key.publicFile), isError('InvalidInput', new RegExp(`${key.fingerprint}.*weak: RSA with 1024 bits`)));
    });

    it('are refused by name when they have expired', async () => {
      const key = await makeKey('old', 'rsa2048', 'sign,encr', 'seconds=1');
      await new Promise((resolve) => setTimeout(resolve, 1500));
      await assert.rejects(load(key.publicFile), isError('InvalidInput', new RegExp(`${key.fingerprint}.*expired on`)));
    });

    it('are refused when the file is missing or holds something else', async () => {
      await assert.rejects(load(join(home, 'absent')), isError('InvalidInput', /cannot be read/));
      await assert.rejects(load(join(home, 'passphrase')), isError('InvalidInput', /holds no OpenPGP public key/));
    });

    it('are refused when the private key stays locked', async () => {
      await assert.rejects(loadDecryptionKeys({ recipients: [], privateKeys: [`file:${keyPair.privateFile}`] }), isError('AuthRejected', /is locked/));
    });
  });

  it('for a Curve25519 key as gpg makes it are opened by gpg and by us', async () => {
    await gpg('--passphrase', 'unlock-me', '--quick-generate-key', 'curve', 'future-default', 'default', 'never');
    const publicFile = join(home, 'curve.pub');
    const privateFile = join(home, 'curve.key');
    await writeFile(publicFile, (await gpg('--export', 'curve')).stdout);
    await writeFile(privateFile, (await gpg('--armor', '--passphrase', 'unlock-me', '--export-secret-keys', 'curve')).stdout);
    const plain = randomBytes(2000);
    const message = await encrypt(plain, await loadEncryptionKeys({ recipients: [publicFile], privateKeys: [] }));
    const file = join(home, 'curve.gpg');
    await writeFile(file, message);
    assert.ok((await gpg('--passphrase', 'unlock-me', '--decrypt', file)).stdout.equals(plain));
    const armored = await readFile(privateFile, 'utf8');
    assert.ok((await decrypt(message, { passphrases: [], privateKeys: [{ armored, passphrase: 'unlock-me' }] })).equals(plain));
  });
});
