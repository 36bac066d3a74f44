/** Time, processor time and memory of one command with all its children. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

export interface Measured {
  seconds: number;
  cpuSeconds: number;
  peakMemoryMiB: number;
}

const SAMPLE_MS = 50;

/** Runs a line of bash; `pipefail` holds. Throws with what it said when it fails. `env` is added to ours. */
export async function measureShell(line: string, env: Record<string, string> = {}): Promise<Measured> {
  const script = `set -euo pipefail; TIMEFORMAT='drydock-times %R %U %S'; time { ${line}\n}`;
  const child = spawn('bash', ['-c', script], { env: { ...process.env, ...env, LC_ALL: 'C' }, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-20_000)));
  const memory = watchMemory(child.pid!);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const { peakMiB } = memory.stop();
  const times = /drydock-times ([\d.]+) ([\d.]+) ([\d.]+)/.exec(said);
  if (code !== 0 || !times) throw new Error(`${line}\nended with ${code}: ${said.trim()}`);
  return { seconds: Number(times[1]), cpuSeconds: Number(times[2]) + Number(times[3]), peakMemoryMiB: peakMiB };
}

/** Looks at a process and all below it from outside, so that looking costs it nothing. */
export function watchMemory(pid: number): { stop(): { idleMiB: number; peakMiB: number } } {
  const idle = memoryOf(pid);
  let peak = idle;
  const timer = setInterval(() => (peak = Math.max(peak, memoryOf(pid))), SAMPLE_MS);
  return {
    stop: () => {
      clearInterval(timer);
      return { idleMiB: idle / 2 ** 20, peakMiB: peak / 2 ** 20 };
    },
  };
}

/** Resident bytes of a process and all below it. */
function memoryOf(root: number): number {
  const children = new Map<number, number[]>();
  const resident = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const parent = Number(fields[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
      resident.set(Number(name), Number(fields[21]) * 4096);
    } catch {
      // It ended meanwhile.
    }
  }
  const sum = (pid: number): number => (resident.get(pid) ?? 0) + (children.get(pid) ?? []).reduce((all, child) => all + sum(child), 0);
  return sum(root);
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
