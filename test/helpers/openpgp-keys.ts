/** OpenPGP keys made for tests, as files; and gpg in a home of its own. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as openpgp from 'openpgp';

const run = promisify(execFile);

export interface TestKey {
  fingerprint: string;
  userId: string;
  publicFile: string;
  /** Armoured, not locked. */
  privateFile: string;
  privateKey: openpgp.PrivateKey;
}

/** A key on Curve25519 as gpg makes it, which takes no time; `options` make others. */
export async function makeKey(folder: string, name: string, options: Partial<openpgp.KeyOptions> = {}): Promise<TestKey> {
  const userId = `${name} <${name}@example.com>`;
  const made = (await openpgp.generateKey({
    type: 'ecc', curve: 'curve25519Legacy', userIDs: [{ name, email: `${name}@example.com` }], format: 'object', ...options, config: { minRSABits: 1024, aeadProtect: false, v6Keys: false, ...options.config },
  } as openpgp.KeyOptions & { format: 'object' })) as { privateKey: openpgp.PrivateKey };
  return writeKey(folder, name, userId, made.privateKey);
}

export async function writeKey(folder: string, name: string, userId: string, privateKey: openpgp.PrivateKey): Promise<TestKey> {
  const publicFile = join(folder, `${name}.asc`);
  const privateFile = join(folder, `${name}.key`);
  await writeFile(publicFile, privateKey.toPublic().armor());
  await writeFile(privateFile, privateKey.armor(), { mode: 0o600 });
  return { fingerprint: privateKey.getFingerprint().toUpperCase(), userId, publicFile, privateFile, privateKey };
}

export class GpgHome {
  private constructor(private readonly home: string) {}

  static async create(folder: string): Promise<GpgHome> {
    const home = join(folder, 'gnupg');
    await mkdir(home, { recursive: true });
    await chmod(home, 0o700);
    return new GpgHome(home);
  }

  /** Standard output. Throws when gpg ends with an error. */
  async run(...args: string[]): Promise<Buffer> {
    const { stdout } = await run('gpg', ['--homedir', this.home, '--batch', '--yes', '--no-symkey-cache', '--trust-model', 'always', '--pinentry-mode', 'loopback', ...args], { encoding: 'buffer', maxBuffer: 1 << 28 });
    return stdout;
  }

  /** Runs a shell line in which `$GPG` is gpg with this home. */
  async shell(line: string, cwd: string): Promise<Buffer> {
    const env = { ...process.env, GPG: `gpg --homedir ${this.home} --batch --yes --no-symkey-cache --pinentry-mode loopback` };
    const { stdout } = await run('bash', ['-c', `set -euo pipefail; ${line}`], { encoding: 'buffer', maxBuffer: 1 << 28, cwd, env });
    return stdout;
  }

  async stop(): Promise<void> {
    await run('gpgconf', ['--homedir', this.home, '--kill', 'all']);
  }
}
