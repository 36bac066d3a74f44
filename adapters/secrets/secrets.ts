import { readFile } from 'node:fs/promises';
import { DrydockError } from '../../domain/errors';

/**
 * Reads what `env:NAME` or `file:PATH` names; one trailing line end is dropped. Throws InvalidInput naming the reference, never the content.
 */
export async function resolveSecret(ref: string): Promise<string> {
  if (ref.startsWith('env:')) {
    const name = ref.slice(4);
    const value = process.env[name];
    if (value === undefined || value === '') {
      throw new DrydockError('InvalidInput', `the environment variable ${name} is not set`, { remedy: `set ${name} where the worker runs` });
    }
    return value;
  }
  if (ref.startsWith('file:')) {
    const path = ref.slice(5);
    try {
      return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
    } catch (cause) {
      throw new DrydockError('InvalidInput', `the secret file ${path} cannot be read`, { remedy: 'check that it exists and that the worker may read it', cause });
    }
  }
  throw new DrydockError('InvalidInput', 'a secret reference must be env:NAME or file:PATH');
}
