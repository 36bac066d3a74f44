import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { openedLines } from '../../activities/backup/restore-guide-open';
import { Access } from '../../adapters/vault/access';
import type { EncryptionKeys } from '../../adapters/openpgp/keys';
import { passphraseName } from '../../adapters/openpgp/passphrase';
import { writeArtifact, type ArtifactRecord } from '../../adapters/vault/artifacts';
import { OLD_GPG, writeTools } from './old-tools';
import { scratchVault } from './vault';

const run = promisify(execFile);

/** What the function `opened` of RESTORE.md must do with each gpg that there is. */
export function openedByGpg(version: '2.2' | '1.4'): void {
  describe(`the function opened in RESTORE.md, with gpg ${version}`, function () {
    this.timeout(180_000);
    let scratch: Awaited<ReturnType<typeof scratchVault>>;
    const plain = randomBytes(200_000);

    beforeEach(async () => {
      scratch = await scratchVault();
      await chmod(scratch.path, 0o700);
      await mkdir(join(scratch.path, 'gnupg'), { mode: 0o700 });
    });
    afterEach(async () => {
      await run('gpgconf', ['--homedir', join(scratch.path, 'gnupg'), '--kill', 'all']);
      await scratch.remove();
    });

    const keysOf = async (...passphrases: string[]): Promise<EncryptionKeys> => ({ passphrases, publicKeys: [], recipients: await Promise.all(passphrases.map(passphraseName)) });
    const opened = async (record: ArtifactRecord, recipients: string[], passphrase: string): Promise<Buffer> => {
      const lines = openedLines([recipients, ['passphrase']]);
      const script = ['set -euo pipefail', ...lines, `opened ${join(scratch.directory, record.name)}`].join('\n');
      // gpg 1.4 knows no --pinentry-mode, as 2.0 does not.
      if (version === '1.4') writeTools(join(scratch.path, 'bin'), { gpg: OLD_GPG });
      const env = { ...process.env, PASSPHRASE: passphrase, GNUPGHOME: join(scratch.path, 'gnupg'), PATH: `${join(scratch.path, 'bin')}:${process.env.PATH}` };
      return (await run('bash', ['-c', script], { env, encoding: 'buffer', maxBuffer: 1 << 26 })).stdout;
    };

    it('opens a file with its one passphrase, and with none other', async () => {
      const keys = await keysOf('one');
      const record = await writeArtifact(scratch.vault, 'a.gpg', keys, Readable.from([plain]));
      assert.ok((await opened(record, keys.recipients, 'one')).equals(plain));
      await assert.rejects(opened(record, keys.recipients, 'wrong'));
    });

    it('opens a file with each of three passphrases, and with one that was added later', async () => {
      const keys = await keysOf('one', 'two', 'three');
      const record = await writeArtifact(scratch.vault, 'a.gpg', keys, Readable.from([plain]));
      const all = await keysOf('one', 'two', 'three', 'later');
      await (await Access.load(scratch.vault, '', all, { passphrases: ['two'], privateKeys: [] })).cover(record.name, keys.recipients);
      for (const passphrase of ['one', 'two', 'three', 'later']) assert.ok((await opened(record, all.recipients, passphrase)).equals(plain), passphrase);
      await assert.rejects(opened(record, all.recipients, 'wrong'), /no key at hand opens/);
    });
  });
}
