import { setTimeout as sleep } from 'node:timers/promises';
import type { Readable, Writable } from 'node:stream';
import { DrydockError } from '../../domain/errors';
import { GuardedStream, StallWatch, Tail } from '../stream/stall';
import { asError, commandFailed } from './exec';
import type { RemoteProcess } from './host';
import { inputInto } from './input';

export type Exit = { code: number | null; signal?: string };

/** The streams of one command on the far side, as the connection carries them. */
export interface Channel {
  readonly input: Writable;
  /** Input that `input` has taken and the connection has not, where that is not the same. */
  inputPending?(): number;
  /** To be called when the connection has taken some of it. */
  onInput?: () => void;
  readonly output: Readable;
  readonly errors: Readable;
  /** How the command ended; rejects when the channel closed without telling. */
  readonly status: Promise<Exit>;
  /** Resolves when the channel is closed. */
  readonly closed: Promise<unknown>;
  /** Lets the channel run dry and closes it, although nobody reads. */
  release(): void;
  /** Takes back the memory of a piece of `output`, where the channel has a use for it. */
  giveBack?(piece: Buffer): void;
}

/** What a process needs from its connection. */
export interface Connection {
  readonly hostName: string;
  /** Why the connection ended, once it did. */
  lost(): DrydockError | undefined;
  /** Calls back when the connection ends; returns how to stop listening. */
  onLost(listener: (why: DrydockError) => void): () => void;
  /** Ends a process group on the far side; quiet about what has gone already. */
  endGroup(group: string, root: boolean): Promise<void>;
}

/** The beginning of a command: what is read from standard error until the command itself runs. */
export interface CommandStart {
  /** Process group of the command, once it runs. */
  readonly group: Promise<string>;
  /** The command does not run yet, and how long that may take is not for the command's own limit to say. */
  readonly isPending?: boolean;
  /** The group where it is known although `group` is refused. */
  readonly seenGroup?: string;
  /** Takes a piece of standard error, answers by `write`, and returns what is the command's own. */
  take(chunk: Buffer, write: (text: string) => void): Buffer;
  /** The command ended; before its mark that means that it never ran. */
  ended(): void;
  fail(error: Error): void;
}

export interface StartOptions {
  root: boolean;
  stallMs: number;
  signal?: AbortSignal;
  onStderr?: (piece: Buffer) => void;
}

/** How long a killed command may take to go before we stop looking. */
export const KILL_GRACE_MS = 5_000;
const STDERR_TAIL = 64 * 1024;

/** Ends a process group: asks, waits up to two seconds, then forces. */
const KILLER =
  'kill -s TERM -- "-$1" 2>/dev/null || exit 0; n=0; ' +
  'while kill -s 0 -- "-$1" 2>/dev/null && [ $n -lt 10 ]; do sleep 0.2; n=$((n+1)); done; kill -s KILL -- "-$1" 2>/dev/null; exit 0';

/** The command that ends a process group. */
export function killer(group: string): string[] {
  return ['sh', '-c', KILLER, 'sh', group];
}

/** Runs a command that says nothing to its end; what goes wrong with it is nobody's matter. */
export async function runQuietly(start: () => Promise<RemoteProcess>): Promise<void> {
  try {
    const process = await start();
    process.stdin.end();
    process.stdout.resume();
    await process.exit;
  } catch {
    // It was tried.
  }
}

/** One command on the far side, over one channel. */
export class ChannelProcess implements RemoteProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly exit: Promise<Exit & { stderr: string }>;
  /** Resolves when the channel is closed, and with it the session that sshd counts. */
  readonly closed: Promise<unknown>;
  private readonly stderr = new Tail(STDERR_TAIL);
  private readonly watch: StallWatch;
  private failure: Error | undefined;
  private over = false;
  private group: string | undefined;
  private killing: Promise<void> | undefined;
  private readonly stderrEnd: Promise<unknown>;

  constructor(
    private readonly connection: Connection,
    private readonly channel: Channel,
    private readonly command: string[],
    private readonly options: StartOptions,
    private readonly start: CommandStart,
  ) {
    const touch = () => this.watch.touch();
    this.closed = channel.closed;
    const stdin = inputInto(channel.input, touch);
    channel.onInput = touch;
    const stdout = new GuardedStream(touch, () => this.ownEnd());
    this.watch = new StallWatch(options.stallMs, () => this.fail(this.stalled()), () => stdout.unread || this.wantsInput() || start.isPending === true);
    const outputEnd = new Promise((resolve) => channel.output.once('end', resolve));
    channel.output.pipe(stdout);
    channel.errors.on('data', (chunk: Buffer) => {
      touch();
      const own = start.take(chunk, (answer) => channel.input.write(answer));
      this.stderr.push(own);
      options.onStderr?.(own);
    });
    this.stderrEnd = new Promise((resolve) => channel.errors.once('end', resolve).once('close', resolve));
    this.stdin = stdin;
    this.stdout = stdout;
    // Nothing more can come: what still takes time is our own reader.
    Promise.all([channel.status, outputEnd, this.stderrEnd]).then(() => this.watch.stop(), noop);
    this.exit = this.watchExit();
    this.guardStreams(stdin, stdout);
    this.followSignal();
    // Standard error may still lie unread when the exit status is there already.
    channel.status.then(() => this.stderrEnd).then(
      () => start.ended(),
      (error: unknown) => start.fail(asError(error)),
    );
  }

  /** Waits until the command runs; what keeps it from running ends the channel. */
  async started(): Promise<void> {
    try {
      this.group = await this.start.group;
    } catch (error) {
      this.group = this.start.seenGroup;
      this.fail(error);
      throw this.failure ?? error;
    }
  }

  giveBack(piece: Buffer): void {
    this.channel.giveBack?.(piece);
  }

  async kill(): Promise<void> {
    if (this.over) return;
    this.killing ??= this.endRemote();
    await this.killing;
  }

  /**
   * When the connection is gone, the far side has closed the command's streams and nothing more can be done from here. A command that is about to begin may run
   * all the same: its group is waited for.
   */
  private async endGroup(): Promise<void> {
    const { start, connection, options } = this;
    if (connection.lost() !== undefined) return;
    const group = this.group ?? (await Promise.race([start.group.catch(() => start.seenGroup), sleep(KILL_GRACE_MS, undefined, { ref: false })]));
    if (group !== undefined && connection.lost() === undefined) await connection.endGroup(group, options.root);
  }

  private async endRemote(): Promise<void> {
    await this.endGroup();
    this.stdout.destroy();
    this.channel.release();
    await Promise.race([this.exit.then(noop, noop), sleep(KILL_GRACE_MS, undefined, { ref: false })]);
  }

  /** The command has got all that we have given it so far, and more is to come: the wait is for our own source. Not before it runs: until then all is up to the host. */
  private wantsInput(): boolean {
    const { stdin, channel } = this;
    return this.group !== undefined && !stdin.writableEnded && !stdin.destroyed && stdin.writableLength + channel.input.writableLength + (channel.inputPending?.() ?? 0) === 0;
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
    const status = await this.channel.status;
    if (status.signal !== undefined) throw commandFailed(this.connection.hostName, this.command, { ...status, stderr: this.stderr.toString() });
  }

  private watchExit(): Promise<Exit & { stderr: string }> {
    const exit = (async () => {
      try {
        const status = await this.channel.status;
        await new Promise<void>((resolve) => (this.stdout.destroyed || this.stdout.readableEnded ? resolve() : this.stdout.once('close', resolve)));
        if (this.failure !== undefined) throw this.failure;
        await this.stderrEnd;
        return { ...status, stderr: this.stderr.toString() };
      } catch (error) {
        const why = this.failure ?? asError(error);
        // Whoever reads must hear of it: a channel that broke does not end its output.
        this.stdout.destroy(why);
        this.channel.release();
        // The command may run on although its channel is gone. Where a kill is at work already, that waits for us.
        if (this.killing === undefined) {
          this.killing = this.endGroup();
          await this.killing;
        }
        throw why;
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
  private guardStreams(stdin: Writable, stdout: GuardedStream): void {
    stdin.on('error', noop).once('close', () => {
      if (!stdin.writableFinished) void this.kill();
    });
    stdout.on('error', noop).once('close', () => {
      if (!stdout.readableEnded) void this.kill();
    });
    const leave = this.connection.onLost((why) => this.fail(why));
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
    return new DrydockError('Stalled', `${this.connection.hostName}: nothing moved for ${seconds} s while ${this.command[0]} ran`, { remedy: 'check the load, the disks and the network of the host' });
  }
}

function noop(): void {}
