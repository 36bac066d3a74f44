/** `up.json` under stateDir: which `drydock up` runs with it, so that a second one does not start over the same database. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { databaseFile } from './dev-server';

const recordSchema = z.object({ pid: z.int(), serverPid: z.int(), address: z.string(), uiUrl: z.string() });
export type UpRecord = z.infer<typeof recordSchema>;

export async function readUpRecord(stateDir: string): Promise<UpRecord | undefined> {
  try {
    return recordSchema.parse(JSON.parse(await readFile(recordFile(stateDir), 'utf8')));
  } catch {
    // Absent, or cut short by a power failure: then nothing of ours is known to run.
    return undefined;
  }
}

export async function writeUpRecord(stateDir: string, record: UpRecord): Promise<void> {
  await writeFile(recordFile(stateDir), `${JSON.stringify(record)}\n`, { mode: 0o600 });
}

export async function removeUpRecord(stateDir: string): Promise<void> {
  await rm(recordFile(stateDir), { force: true });
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Stops a server that a killed `drydock up` has left behind. Only a process that really is a server on this database is
 * touched: process numbers are used again. Returns whether there was one.
 */
export async function stopLeftBehind(stateDir: string, record: UpRecord): Promise<boolean> {
  const { serverPid } = record;
  const commandLine = await readFile(`/proc/${serverPid}/cmdline`, 'utf8').catch(() => '');
  if (!commandLine.includes(databaseFile(stateDir))) return false;
  process.kill(serverPid, 'SIGTERM');
  for (let i = 0; i < 100 && isAlive(serverPid); i++) await sleep(100);
  return true;
}

function recordFile(stateDir: string): string {
  return path.join(stateDir, 'up.json');
}
