import { setTimeout as sleep } from 'node:timers/promises';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import type { Client, ClientChannel } from 'ssh2';
import { DrydockError } from '../../domain/errors';
import { GuardedStream, StallWatch, Tail } from '../stream/stall';
import { asError, commandFailed } from './exec';
import type { RemoteProcess } from './host';
import { SshStart, type Sudo } from './ssh-start';

/** What a process needs from its connection. */
export interface ProcessContext {
  hostName: string;
  client: Client;
  /** Why the connection ended, once it did. */
  lost(): DrydockError | undefined;
  sudo: Sudo;
}

export interface StartOptions {
  root: boolean;
  stallMs: number;
  signal?: AbortSignal;
}

type Exit = { code: number | null; signal?: string };

/** How long a killed command may take to go before we stop looking. */
const KILL_GRACE_MS = 5_000;
const STDERR_TAIL = 64 * 1024;

/** Ends a process group: asks, waits up to two seconds, then forces. */
const KILLER =
  'kill -s TERM -- "-$1" 2>/dev/null || exit 0; n=0; ' +
  'while kill -s 0 -- "-$1" 2>/dev/null && [ $n -lt 10 ]; do sleep 0.2; n=$((n+1)); done; kill -s KILL -- "-$1" 2>/dev/null; exit 0';

/** Starts a command; resolves when it runs (sudo passed). Throws AuthRejected, NotPermitted, HostUnreachable, Busy. */
export async function startProcess(context: ProcessContext, command: string[], options: StartOptions): Promise<SshProcess> {
  const start = new SshStart(context.hostName, command, options.root ? context.sudo : 'no');
  const process = await openWhenFree(context, start.text, (channel) => new SshProcess(context, channel, command, options, start));
  await process.started();
  return process;
}

/** A session that has just ended may still be counted by sshd: such a refusal is waited out for a second. */
async function openWhenFree<T>(context: ProcessContext, command: string, use: (channel: ClientChannel) => T): Promise<T> {
  for (let n = 0; ; n++) {
    try {
      return await openChannel(context, command, use);
    } catch (error) {
      if (n === 10 || !(error instanceof DrydockError && error.kind === 'Busy')) throw error;
      await sleep(100);
    }
  }
}

/** `use` is called in the same turn in which the channel opens: a short command's exit may stand in the very next packet. */
function openChannel<T>(context: ProcessContext, command: string, use: (channel: ClientChannel) => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const lost = context.lost();
    if (lost !== undefined) return reject(lost);
    const onLost = () => reject(context.lost() ?? connectionLost(context.hostName));
    context.client.once('close', onLost);
    try {
      context.client.exec(command, (error, channel) => {
        context.client.removeListener('close', onLost);
        if (error === undefined) return resolve(use(channel));
        reject(context.lost() ?? new DrydockError('Busy', `${context.hostName} opens no further SSH session (${error.message})`, { remedy: 'raise MaxSessions of sshd, or try again', cause: error }));
      });
    } catch (cause) {
      context.client.removeListener('close', onLost);
      reject(context.lost() ?? connectionLost(context.hostName, cause));
    }
  });
}

export function connectionLost(hostName: string, cause?: unknown): DrydockError {
  return new DrydockError('HostUnreachable', `the SSH connection to ${hostName} was lost`, { remedy: 'check that the host is up and can be reached', cause });
}

/** One command on the far side, over one SSH channel. */
export class SshProcess implements RemoteProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly exit: Promise<Exit & { stderr: string }>;
  /** Resolves when the channel is closed, and with it the session that sshd counts. */
  readonly closed: Promise<unknown>;
  private readonly status: Promise<Exit>;
  private readonly stderr = new Tail(STDERR_TAIL);
  private readonly watch: StallWatch;
  private failure: Error | undefined;
  private over = false;
  private group: string | undefined;
  private killing: Promise<void> | undefined;
  private readonly stderrEnd: Promise<unknown>;

  constructor(
    private readonly context: ProcessContext,
    private readonly channel: ClientChannel,
    private readonly command: string[],
    private readonly options: StartOptions,
    private readonly start: SshStart,
  ) {
    const touch = () => this.watch.touch();
    this.closed = new Promise((resolve) => channel.once('close', resolve));
    this.status = this.watchStatus();
    const stdin = new PassThrough({ highWaterMark: 256 * 1024 });
    const stdout = new GuardedStream(touch, () => this.ownEnd());
    this.watch = new StallWatch(options.stallMs, () => this.fail(this.stalled()), () => stdout.unread);
    stdin.on('data', touch).pipe(channel);
    channel.pipe(stdout);
    channel.stderr.on('data', (chunk: Buffer) => {
      touch();
      this.stderr.push(start.take(chunk, (answer) => channel.write(answer)));
    });
    this.stderrEnd = new Promise((resolve) => channel.stderr.once('end', resolve).once('close', resolve));
    this.stdin = stdin;
    this.stdout = stdout;
    this.exit = this.watchExit();
    this.guardStreams(stdin, stdout);
    this.followSignal();
    // Standard error may still lie unread when the exit status is there already.
    this.status.then(() => this.stderrEnd).then(
      () => start.ended(),
      (error: unknown) => start.fail(asError(error)),
    );
  }

  /** Waits until the command runs; what keeps it from running ends the channel. */
  async started(): Promise<void> {
    try {
      this.group = await this.start.group;
    } catch (error) {
      this.fail(error);
      throw this.failure ?? error;
    }
  }

  async kill(): Promise<void> {
    if (this.over) return;
    this.killing ??= this.endRemote();
    await this.killing;
  }

  private async endRemote(): Promise<void> {
    if (this.group !== undefined && this.context.lost() === undefined) {
      const quiet = { root: this.options.root, stallMs: KILL_GRACE_MS };
      // When the connection is gone, sshd has closed the command's streams and nothing more can be done from here.
      await startProcess(this.context, ['sh', '-c', KILLER, 'sh', this.group], quiet)
        .then(async (killer) => {
          killer.stdin.end();
          killer.stdout.resume();
          await killer.exit;
        })
        .catch(() => undefined);
    }
    this.release();
    await Promise.race([this.exit.then(noop, noop), sleep(KILL_GRACE_MS, undefined, { ref: false })]);
  }

  /** Lets the channel run dry, so that it can close although nobody reads. */
  private release(): void {
    this.stdout.destroy();
    this.channel.unpipe();
    this.channel.resume();
    this.channel.close();
  }

  private fail(reason: unknown): void {
    if (this.over || this.failure !== undefined) return;
    this.failure = asError(reason);
    this.stdout.destroy(this.failure);
    this.stdin.destroy(this.failure);
    void this.kill();
  }

  /** What a killed command wrote may be half of what it had to say: its output must not seem complete. */
  private async ownEnd(): Promise<void> {
    const status = await this.status;
    if (status.signal !== undefined) throw commandFailed(this.context.hostName, this.command, { ...status, stderr: this.stderr.toString() });
  }

  private watchStatus(): Promise<Exit> {
    const status = new Promise<Exit>((resolve, reject) => {
      this.channel.once('exit', (code: number | null, signal?: string) => resolve(signal === undefined ? { code } : { code: null, signal }));
      const gone = () => reject(this.failure ?? this.context.lost() ?? connectionLost(this.context.hostName));
      this.channel.once('close', gone);
      this.context.client.once('close', gone);
      this.channel.once('close', () => this.context.client.removeListener('close', gone));
    });
    status.catch(noop);
    return status;
  }

  private watchExit(): Promise<Exit & { stderr: string }> {
    const exit = (async () => {
      try {
        const status = await this.status;
        await new Promise<void>((resolve) => (this.stdout.destroyed || this.stdout.readableEnded ? resolve() : this.stdout.once('close', resolve)));
        if (this.failure !== undefined) throw this.failure;
        await this.stderrEnd;
        return { ...status, stderr: this.stderr.toString() };
      } catch (error) {
        throw this.failure ?? error;
      } finally {
        this.finish();
      }
    })();
    exit.catch(noop);
    return exit;
  }

  private finish(): void {
    this.over = true;
    this.watch.stop();
    if (!this.stdin.writableFinished) this.stdin.destroy(Object.assign(new Error(`${this.command[0]} ended before it read its input`), { code: 'EPIPE' }));
  }

  /** A stream that its user gave up must not look like a clean end to the command: it is ended instead. */
  private guardStreams(stdin: PassThrough, stdout: GuardedStream): void {
    stdin.on('error', noop).once('close', () => {
      if (!stdin.writableFinished) void this.kill();
    });
    stdout.on('error', noop).once('close', () => {
      if (!stdout.readableEnded) void this.kill();
    });
    this.channel.on('error', noop);
    const onLost = () => this.fail(this.context.lost() ?? connectionLost(this.context.hostName));
    const leave = () => this.context.client.removeListener('close', onLost);
    this.context.client.once('close', onLost);
    this.exit.then(leave, leave);
  }

  private followSignal(): void {
    const { signal } = this.options;
    if (signal === undefined) return;
    const onAbort = () => this.fail(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    const leave = () => signal.removeEventListener('abort', onAbort);
    this.exit.then(leave, leave);
  }

  private stalled(): DrydockError {
    const seconds = Math.round(this.options.stallMs / 1000);
    return new DrydockError('Stalled', `${this.context.hostName}: nothing moved for ${seconds} s while ${this.command[0]} ran`, { remedy: 'check the load, the disks and the network of the host' });
  }
}

function noop(): void {}
