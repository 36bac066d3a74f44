import { randomBytes } from 'node:crypto';
import { DrydockError } from '../../domain/errors';
import type { CommandStart } from './process';
import { quoteCommand } from './quote';

/** How to become root: not needed, sudo without a password, or sudo with it. */
export type Sudo = 'no' | 'passwordless' | { password: string };

/**
 * Prints a mark and its process group on standard error, then becomes the command. The mark tells that sudo has let us in, so that what we
 * write from then on reaches the command and not sudo; the group is what `kill` ends.
 */
const STARTER =
  'PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL; mark=$1; shift; ' +
  'read -r pid name state parent group rest </proc/$$/stat; echo "$mark $group" >&2; exec "$@"';

/** The beginning of a command over SSH: what is sent, and what is read from standard error until the command itself runs. */
export class SshStart implements CommandStart {
  /** Process group of the command, once it runs. */
  readonly group: Promise<string>;
  private readonly nonce = randomBytes(8).toString('hex');
  private readonly prompt = `drydock-${this.nonce}-sudo:`;
  private readonly mark = `drydock-${this.nonce}-start`;
  private running = false;
  private asked = false;
  private head = '';
  private resolve!: (group: string) => void;
  private reject!: (error: Error) => void;

  constructor(private readonly hostName: string, private readonly command: string[], private readonly sudo: Sudo) {
    this.group = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.group.catch(() => undefined);
  }

  /** What the login shell is given. */
  get text(): string {
    // Quoted here as well, so that a bad argument is refused before anything runs.
    const starter = ['sh', '-c', STARTER, 'sh', this.mark, ...this.command];
    if (this.sudo === 'no') return quoteCommand(starter);
    return quoteCommand(['env', 'LC_ALL=C', 'sudo', ...(this.sudo === 'passwordless' ? ['-n'] : ['-S', '-p', this.prompt]), '--', ...starter]);
  }

  /** Takes a piece of standard error, answers sudo by `write`, and returns what is the command's own. */
  take(chunk: Buffer, write: (text: string) => void): Buffer {
    if (this.running) return chunk;
    this.head += chunk.toString('latin1');
    const line = new RegExp(`${this.mark} (\\d+)\n`).exec(this.head);
    if (line !== null) {
      this.running = true;
      this.resolve(line[1]!);
      return Buffer.from(this.head.slice(line.index + line[0].length), 'latin1');
    }
    if (this.head.includes(this.prompt)) {
      this.head = this.head.replace(this.prompt, '');
      // Asked again: the first answer was wrong.
      if (this.asked || typeof this.sudo !== 'object') this.reject(wrongPassword(this.hostName));
      else write(`${this.sudo.password}\n`);
      this.asked = true;
    }
    return Buffer.alloc(0);
  }

  /** The command ended; before its mark that means that it never ran. */
  ended(): void {
    this.reject(refusedStart(this.hostName, this.head));
  }

  fail(error: Error): void {
    this.reject(error);
  }
}

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
