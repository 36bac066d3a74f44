import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { encryptStream } from '../../adapters/openpgp/encrypt';
import { loadDecryptionKeys, loadEncryptionKeys } from '../../adapters/openpgp/keyring';
import { resolveSecret } from '../../adapters/secrets/secrets';
import { DrydockError } from '../../domain/errors';
import type { SecretReader } from '../../domain/secret-text';
import { temporalSettings } from '../../worker/temporal-settings';
import { GpgHome } from '../helpers/openpgp-keys';
import { collect, scratchDirectory, type Scratch } from '../helpers/vault';

const VARIABLE = 'DRYDOCK_TEST_SECRET';

describe('secrets', function () {
  this.timeout(60_000);
  let scratch: Scratch;
  let gpg: GpgHome;

  before(async () => {
    scratch = await scratchDirectory();
    await chmod(scratch.path, 0o700);
    gpg = await GpgHome.create(scratch.path);
  });
  afterEach(() => {
    delete process.env[VARIABLE];
    delete process.env.TEMPORAL_API_KEY;
  });
  after(async () => {
    await gpg.stop();
    await scratch.remove();
  });

  const inFile = async (content: string | Buffer): Promise<string> => {
    const path = join(scratch.path, 'secret');
    await writeFile(path, content);
    return `file:${path}`;
  };
  const inVariable = (content: string): string => {
    process.env[VARIABLE] = content;
    return `env:${VARIABLE}`;
  };
  /** The sentence of the refusal; fails when there is none, or when it holds what it must not. */
  const refusal = async (resolving: Promise<unknown>, reference: string, secret = 'hunter'): Promise<string> => {
    const error = await resolving.then(() => assert.fail(`${reference} is taken`), (thrown: unknown) => thrown);
    assert.ok(error instanceof DrydockError && error.kind === 'InvalidInput', String(error));
    const said = `${error.message}; ${error.remedy}`;
    assert.ok(said.includes(reference), said);
    assert.equal(said.includes(secret), false, said);
    return said;
  };

  describe('that are passphrases', () => {
    const TAKEN = ['hunter2', '  two blanks, and one behind \n', 'caf\u00e9 \u{1f511}\n', "it's 100% `$HOME` \"quoted\" \\n\n", `${'a'.repeat(300)}\n`, 'b'.repeat(4095)];
    const REFUSED: [string, string | Buffer, RegExp][] = [
      ['an empty file', '', /is empty|is not set/],
      ['one line end', '\n', /holds nothing but a line end/],
      ['blanks', '  \n', /nothing but white space/],
      ['two lines', 'hunter2\nand a comment\n', /several lines, of which gpg reads the first alone/],
      ['two line ends', 'hunter2\n\n', /several lines/],
      ['a line end in front', '\nhunter2\n', /several lines/],
      ['the line end of Windows', 'hunter2\r\n', /ends in a carriage return/],
      ['a carriage return in the middle', 'hunter\r2\n', /several lines/],
      ['a tab', 'hunter\t2', /control characters/],
      ['a byte order mark', '\ufeffhunter2\n', /byte order mark/],
      ['Latin-1', Buffer.from('caf\u00e9\n', 'latin1'), /is not text/],
      ['random bytes', Buffer.from('8f1d22a0ff00c3b1a9e40ed7', 'hex'), /is not text/],
      ['UTF-16', Buffer.from('\ufeffhunter2\n', 'utf16le'), /is not text/],
      ['UTF-16 without its mark', Buffer.from('hunter2', 'utf16le'), /control characters/],
      ['a book', 'a'.repeat(4096), /4096 bytes.*4095/],
    ];

    it('are what gpg reads from the same file, whether a file or a variable holds them', async () => {
      for (const content of TAKEN) {
        const file = await inFile(content);
        const keys = await loadEncryptionKeys({ passphrase: file });
        assert.deepEqual(await loadEncryptionKeys({ passphrase: inVariable(content) }), keys);
        const stream = await encryptStream(keys);
        const [message] = await Promise.all([collect(stream as unknown as AsyncIterable<Buffer>), pipeline(Readable.from(['rows']), stream)]);
        await writeFile(join(scratch.path, 'm.gpg'), message);
        const plain = await gpg.run('--passphrase-file', file.slice('file:'.length), '--decrypt', join(scratch.path, 'm.gpg'));
        assert.equal(plain.toString(), 'rows', JSON.stringify(content));
      }
    });

    for (const [what, content, sentence] of REFUSED) {
      it(`are refused by their reference where they are ${what}`, async () => {
        const file = await inFile(content);
        for (const encryption of [{ passphrase: file }, { passphrases: [file] }]) {
          assert.match(await refusal(loadEncryptionKeys(encryption), file.slice('file:'.length)), sentence);
          assert.match(await refusal(loadDecryptionKeys(encryption), file.slice('file:'.length)), sentence);
        }
        assert.match(await refusal(loadDecryptionKeys({ formerPassphrases: [file] }), file.slice('file:'.length)), sentence);
        if (content.includes('\0') || content instanceof Buffer) return;
        const variable = inVariable(String(content));
        assert.match(await refusal(loadEncryptionKeys({ passphrase: variable }), VARIABLE), sentence);
      });
    }

    it('are refused in a variable that is not UTF-8, which Node shows with replacement characters', async () => {
      assert.match(await refusal(loadEncryptionKeys({ passphrase: inVariable('caf\ufffd') }), VARIABLE, 'caf'), /is not text/);
    });

    it('of older backups are refused with the way to what was written for them', async () => {
      const text = 'one\ntwo';
      assert.match(await refusal(loadDecryptionKeys({ formerPassphrases: [await inFile(text)] }), 'secret'), /opens by hand alone: gpg --pinentry-mode loopback --passphrase TEXT/);
      const stream = await encryptStream({ passphrases: [text], publicKeys: [], recipients: [] });
      const [message] = await Promise.all([collect(stream as unknown as AsyncIterable<Buffer>), pipeline(Readable.from(['rows']), stream)]);
      await writeFile(join(scratch.path, 'm.gpg'), message);
      assert.equal((await gpg.run('--passphrase', text, '--decrypt', join(scratch.path, 'm.gpg'))).toString(), 'rows');
    });

    it('of private keys are no longer than gpg\'s agent takes', async () => {
      assert.equal((await resolveSecret(await inFile('k'.repeat(255)), 'keyPassphrase')).length, 255);
      assert.match(await refusal(resolveSecret(await inFile('k'.repeat(256)), 'keyPassphrase'), 'secret', 'kkk'), /256 bytes.*255/);
    });
  });

  describe('that others read', () => {
    const readers: SecretReader[] = ['login', 'sudo', 'sshKeyPassphrase', 'signing', 'header', 'key'];

    for (const reader of readers) {
      it(`lose one line end and are refused when empty: ${reader}`, async () => {
        for (const content of ['hunter2', 'hunter2\n', 'hunter2\r\n']) {
          assert.equal(await resolveSecret(await inFile(content), reader), 'hunter2');
          assert.equal(await resolveSecret(inVariable(content), reader), 'hunter2');
        }
        for (const content of ['', '\n', '\r\n']) assert.match(await refusal(resolveSecret(await inFile(content), reader), 'secret'), /is empty|nothing but a line end/);
        assert.match(await refusal(resolveSecret(inVariable('\n'), reader), VARIABLE), /nothing but a line end/);
      });

      it(`are refused where they hold what cannot be carried: ${reader}`, async () => {
        const spoilt = reader === 'key' ? [] : ['hunter\n2', 'hunter2\n\n', 'hunter\r2', 'hunter\x002', Buffer.from('hunter\xe9', 'latin1'), ...(reader === 'header' ? ['hunter 2', 'hunt\u00e9r', ' hunter2'] : [])];
        for (const content of spoilt) await refusal(resolveSecret(await inFile(content), reader), 'secret');
        if (reader === 'key') assert.equal(await resolveSecret(await inFile(`-----BEGIN\nComment: caf\xe9\n\nhunter2\n-----END\n`), reader), '-----BEGIN\nComment: caf\u00e9\n\nhunter2\n-----END');
      });
    }

    it('are taken with blanks and other scripts where a login or sudo reads them', async () => {
      for (const reader of ['login', 'sudo', 'sshKeyPassphrase'] as const) assert.equal(await resolveSecret(await inFile(' p\u00e4ss w\u00f6rd \n'), reader), ' p\u00e4ss w\u00f6rd ');
    });

    it('lose a line end in the key for Temporal, and are refused where a header cannot carry it', () => {
      process.env.TEMPORAL_API_KEY = 'hunter2\n';
      assert.equal(temporalSettings().connection.apiKey, 'hunter2');
      process.env.TEMPORAL_API_KEY = 'hunter2\nmore';
      assert.throws(() => temporalSettings(), (error: Error) => /TEMPORAL_API_KEY holds several lines/.test(error.message) && !error.message.includes('hunter'));
    });
  });
});
