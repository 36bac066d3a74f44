/** A folder that is mounted read-only over itself, as people do with a vault when they do not trust a machine any more. Needs root. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface ReadOnlyMount {
  /** The same folder, where a test may still write. */
  behind: string;
  remove(): void;
}

export function mountReadOnly(folder: string): ReadOnlyMount {
  const behind = mkdtempSync(path.join(tmpdir(), 'drydock-behind-'));
  const mount = (...args: string[]): void => void execFileSync('mount', args, { stdio: 'ignore' });
  mount('--bind', folder, behind);
  // Else what is mounted over the folder is mounted over this view of it as well.
  mount('--make-private', behind);
  mount('--bind', folder, folder);
  mount('-o', 'remount,ro,bind', folder);
  let isMounted = true;
  return {
    behind,
    remove() {
      if (!isMounted) return;
      isMounted = false;
      // Who has a file open in it keeps it a moment longer.
      for (const at of [folder, behind]) execFileSync('umount', ['--lazy', at], { stdio: 'ignore' });
      rmdirSync(behind);
    },
  };
}
