import { randomBytes } from 'node:crypto';
import { BetweenMarks, marksOf } from './marks';
import type { CommandStart } from './process';
import { shellWords, UNWRAP, wrap } from './shell-words';
import { startRefused, wrongPassword, type Login } from './ssh-refusals';

/** How to become root: not needed, sudo without a password, or sudo with it. */
export type Sudo = 'no' | 'passwordless' | { password: string };

/** The marks, made on the far side: they stand in no list of processes. */
const MARKS = ['out', 'err'].map((stream) => `${stream}="${marksOf('$1', stream).start}"; `).join('') + `end="${marksOf('$1', '').end}"; shift; `;
/**
 * Prints a mark with its process group on both streams, runs the command, and prints another behind its output. What a login shell, sudo or PAM print stands outside.
 * The first mark tells besides that sudo has let us in, so that what we write from then on reaches the command and not sudo; the group is what `kill` ends. The trap
 * keeps the shell from dying before its command.
 */
const STARTER =
  `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL; ${MARKS}${UNWRAP}` +
  'read -r pid name state parent group rest </proc/$$/stat; echo "$err $group" >&2; echo "$out $group"; trap : TERM; "$@"; code=$?; ' +
  'printf "%s%03d" "$end" "$code" >&2; printf "%s%03d" "$end" "$code"; exit "$code"';

/** When one mark is there, the other one is on its way. */
const BETWEEN_STREAMS_MS = 5_000;

/** The beginning and the end of a command over SSH: what is sent, and what is its own of what comes back. */
export class SshStart implements CommandStart {
  /** Process group of the command, once it runs. */
  readonly group: Promise<string>;
  readonly output: BetweenMarks;
  readonly errors: BetweenMarks;
  private readonly nonce = randomBytes(8).toString('hex');
  private readonly prompt = `drydock-${this.nonce}-sudo:`;
  private readonly marks = { output: marksOf(this.nonce, 'out'), errors: marksOf(this.nonce, 'err') };
  private asked = false;
  private timer: NodeJS.Timeout;
  private resolve!: (group: string) => void;
  private reject!: (error: Error) => void;

  constructor(private readonly login: Login, private readonly command: string[], private readonly sudo: Sudo) {
    this.output = new BetweenMarks(this.marks.output);
    this.errors = new BetweenMarks(this.marks.errors);
    this.group = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.group.catch(() => undefined);
    this.timer = this.after(login.limitMs, () => this.refuse('slow'));
  }

  /** What the login shell is given. */
  get text(): string {
    const starter = ['sh', '-c', STARTER, 'sh', this.nonce, ...this.command.map(wrap)];
    if (this.sudo === 'no') return shellWords(starter);
    return shellWords(['env', 'LC_ALL=C', 'sudo', ...(this.sudo === 'passwordless' ? ['-n'] : ['-S', '-p', this.prompt]), '--', ...starter]);
  }

  /** Until the command runs, all is up to the login: `limitMs` counts, and no stall. */
  get isPending(): boolean {
    return this.output.word === null || this.errors.word === null;
  }

  get seenGroup(): string | undefined {
    const astray = new RegExp(`@drydock-${this.nonce}-(?:out|err) (\\d+)\n`).exec(this.errors.foreign + this.output.foreign)?.[1];
    return this.errors.word ?? this.output.word ?? astray;
  }

  /** Takes a piece of standard error, answers sudo by `write`, and returns what is the command's own. */
  take(chunk: Buffer, write: (text: string) => void): Buffer {
    const own = Buffer.concat(this.errors.take(chunk));
    if (this.errors.word === null && this.errors.takeOut(this.prompt)) {
      // Asked again: the first answer was wrong.
      if (this.asked || typeof this.sudo !== 'object') this.fail(wrongPassword(this.login));
      else write(`${this.sudo.password}\n`);
      this.asked = true;
    }
    this.look();
    return own;
  }

  /** To be called after each piece of either stream. */
  look(): void {
    const { output, errors } = this;
    if (output.isFlooded || errors.isFlooded) this.refuse('flood');
    else if (!this.isPending) {
      clearTimeout(this.timer);
      this.resolve(errors.word!);
    } else if (output.foreign.includes(this.marks.errors.start) || errors.foreign.includes(this.marks.output.start)) this.refuse('redirect');
    else if (output.word !== null || errors.word !== null) {
      clearTimeout(this.timer);
      this.timer = this.after(BETWEEN_STREAMS_MS, () => this.refuse('redirect'));
    }
  }

  /** The command ended; before its marks that means that it never ran, or that nobody can hear it. */
  ended(): void {
    if (this.isPending) this.refuse(this.seenGroup === undefined ? 'ended' : 'redirect');
  }

  fail(error: Error): void {
    clearTimeout(this.timer);
    this.reject(error);
  }

  private refuse(how: Parameters<typeof startRefused>[1]): void {
    this.fail(startRefused(this.login, how, `${this.errors.foreign}\n${this.output.foreign}`));
  }

  private after(ms: number, call: () => void): NodeJS.Timeout {
    const timer = setTimeout(call, ms);
    timer.unref();
    return timer;
  }
}
