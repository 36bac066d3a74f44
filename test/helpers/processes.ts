/** Finding the commands that a test starts among the processes of this machine. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A number of seconds that no other process sleeps. */
export function unusual(): string {
  return `${1000 + Math.floor(Math.random() * 1000)}.${Math.floor(Math.random() * 1e6)}1`;
}

/** True when a process with these NUL-separated arguments is alive (half a second is given for it to come or go). */
export async function runs(args: string): Promise<boolean> {
  await sleep(500);
  return readdirSync('/proc').some((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8') === `${args}\0`;
    } catch {
      return false;
    }
  });
}
