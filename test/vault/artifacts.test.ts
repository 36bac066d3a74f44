import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { gunzipSync } from 'node:zlib';
import { readArtifact, writeArtifact } from '../../adapters/vault/artifacts';
import type { Vault, VaultUpload } from '../../adapters/vault/vault';
import { collect, gpgDecrypt, isError, readKeys, scratchVault, writeKeys } from '../helpers/vault';

const NAME = 'lab/backups/20261123T020000Z-1a2b3c/metadata.tar.gz.gpg';

describe('artifacts', () => {
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  beforeEach(async () => {
    scratch = await scratchVault();
  });
  afterEach(() => scratch.remove());

  for (const gzip of [true, false]) {
    it(`${gzip ? 'with' : 'without'} compression come back as they were, from gpg and from us, and the record tells the truth`, async () => {
      const plain = Buffer.concat([Buffer.alloc(500_000, 'text '), randomBytes(2_000_000)]);
      const record = await writeArtifact(scratch.vault, NAME, writeKeys, Readable.from([plain]), { gzip });
      const file = await readFile(join(scratch.directory, NAME));
      assert.equal(record.bytes, file.length);
      assert.equal(record.sha256, createHash('sha256').update(file).digest('hex'));
      assert.equal(record.plainBytes, plain.length);
      assert.equal(record.plainSha256, createHash('sha256').update(plain).digest('hex'));
      assert.deepEqual(record.recipients, ['passphrase']);
      assert.ok((await collect(await readArtifact(scratch.vault, record, readKeys, { gunzip: gzip }))).equals(plain));
      const opened = await gpgDecrypt(scratch.path, join(scratch.directory, NAME));
      assert.ok((gzip ? gunzipSync(opened) : opened).equals(plain));
    });
  }

  it('can be written by a function that hands over bytes as it goes', async () => {
    const record = await writeArtifact(scratch.vault, NAME, writeKeys, async (sink) => {
      for (let i = 0; i < 1000; i += 1) if (!sink.write(`line ${i}\n`)) await new Promise((resolve) => sink.once('drain', resolve));
    });
    assert.match((await collect(await readArtifact(scratch.vault, record, readKeys))).toString(), /^line 0\n[\s\S]*line 999\n$/);
  });

  it('leave nothing behind when their source fails half-way', async () => {
    const source = Readable.from((function* () {
      yield randomBytes(3_000_000);
      throw new Error('the source broke');
    })());
    await assert.rejects(writeArtifact(scratch.vault, NAME, writeKeys, source), /the source broke/);
    await assert.rejects(writeArtifact(scratch.vault, NAME, writeKeys, () => Promise.reject(new Error('the writer broke'))), /the writer broke/);
    assert.equal(await scratch.vault.stat(NAME), null);
  });

  it('stop when they are cancelled', async () => {
    const cancel = new AbortController();
    const source = new Readable({ read() {} });
    source.push(randomBytes(1000));
    const writing = writeArtifact(scratch.vault, NAME, writeKeys, source, { signal: cancel.signal });
    setTimeout(() => cancel.abort(), 20);
    await assert.rejects(writing, { name: 'AbortError' });
    assert.equal(await scratch.vault.stat(NAME), null);
  });

  it('are never rewritten', async () => {
    await writeArtifact(scratch.vault, NAME, writeKeys, Readable.from([Buffer.from('one')]));
    await assert.rejects(writeArtifact(scratch.vault, NAME, writeKeys, Readable.from([Buffer.from('two')])), isError('Conflict', /exists already/));
  });

  it('are refused before anything is decrypted when a bit flipped or bytes are missing', async () => {
    const record = await writeArtifact(scratch.vault, NAME, writeKeys, Readable.from([randomBytes(2_000_000)]));
    const path = join(scratch.directory, NAME);
    const file = await readFile(path);
    const flipped = Buffer.from(file);
    flipped[1_000_000]! ^= 1;
    await writeFile(path, flipped);
    await assert.rejects(readArtifact(scratch.vault, record, readKeys), isError('IntegrityMismatch', /SHA-256 is not the one recorded/));
    await writeFile(path, file.subarray(0, -1));
    await assert.rejects(readArtifact(scratch.vault, record, readKeys), isError('IntegrityMismatch', /recorded are/));
  });

  it('say that the key is the wrong one before anything is read', async () => {
    const record = await writeArtifact(scratch.vault, NAME, writeKeys, Readable.from([randomBytes(2000)]));
    await assert.rejects(readArtifact(scratch.vault, record, { passphrases: ['wrong'], privateKeys: [] }), isError('AuthRejected', /none of the keys/));
  });

  it('say from the stream that two files were swapped on purpose, digests and all', async () => {
    const one = await writeArtifact(scratch.vault, 'lab/backups/a/x.gpg', writeKeys, Readable.from([Buffer.from('one')]));
    const two = await writeArtifact(scratch.vault, 'lab/backups/b/x.gpg', writeKeys, Readable.from([Buffer.from('two')]));
    const forged = { ...one, name: two.name, bytes: two.bytes, sha256: two.sha256 };
    await assert.rejects(collect(await readArtifact(scratch.vault, forged, readKeys)), isError('IntegrityMismatch', /not what was backed up/));
  });

  it('that swell beyond their recorded size are stopped before all of it has passed', async () => {
    const record = await writeArtifact(scratch.vault, NAME, writeKeys, Readable.from([Buffer.alloc(50_000_000)]), { gzip: true });
    let passed = 0;
    const reading = async (): Promise<void> => {
      for await (const chunk of (await readArtifact(scratch.vault, { ...record, plainBytes: 1000 }, readKeys, { gunzip: true })) as AsyncIterable<Buffer>) passed += chunk.length;
    };
    await assert.rejects(reading(), isError('IntegrityMismatch', /not what was backed up/));
    assert.ok(passed <= 1000, `${passed} bytes passed`);
  });

  it('with a spool are taken from their source at once, however long the vault takes nothing', async () => {
    const plain = randomBytes(30_000_000);
    const { vault, open } = closedVault(scratch.vault);
    const source = Readable.from(Array.from({ length: 300 }, (_, n) => plain.subarray(n * 100_000, (n + 1) * 100_000)));
    const writing = writeArtifact(vault, NAME, writeKeys, source, { spool: join(scratch.path, 'spool') });
    await once(source, 'end');
    open();
    assert.ok((await collect(await readArtifact(scratch.vault, await writing, readKeys))).equals(plain));
  });
});

/** The same vault, but its uploads take no byte before `open` is called. */
function closedVault(inner: Vault): { vault: Vault; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const upload = async (name: string): Promise<VaultUpload> => {
    const real = await inner.upload(name);
    const door = new PassThrough({ transform: (chunk: Buffer, _encoding, done) => void opened.then(() => done(null, chunk)) });
    const stored = pipeline(door, real.stream);
    stored.catch(() => undefined);
    return { stream: door, commit: () => stored.then(() => real.commit()), abort: () => real.abort() };
  };
  return { vault: Object.assign(Object.create(inner) as Vault, { upload }), open };
}
