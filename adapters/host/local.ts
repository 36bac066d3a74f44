import { spawn as spawnChild, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Readable, Writable } from 'node:stream';
import { DrydockError } from '../../domain/errors';
import { GuardedStream, StallWatch, Tail } from '../stream/stall';
import { asError, commandFailed, DEFAULT_STALL_MS, execOn } from './exec';
import type { ExecOptions, ExecResult, Host, RemoteProcess } from './host';
import { inputInto } from './input';
import { checkCommand } from './quote';

type SpawnOptions = Pick<ExecOptions, 'root' | 'signal' | 'stallMs'>;

/** This machine behind the same interface. Where Drydock is not root, `root` commands go through `sudo -n`. */
export function localHost(name = 'localhost'): Host {
  const host: Host = {
    name,
    exec: (command: string[], options: ExecOptions = {}): Promise<ExecResult> => execOn(host, command, options),
    spawn: (command: string[], options: SpawnOptions = {}) => start(name, command, options),
    close: () => Promise.resolve(),
  };
  return host;
}

async function start(name: string, command: string[], options: SpawnOptions): Promise<RemoteProcess> {
  options.signal?.throwIfAborted();
  // Same refusals as over SSH.
  checkCommand(command);
  const needsSudo = (options.root ?? true) && process.getuid?.() !== 0;
  const [file, ...args] = needsSudo ? ['sudo', '-n', '--', ...command] : command;
  const child = spawnChild(file!, args, { detached: true, stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  try {
    await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  } catch (cause) {
    throw new DrydockError('NotFound', `${name}: ${file} cannot be started (${(cause as NodeJS.ErrnoException).code})`, { remedy: 'install the command', cause });
  }
  return new LocalProcess(name, command, child, options);
}

class LocalProcess implements RemoteProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly exit: Promise<{ code: number | null; signal?: string; stderr: string }>;
  private failure: Error | undefined;
  private over = false;
  private readonly gone: Promise<{ code: number | null; signal?: string }>;

  constructor(name: string, command: string[], private readonly child: ChildProcess, options: SpawnOptions) {
    const stderr = new Tail(64 * 1024);
    const stallMs = options.stallMs ?? DEFAULT_STALL_MS;
    const touch = () => watch.touch();
    const gone = new Promise<{ code: number | null; signal?: string }>((resolve) =>
      child.once('exit', (code, signal) => resolve(signal === null ? { code } : { code, signal })),
    );
    this.gone = gone;
    const stdout = new GuardedStream(touch, async () => {
      const status = await gone;
      // What a killed command wrote may be half of what it had to say: its output must not seem complete.
      if (status.signal !== undefined) throw commandFailed(name, command, { ...status, stderr: stderr.toString() });
    });
    const stalled = () => new DrydockError('Stalled', `${name}: nothing moved for ${Math.round(stallMs / 1000)} s while ${command[0]} ran`, { remedy: 'check the load and the disks of the host' });
    const watch = new StallWatch(stallMs, () => this.fail(stalled()), () => stdout.unread || this.wantsInput());
    const outputEnd = new Promise((resolve) => child.stdout!.once('end', resolve));
    child.stdout!.pipe(stdout);
    child.stderr!.on('data', (chunk: Buffer) => {
      touch();
      stderr.push(chunk);
    });
    const stdin = inputInto(child.stdin!, touch).on('error', noop).once('close', () => {
      if (!stdin.writableFinished) void this.kill();
    });
    child.stdin!.once('close', () => {
      if (!stdin.writableFinished) stdin.destroy(Object.assign(new Error(`${command[0]} ended before it read its input`), { code: 'EPIPE' }));
    });
    stdout.on('error', noop).once('close', () => {
      if (!stdout.readableEnded) void this.kill();
    });
    this.stdin = stdin;
    this.stdout = stdout;
    const onAbort = () => this.fail(options.signal?.reason);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const stderrEnd = new Promise<void>((resolve) => child.stderr!.once('close', resolve));
    // Nothing more can come: what still takes time is our own reader.
    void Promise.all([gone, outputEnd]).then(() => watch.stop());
    this.exit = (async () => {
      const status = await gone;
      await new Promise<void>((resolve) => (stdout.closed ? resolve() : stdout.once('close', resolve)));
      // A left-behind grandchild may hold standard error open.
      await Promise.race([stderrEnd, sleep(1_000, undefined, { ref: false })]);
      this.over = true;
      watch.stop();
      options.signal?.removeEventListener('abort', onAbort);
      if (this.failure !== undefined) throw this.failure;
      return { ...status, stderr: stderr.toString() };
    })();
    this.exit.catch(noop);
  }

  async kill(): Promise<void> {
    if (this.over) return;
    this.signalGroup('SIGTERM');
    const ended = this.gone.then(() => true);
    if (!(await Promise.race([ended, sleep(2_000, false)]))) this.signalGroup('SIGKILL');
    await ended;
  }

  /** The command has got all that we have given it so far, and more is to come: the wait is for our own source. */
  private wantsInput(): boolean {
    const { stdin, child } = this;
    return !stdin.writableEnded && !stdin.destroyed && stdin.writableLength + child.stdin!.writableLength === 0;
  }

  private fail(reason: unknown): void {
    if (this.over || this.failure !== undefined) return;
    this.failure = asError(reason);
    this.stdout.destroy(this.failure);
    this.stdin.destroy(this.failure);
    void this.kill();
  }

  private signalGroup(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.child.pid!, signal);
    } catch {
      // Already gone.
    }
  }
}

function noop(): void {}
