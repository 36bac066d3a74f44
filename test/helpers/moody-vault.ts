/** A vault that can be taken away or mounted read-only while a test looks. */
import { DrydockError } from '../../domain/errors';
import type { Vault } from '../../adapters/vault/vault';

export type Mood = 'well' | 'away' | 'readOnly';

export interface MoodyVault {
  vault: Vault;
  mood: Mood;
}

export function moodyVault(real: Vault): MoodyVault {
  const moody: MoodyVault = { mood: 'well', vault: real };
  const away = (): DrydockError => new DrydockError('VaultUnavailable', 'it does not answer', { remedy: 'wait' });
  moody.vault = new Proxy(real, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== 'function' || key === 'close') return value;
      const call = value.bind(target) as (...args: unknown[]) => unknown;
      if (key === 'list') {
        return async function* list(...args: unknown[]): AsyncGenerator<unknown> {
          if (moody.mood === 'away') throw away();
          yield* call(...args) as AsyncIterable<unknown>;
        };
      }
      return async (...args: unknown[]): Promise<unknown> => {
        if (moody.mood === 'away') throw away();
        if (moody.mood === 'readOnly' && ['put', 'remove', 'upload'].includes(String(key))) throw new DrydockError('NotPermitted', 'it is mounted read-only', { remedy: 'mount it for writing' });
        return call(...args);
      };
    },
  });
  return moody;
}
