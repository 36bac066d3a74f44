/** Time, processor time and memory of one command with all its children. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Measured {
  seconds: number;
  /** Of the tool and what it started on its own side. */
  cpuSeconds: number;
  /** Of the far side: sshd, and what it ran for the tool. */
  farCpuSeconds: number;
  /** Of the tool's own side. */
  peakMemoryMiB: number;
}

const SAMPLE_MS = 50;
/** USER_HZ, as /proc counts; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** A session of sshd lives a moment longer than who used it. */
const SESSION_END_MS = 100;

/** Runs a line of bash; `pipefail` holds. Throws with what it said when it fails. `env` is added to ours; `sshd` is the process of the far side. */
export async function measureShell(line: string, sshd: number, env: Record<string, string> = {}): Promise<Measured> {
  const script = `set -euo pipefail; TIMEFORMAT='drydock-times %R %U %S'; time { ${line}\n}`;
  const far = watchCpu(sshd);
  const child = spawn('bash', ['-c', script], { env: { ...process.env, ...env, LC_ALL: 'C' }, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-20_000)));
  const memory = watchMemory(child.pid!);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const { peakMiB } = memory.stop();
  const times = /drydock-times ([\d.]+) ([\d.]+) ([\d.]+)/.exec(said);
  if (code !== 0 || !times) throw new Error(`${line}\nended with ${code}: ${said.trim()}`);
  await sleep(SESSION_END_MS);
  return { seconds: Number(times[1]), cpuSeconds: Number(times[2]) + Number(times[3]), farCpuSeconds: far.seconds(), peakMemoryMiB: peakMiB };
}

/** Processor time of a process, of all below it, and of those below it that have ended, from now on. */
export function watchCpu(pid: number): { seconds(): number } {
  const before = cpuTicks(pid);
  return { seconds: () => (cpuTicks(pid) - before) / TICKS_PER_SECOND };
}

function cpuTicks(pid: number): number {
  const found = statOf(pid);
  return found === null ? 0 : found.ticks + childrenOf(pid).reduce((sum, child) => sum + cpuTicks(child), 0);
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Looks at a process and all below it from outside, so that looking costs it nothing but a little of the machine. */
export function watchMemory(pid: number): { stop(): { idleMiB: number; peakMiB: number } } {
  const family = new Family(pid);
  const idle = family.residentBytes();
  let peak = idle;
  const timer = setInterval(() => (peak = Math.max(peak, family.residentBytes())), SAMPLE_MS);
  return {
    stop: () => {
      clearInterval(timer);
      return { idleMiB: idle / 2 ** 20, peakMiB: peak / 2 ** 20 };
    },
  };
}

/** A process and all below it. Each other process of the machine is looked at once: to read them all, twenty times a second, takes a tenth of a core from what is measured. */
class Family {
  private members: Set<number>;
  private strangers = new Set<number>();

  constructor(root: number) {
    this.members = new Set([root]);
  }

  residentBytes(): number {
    let bytes = 0;
    const alive = new Set(readdirSync('/proc').map(Number).filter((each) => each > 0));
    // Numbers are given again.
    [this.members, this.strangers] = [this.members, this.strangers].map((numbers) => new Set([...numbers].filter((each) => alive.has(each)))) as [Set<number>, Set<number>];
    // In the order of their numbers, which is that of their birth: a parent is known before its children.
    for (const pid of [...alive].filter((each) => !this.strangers.has(each)).sort((a, b) => a - b)) {
      const found = statOf(pid);
      if (!found) continue;
      if (this.members.has(found.parent)) this.members.add(pid);
      if (this.members.has(pid)) bytes += found.residentBytes;
      else this.strangers.add(pid);
    }
    return bytes;
  }
}

/** Null when it has ended. `ticks`: its own, and those of its children that have ended. */
function statOf(pid: number): { parent: number; residentBytes: number; ticks: number } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    return { parent: Number(fields[1]), residentBytes: Number(fields[21]) * 4096, ticks };
  } catch {
    return null;
  }
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
