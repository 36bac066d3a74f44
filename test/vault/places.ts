/** Small disks and other places for vaults that are in trouble. They need root; without it there is none. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface SmallDisk {
  path: string;
  readOnly(): void;
  remove(): Promise<void>;
}

/** A file system of its own in memory; null where mounting is not allowed. */
export async function smallDisk(bytes: number): Promise<SmallDisk | null> {
  const path = await mkdtemp(join(tmpdir(), 'drydock-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=755`, 'tmpfs', path], { stdio: 'ignore' });
  } catch {
    await rm(path, { recursive: true, force: true });
    return null;
  }
  return {
    path,
    readOnly: () => void execFileSync('mount', ['-o', 'remount,ro', path], { stdio: 'ignore' }),
    async remove() {
      // A server that was just stopped may hold it a moment longer.
      execFileSync('umount', ['--lazy', path], { stdio: 'ignore' });
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** Empty files, made by other programs than Drydock. */
export async function seedFiles(root: string, names: string[]): Promise<void> {
  for (const folder of new Set(names.map(dirname))) await mkdir(join(root, folder), { recursive: true });
  execFileSync('xargs', ['touch'], { cwd: root, input: names.join('\n') });
}

/** Names in a folder; none where it is not there. */
export async function filesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}
