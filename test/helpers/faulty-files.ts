/** The system's own file calls, some of which fail as those of other file systems do. */
import type { Dir, Dirent } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { systemFiles, type VaultFiles } from '../../adapters/vault/directory-files';

/** As the system's own, but for the given calls. */
export function filesWith(calls: Partial<VaultFiles>): VaultFiles {
  return { ...systemFiles, ...calls };
}

export function fails(code: string): Error {
  return Object.assign(new Error(`${code}: made up by a test`), { code });
}

/** A call that is refused for paths like these, each time, or only the first time. */
export function refusing<K extends 'link' | 'lstat' | 'mkdir' | 'open' | 'rename' | 'rmdir' | 'unlink' | 'realpath' | 'statfs'>(call: K, code: string, paths: RegExp = /(?:)/, times = Infinity): Partial<VaultFiles> {
  let left = times;
  const real = systemFiles[call] as (...args: unknown[]) => Promise<unknown>;
  const fake = async (...args: unknown[]): Promise<unknown> => {
    if (paths.test(args.filter((arg) => typeof arg === 'string').join(' ')) && (left -= 1) >= 0) throw fails(code);
    return real(...args);
  };
  return { [call]: fake };
}

/** Done, but the answer got lost: what asked again hears that it was done before. Once. */
export function askedAgain<K extends 'link' | 'mkdir' | 'rename' | 'rmdir' | 'unlink'>(call: K, code: string, paths: RegExp): Partial<VaultFiles> {
  let isLost = false;
  const real = systemFiles[call] as (...args: unknown[]) => Promise<unknown>;
  const fake = async (...args: unknown[]): Promise<unknown> => {
    const result = await real(...args);
    if (isLost || !paths.test(args.filter((arg) => typeof arg === 'string').join(' '))) return result;
    isLost = true;
    throw fails(code);
  };
  return { [call]: fake };
}

/** Opened files whose methods are others; `isDirectory` tells which of them are meant. */
export function opening(change: (file: FileHandle, about: { path: string; isDirectory: boolean }) => Partial<FileHandle>): Partial<VaultFiles> {
  const open = async (...args: Parameters<VaultFiles['open']>): Promise<FileHandle> => {
    const file = await systemFiles.open(...args);
    const changed = change(file, { path: String(args[0]), isDirectory: (await file.stat()).isDirectory() });
    return instead(file, changed);
  };
  return { open };
}

/** Folders whose entries come by `next`, which is given the way to the real next one. */
export function listing(next: (read: () => Promise<Dirent | null>) => Promise<Dirent | null>): Partial<VaultFiles> {
  const opendir = async (...args: Parameters<VaultFiles['opendir']>): Promise<Dir> => {
    const folder = await systemFiles.opendir(...args);
    return instead(folder, { read: () => next(() => folder.read()) });
  };
  return { opendir };
}

/** The object with some methods in the place of its own. */
function instead<T extends object>(target: T, methods: object): T {
  return new Proxy(target, {
    get(of, key) {
      const found: unknown = Reflect.get(key in methods ? methods : of, key);
      return typeof found === 'function' ? (found as (...all: unknown[]) => unknown).bind(of) : found;
    },
  });
}
