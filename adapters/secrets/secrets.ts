import { readFile } from 'node:fs/promises';
import { DrydockError } from '../../domain/errors';
import { readSecret, type SecretReader } from '../../domain/secret-text';

export type { SecretReader } from '../../domain/secret-text';

/**
 * Reads what `env:NAME` or `file:PATH` names, without the one line end behind it. `reader`: who will read it, which decides what it may hold. Throws
 * InvalidInput naming the reference, never the content, for what is missing, empty, or would be read in another way than it stands there.
 */
export async function resolveSecret(ref: string, reader: SecretReader): Promise<string> {
  const found = readSecret(await contentOf(ref, reader), reader);
  if ('secret' in found) return found.secret;
  throw new DrydockError('InvalidInput', `the secret in ${ref} ${found.fault.what}`, { remedy: found.fault.remedy });
}

/** Null for bytes that are no text. */
async function contentOf(ref: string, reader: SecretReader): Promise<string | null> {
  if (ref.startsWith('env:')) {
    const name = ref.slice('env:'.length);
    const value = process.env[name];
    if (value === undefined || value === '') {
      throw new DrydockError('InvalidInput', `the environment variable ${name} is not set`, { remedy: `set ${name} where the worker runs` });
    }
    return value;
  }
  if (ref.startsWith('file:')) {
    const path = ref.slice('file:'.length);
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (cause) {
      throw new DrydockError('InvalidInput', `the secret file ${path} cannot be read`, { remedy: 'check that it exists and that the worker may read it', cause });
    }
    // Comments beside a key may be in any encoding; its own lines are in none.
    return reader === 'key' ? bytes.toString('utf8') : decode(bytes);
  }
  throw new DrydockError('InvalidInput', 'a secret reference must be env:NAME or file:PATH');
}

function decode(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
