/** What the tests of vault, archive and images share: a vault in a fresh directory, keys, errors, and gpg as a stranger would run it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { DecryptionKeys, EncryptionKeys } from '../../adapters/openpgp/keys';
import { openDirectoryVault } from '../../adapters/vault/directory';
import type { Vault } from '../../adapters/vault/vault';
import { DrydockError, type ErrorKind } from '../../domain/errors';

const run = promisify(execFile);
export const PASSPHRASE = 'a passphrase of the tests';
export const writeKeys: EncryptionKeys = { passphrases: [PASSPHRASE], publicKeys: [], recipients: ['passphrase'] };
export const readKeys: DecryptionKeys = { passphrases: [PASSPHRASE], privateKeys: [] };

export interface Scratch {
  path: string;
  remove(): Promise<void>;
}

export async function scratchDirectory(): Promise<Scratch> {
  const path = await mkdtemp(join(tmpdir(), 'drydock-test-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

export async function scratchVault(): Promise<Scratch & { vault: Vault; directory: string }> {
  const scratch = await scratchDirectory();
  const directory = join(scratch.path, 'vault');
  const vault = openDirectoryVault(directory);
  await vault.check();
  return { ...scratch, vault, directory };
}

/** For `assert.rejects`: the kind, the sentence, and that there is a remedy. */
export function isError(kind: ErrorKind, pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof DrydockError, String(error));
    assert.equal(error.kind, kind, error.message);
    assert.match(error.message, pattern);
    assert.ok(error.remedy, 'a remedy is given');
    return true;
  };
}

export async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

/** Decrypts a file with gpg in a home of its own, as a person without Drydock would. */
export async function gpgDecrypt(scratch: string, file: string): Promise<Buffer> {
  const home = join(scratch, 'gnupg');
  await mkdir(home, { recursive: true, mode: 0o700 });
  const passphrase = join(scratch, 'passphrase');
  await writeFile(passphrase, PASSPHRASE, { mode: 0o600 });
  const { stdout } = await run('gpg', ['--homedir', home, '--batch', '--no-symkey-cache', '--pinentry-mode', 'loopback', '--passphrase-file', passphrase, '--decrypt', file], { encoding: 'buffer', maxBuffer: 1 << 28 });
  await run('gpgconf', ['--homedir', home, '--kill', 'all']);
  return stdout;
}
