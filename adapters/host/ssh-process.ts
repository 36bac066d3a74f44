import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import type { Client, ClientChannel } from 'ssh2';
import { DrydockError } from '../../domain/errors';
import { GuardedStream, StallWatch, Tail } from '../stream/stall';
import { asError } from './exec';
import type { RemoteProcess } from './host';
import { quoteCommand } from './quote';

/** What a process needs from its connection. */
export interface ProcessContext {
  hostName: string;
  client: Client;
  /** Why the connection ended, once it did. */
  lost(): DrydockError | undefined;
  /** How to become root: not needed, sudo without a password, or sudo with it. */
  sudo: 'no' | 'passwordless' | { password: string };
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

/**
 * Prints a mark and its process group on standard error, then becomes the command. The mark tells that sudo has let us in, so that what we
 * write from then on reaches the command and not sudo; the group is what `kill` ends.
 */
const STARTER =
  'PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL; mark=$1; shift; ' +
  'read -r pid name state parent group rest </proc/$$/stat; echo "$mark $group" >&2; exec "$@"';

/** Ends a process group: asks, waits up to two seconds, then forces. */
const KILLER =
  'kill -s TERM -- "-$1" 2>/dev/null || exit 0; n=0; ' +
  'while kill -s 0 -- "-$1" 2>/dev/null && [ $n -lt 10 ]; do sleep 0.2; n=$((n+1)); done; kill -s KILL -- "-$1" 2>/dev/null; exit 0';

/** Starts a command; resolves when it runs (sudo passed). Throws AuthRejected, NotPermitted, HostUnreachable, Busy. */
export async function startProcess(context: ProcessContext, command: string[], options: StartOptions): Promise<SshProcess> {
  const nonce = randomBytes(8).toString('hex');
  const prompt = `drydock-${nonce}-sudo:`;
  const mark = `drydock-${nonce}-start`;
  const channel = await openChannel(context, quoteCommand(withRoot(context, options.root, prompt, ['sh', '-c', STARTER, 'sh', mark, ...command])));
  const process = new SshProcess(context, channel, command, options);
  await process.begin(prompt, mark);
  return process;
}

function withRoot(context: ProcessContext, root: boolean, prompt: string, command: string[]): string[] {
  if (!root || context.sudo === 'no') return command;
  return ['env', 'LC_ALL=C', 'sudo', ...(context.sudo === 'passwordless' ? ['-n'] : ['-S', '-p', prompt]), '--', ...command];
}

function openChannel(context: ProcessContext, command: string): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    const lost = context.lost();
    if (lost !== undefined) return reject(lost);
    const onLost = () => reject(context.lost() ?? connectionLost(context.hostName));
    context.client.once('close', onLost);
    try {
      context.client.exec(command, (error, channel) => {
        context.client.removeListener('close', onLost);
        if (error === undefined) return resolve(channel);
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
  private readonly status: Promise<Exit>;
  private readonly stderr = new Tail(STDERR_TAIL);
  private readonly watch: StallWatch;
  private failure: Error | undefined;
  private over = false;
  private group: string | undefined;
  private killing: Promise<void> | undefined;
  private onStderr: (chunk: Buffer) => void = (chunk) => this.stderr.push(chunk);

  constructor(private readonly context: ProcessContext, private readonly channel: ClientChannel, private readonly command: string[], private readonly options: StartOptions) {
    const touch = () => this.watch.touch();
    this.status = this.watchStatus();
    const stdin = new PassThrough({ highWaterMark: 256 * 1024 });
    const stdout = new GuardedStream(touch, () => this.status);
    this.watch = new StallWatch(options.stallMs, () => this.fail(this.stalled()), () => stdout.unread);
    stdin.on('data', touch).pipe(channel);
    channel.pipe(stdout);
    channel.stderr.on('data', (chunk: Buffer) => {
      touch();
      this.onStderr(chunk);
    });
    this.stdin = stdin;
    this.stdout = stdout;
    this.exit = this.watchExit();
    this.guardStreams(stdin, stdout);
    this.followSignal();
  }

  /** Answers sudo and waits for the mark. */
  async begin(prompt: string, mark: string): Promise<void> {
    let head = '';
    let asked = false;
    const started = new Promise<void>((resolve, reject) => {
      this.onStderr = (chunk) => {
        head += chunk.toString('utf8');
        const line = new RegExp(`${mark} (\\d+)\n`).exec(head);
        if (line !== null) {
          this.group = line[1];
          this.onStderr = (more) => this.stderr.push(more);
          const rest = head.slice(line.index + line[0].length);
          if (rest !== '') this.stderr.push(Buffer.from(rest));
          resolve();
        } else if (head.includes(prompt)) {
          head = head.replace(prompt, '');
          if (asked || typeof this.context.sudo !== 'object') reject(wrongPassword(this.context.hostName));
          else this.channel.write(`${this.context.sudo.password}\n`);
          asked = true;
        }
      };
      // After the mark these do nothing: the promise is settled.
      this.status.then(
        () => reject(refusedStart(this.context.hostName, head)),
        (error: unknown) => reject(asError(error)),
      );
    });
    try {
      await started;
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
    this.context.client.once('close', () => this.fail(this.context.lost() ?? connectionLost(this.context.hostName)));
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

function wrongPassword(hostName: string): DrydockError {
  return new DrydockError('AuthRejected', `sudo on ${hostName} does not accept the password`, { remedy: `check hosts.${hostName}.sudoPassword` });
}

/** Why the command never came to run: what sudo (or the login shell) said instead. */
function refusedStart(hostName: string, said: string): DrydockError {
  const text = said.trim().split('\n').slice(-3).join('; ').slice(0, 500);
  if (/a password is required|no password was provided|no askpass program/.test(said)) {
    return new DrydockError('AuthRejected', `sudo on ${hostName} asks for a password`, { remedy: `set hosts.${hostName}.sudoPassword, or allow the user to run sudo without one` });
  }
  if (/incorrect password attempt|Sorry, try again/.test(said)) return wrongPassword(hostName);
  if (/not in the sudoers file|may not run sudo|not allowed to execute/.test(said)) {
    return new DrydockError('NotPermitted', `the user on ${hostName} may not use sudo: ${text}`, { remedy: 'allow it in sudoers, or log in as root' });
  }
  if (/must have a tty/.test(said)) {
    return new DrydockError('NotPermitted', `sudo on ${hostName} insists on a terminal`, { remedy: 'take requiretty out of sudoers for this user' });
  }
  return new DrydockError('CommandFailed', `no command can be started on ${hostName}${text === '' ? '' : `: ${text}`}`, { remedy: 'check that the user has a shell, and sudo where it is no root' });
}
