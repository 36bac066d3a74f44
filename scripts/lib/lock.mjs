/** A lock file, so that two commands in one clone do not install into the same folder at once. */
import { linkSync, mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SetupError, say } from './console.mjs';

const POLL_MS = 300;
const PATIENCE_MS = 20 * 60_000;

/** Runs `work` while holding the lock `file`; waits for another holder, takes over from a dead one. */
export async function withLock(file, work) {
  await acquire(file);
  try {
    return await work();
  } finally {
    unlinkSync(file);
  }
}

async function acquire(file) {
  mkdirSync(path.dirname(file), { recursive: true });
  const started = Date.now();
  let told = false;
  while (!tryCreate(file)) {
    const holder = readHolder(file);
    if (holder !== undefined && !isAlive(holder)) {
      removeStale(file, holder);
      continue;
    }
    if (!told && holder !== undefined) say('lock', `another set-up runs in this clone (process ${holder}); waiting for it`);
    told = true;
    if (Date.now() - started > PATIENCE_MS) {
      throw new SetupError(`The lock ${file} is held by process ${holder ?? 'unknown'} for more than 20 minutes.`, 'End that process, or remove the file if it has nothing to do with Drydock.');
    }
    await sleep(POLL_MS);
  }
}

/** Creates the lock whole (name and content appear together) or reports that it exists. */
function tryCreate(file) {
  const own = `${file}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  } finally {
    unlinkSync(own);
  }
}

function readHolder(file) {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Moves a dead holder's lock away; a lock that someone else took in between is put back. */
function removeStale(file, holder) {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch {
    return;
  }
  if (readHolder(aside) !== holder) {
    try {
      linkSync(aside, file);
    } catch {
      say('lock', 'two set-ups met at a stale lock; going on');
    }
  }
  unlinkSync(aside);
}

/** True while a process of that id exists. */
export function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
