/** Drydock as a peer: its job process is started once, as a worker is, and told what to do. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { watchCpu, watchMemory, type Measured } from './measure';
import type { Job, JobDone } from './drydock-job';
import { freshTarget, type Place } from './peers';

export type DrydockRun = Measured & { bytes: number; idleMiB: number };

export class Drydock {
  private backups = 0;

  private constructor(
    private readonly process: ChildProcess,
    private readonly lines: AsyncIterator<string>,
    private readonly place: Place,
  ) {}

  static async start(place: Place): Promise<Drydock> {
    const child = spawn(process.execPath, [...process.execArgv, require.resolve('./drydock-job')], { stdio: ['pipe', 'pipe', 'inherit'] });
    const drydock = new Drydock(child, createInterface({ input: child.stdout })[Symbol.asyncIterator](), place);
    const { port, keyFile, knownHosts } = place.sshd;
    await drydock.ask({ do: 'connect', port, keyFile, knownHosts, passphraseFile: place.passphraseFile });
    return drydock;
  }

  async prepare(): Promise<void> {
    for (const folder of [this.vault, path.join(this.place.base, 'unstored')]) await rm(folder, { recursive: true, force: true });
  }

  backup(): Promise<DrydockRun> {
    this.backups += 1;
    return this.ask({ do: 'backup', vault: this.vault, volume: this.place.volume, name: `backup-${this.backups}` });
  }

  /** A first backup whose segments are thrown away as soon as they are made. */
  backupUnstored(): Promise<DrydockRun> {
    return this.ask({ do: 'backup', vault: path.join(this.place.base, 'unstored'), volume: this.place.volume, name: 'unstored', isUnstored: true });
  }

  /** Of the newest backup; into an empty folder, or over what is in `target`. */
  async restore(target?: string): Promise<DrydockRun> {
    return this.ask({ do: 'restore', vault: this.vault, volume: target ?? (await freshTarget(this.place)), name: `backup-${this.backups}` });
  }

  verify(): Promise<DrydockRun> {
    return this.ask({ do: 'verify', vault: this.vault });
  }

  async stop(): Promise<void> {
    this.process.stdin?.end();
    if (this.process.exitCode === null) await once(this.process, 'exit');
  }

  private get vault(): string {
    return path.join(this.place.base, 'vault');
  }

  private async ask(job: Job): Promise<DrydockRun> {
    const memory = watchMemory(this.process.pid!);
    const far = watchCpu(this.place.sshd.pid);
    this.process.stdin?.write(`${JSON.stringify(job)}\n`);
    const answer = await this.lines.next();
    const { idleMiB, peakMiB } = memory.stop();
    if (answer.done) throw new Error(`Drydock's job ended at ${job.do}`);
    return { ...(JSON.parse(answer.value) as JobDone), farCpuSeconds: far.seconds(), peakMemoryMiB: peakMiB, idleMiB };
  }
}
