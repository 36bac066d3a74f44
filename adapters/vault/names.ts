import { DrydockError } from '../../domain/errors';

const PART = /^[A-Za-z0-9_][A-Za-z0-9._+:@=-]*$/;
const MAX_NAME_BYTES = 900;

/**
 * Checks a name in a vault: relative, `/`-separated, each part starting with a letter, digit or underscore (so neither `..` nor hidden
 * names), no control or odd character. Throws InvalidInput.
 */
export function checkVaultName(name: string): void {
  const fault = name.length > MAX_NAME_BYTES ? 'it is too long' : !name.split('/').every((part) => PART.test(part)) ? 'it has an empty, hidden or odd part' : null;
  if (fault !== null) {
    throw new DrydockError('InvalidInput', `${JSON.stringify(name.slice(0, 200))} cannot be a name in a vault: ${fault}`, {
      remedy: 'use letters, digits and . _ - + : @ = between slashes',
    });
  }
}

/** Whether the name could be one of ours; for names that a foreign hand may have put into a vault. */
export function isVaultName(name: string): boolean {
  return name.length <= MAX_NAME_BYTES && name.split('/').every((part) => PART.test(part));
}
