/** A vault whose user dies after so many changes: what a killed worker leaves behind, at every step in turn. */
import type { Vault, VaultUpload } from '../../adapters/vault/vault';

export class Killed extends Error {}

/** The first `changes` objects that are written or removed go through; then nothing does, not even a read. */
export function killedAfter(vault: Vault, changes: number): Vault {
  let left = changes;
  const live = (): void => {
    if (left < 0) throw new Killed('the worker was killed');
  };
  const spend = (): void => {
    left -= 1;
    live();
  };
  return new Proxy(vault, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== 'function') return value;
      if (key === 'put' || key === 'remove') {
        return async (...args: unknown[]): Promise<unknown> => {
          spend();
          return (value as (...all: unknown[]) => Promise<unknown>).apply(target, args);
        };
      }
      if (key === 'upload') {
        return async (...args: Parameters<Vault['upload']>): Promise<VaultUpload> => {
          live();
          const upload = await target.upload(...args);
          const commit = async (): Promise<void> => {
            spend();
            await upload.commit();
          };
          return { stream: upload.stream, commit, abort: () => upload.abort() };
        };
      }
      if (key === 'close') return value.bind(target) as unknown;
      return (...args: unknown[]): unknown => {
        live();
        return (value as (...all: unknown[]) => unknown).apply(target, args);
      };
    },
  });
}
