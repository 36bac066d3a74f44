/** Working files of operations that are over: they hold names of repositories, tags and owners in clear, and a run that was terminated, or ended on another worker, leaves them. */
import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';

const DAY_MS = 24 * 3600 * 1000;
/** Of an operation that Temporal does not show as running: another Temporal may use the same folder. */
const OVER_MS = 3 * DAY_MS;
/** Where nobody can say what runs. A backup that still wants such files makes them again. */
const UNKNOWN_MS = 14 * DAY_MS;

export interface Sweep {
  stateDir: string;
  /** Keys of the operations that run, as their folders are named; null when it cannot be told. */
  running: ReadonlySet<string> | null;
  /** ms since epoch. */
  now?: number;
}

/** Removes the folders below `stateDir/work` of operations that do not run and in which nothing has changed for days. Returns their names. */
export async function sweepWork({ stateDir, running, now = Date.now() }: Sweep): Promise<string[]> {
  const work = path.join(stateDir, 'work');
  const removed: string[] = [];
  for (const { name } of (await entriesOf(work)).filter((entry) => entry.isDirectory())) {
    if (running?.has(name)) continue;
    const folder = path.join(work, name);
    if (now - (await newestIn(folder)) < (running ? OVER_MS : UNKNOWN_MS)) continue;
    await rm(folder, { recursive: true, force: true });
    removed.push(name);
  }
  return removed.sort();
}

/** When anything in it changed last, ms since epoch. */
async function newestIn(folder: string): Promise<number> {
  let newest = await changedAt(folder);
  for (const entry of await entriesOf(folder)) {
    const inside = path.join(folder, entry.name);
    newest = Math.max(newest, entry.isDirectory() ? await newestIn(inside) : await changedAt(inside));
  }
  return newest;
}

/** What goes at this moment is in use. */
async function changedAt(file: string): Promise<number> {
  return stat(file).then(({ mtimeMs }) => mtimeMs, () => Date.now());
}

async function entriesOf(folder: string) {
  return readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
}
