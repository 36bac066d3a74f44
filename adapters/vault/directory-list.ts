/** Names of a vault in a directory, in order. */
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { answered, lookAt, type VaultFiles } from './directory-files';
import { hasCode } from './fs-errors';
import { isVaultName } from './names';
import type { VaultEntry } from './vault';

/** Names of a listing that are looked at together. */
const LOOK_AHEAD = 128;
/** How often a folder is read in which things vanish meanwhile. */
const TRIES = 5;

export interface Listing {
  files: VaultFiles;
  root: string;
  toError: (error: unknown, doing: string) => Promise<Error>;
}

/** All below `directory` (empty, or ending in `/`) whose name begins with `prefix`. A directory stands where its name with a `/` belongs. */
export async function* walk(listing: Listing, directory: string, prefix: string): AsyncGenerator<VaultEntry> {
  const names = await namesIn(listing, directory);
  for (let at = 0; at < names.length; at += LOOK_AHEAD) {
    const some = names.slice(at, at + LOOK_AHEAD).map((name) => ({ name: directory + name, isDirectory: name.endsWith('/') }));
    // Several at once: on a mount of another machine each look costs a round trip.
    const found = await Promise.all(some.map(async ({ name, isDirectory }) => (isDirectory || !name.startsWith(prefix) ? null : look(listing, name))));
    for (const [i, { name, isDirectory }] of some.entries()) {
      const file = found[i];
      if (isDirectory && (name.startsWith(prefix) || prefix.startsWith(name))) yield* walk(listing, name, prefix);
      else if (file?.isFile()) yield { name, size: file.size, modified: file.mtime };
    }
  }
}

/** Plain names in order, those of folders with a `/` behind. Bare names only: a forged vault may hold a million. */
async function namesIn({ files, root, toError }: Listing, directory: string): Promise<string[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await readNames(files, join(root, directory));
    } catch (error) {
      const isGone = hasCode(error, 'ENOENT', 'ENOTDIR');
      if (isGone && (await lookAt(files, join(root, directory)).catch(() => null))?.isDirectory() !== true) return [];
      // Where a server tells no types, each entry is looked at; one that went meanwhile breaks the listing, and is not the end of the folder.
      if (!isGone || attempt === TRIES) throw await toError(error, `list ${directory === '' ? 'the vault' : directory}`);
    }
  }
}

async function readNames(files: VaultFiles, path: string): Promise<string[]> {
  const names = new Set<string>();
  const entries = await answered(files.opendir(path, { bufferSize: LOOK_AHEAD }));
  try {
    for (let entry = await answered(entries.read()); entry !== null; entry = await answered(entries.read())) {
      // A server may name an entry twice while others come and go.
      if ((entry.isFile() || entry.isDirectory()) && isVaultName(entry.name)) names.add(entry.isDirectory() ? `${entry.name}/` : entry.name);
    }
  } finally {
    await entries.close().catch(() => undefined);
  }
  return [...names].sort();
}

/** Null when it went meanwhile. What only cannot be looked at must not pass for gone: a backup would seem to be none. */
async function look({ files, root, toError }: Listing, name: string): Promise<Stats | null> {
  try {
    return await lookAt(files, join(root, name)) as Stats | null;
  } catch (error) {
    throw await toError(error, `look at ${name}`);
  }
}
