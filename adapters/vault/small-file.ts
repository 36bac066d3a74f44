/** Verdicts and tombstones: files of a few hundred bytes, one of which may be damaged or forged without any harm to the others. */
import type { z } from 'zod';
import { DrydockError } from '../../domain/errors';
import { parseBounded } from './bounded-json';
import type { Vault } from './vault';

const MAX_BYTES = 64 * 1024;
/** More are not told one by one. */
const MAX_FAULTS = 1000;

/** Null, with a sentence in `faults`, for one that cannot be used; null alone for one that has just gone. Throws what may be tried again. */
export async function readSmall<S extends z.ZodType>(vault: Vault, name: string, schema: S, faults: string[]): Promise<z.infer<S> | null> {
  try {
    return schema.parse(parseBounded(await vault.readAll(name, MAX_BYTES), name));
  } catch (error) {
    if (error instanceof DrydockError && error.kind === 'NotFound') return null;
    if (error instanceof DrydockError && error.retryable) throw error;
    tellFault(faults, error instanceof DrydockError ? `${error.message}.` : `${name} is not of a form that this version knows.`);
    return null;
  }
}

/** Adds a sentence, unless there are very many already. */
export function tellFault(faults: string[], sentence: string): void {
  if (faults.length < MAX_FAULTS) faults.push(sentence);
}
