/** How a command in a container begins and ends: what the engine leaves out is said by marks of our own. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:os';
import { Transform, type TransformCallback } from 'node:stream';
import { DrydockError } from '../../domain/errors';
import type { CommandStart, Exit } from './process';
import { checkCommand } from './quote';

/**
 * Prints a mark and its process group on standard error, runs the command, and puts a mark with its exit code behind the command's output: an engine's
 * stream ends in the same way whether the command was through or a proxy was cut, and this one cannot be missed. The trap keeps the shell from dying before its command.
 */
const WRAPPER =
  'PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL; mark=$1; shift; ' +
  'read -r pid name state parent group rest </proc/$$/stat; echo "$mark $group" >&2; trap : TERM; "$@"; code=$?; printf "%s%03d" "$mark" "$code"; exit "$code"';

const CODE_DIGITS = 3;
/** What a shell adds to the number of the signal that ended its command. */
const SIGNALLED = 128;

/** The beginning of a command: its mark on standard error. */
export class ContainerStart implements CommandStart {
  readonly group: Promise<string>;
  readonly mark = `drydock-${randomBytes(8).toString('hex')}`;
  /** What the engine said in place of the command's output. */
  said = '';
  private running = false;
  private head = '';
  private resolve!: (group: string) => void;
  private reject!: (error: Error) => void;

  constructor(private readonly hostName: string, private readonly command: string[]) {
    // Same refusals as over SSH.
    checkCommand(command);
    this.group = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.group.catch(() => undefined);
  }

  /** What the engine is given. */
  get argv(): string[] {
    return ['sh', '-c', WRAPPER, 'sh', this.mark, ...this.command];
  }

  take(chunk: Buffer): Buffer {
    if (this.running) return chunk;
    this.head += chunk.toString('latin1');
    const line = new RegExp(`${this.mark} (\\d+)\n`).exec(this.head);
    if (line === null) return Buffer.alloc(0);
    this.running = true;
    this.resolve(line[1]!);
    return Buffer.from(this.head.slice(line.index + line[0].length), 'latin1');
  }

  ended(): void {
    const why = `${this.head} ${this.said}`.trim().slice(0, 500);
    this.reject(new DrydockError('CommandFailed', `no command can be started in ${this.hostName}${why === '' ? '' : `: ${why}`}`, { remedy: HELPER_IMAGE }));
  }

  fail(error: Error): void {
    this.reject(error);
  }
}

export const HELPER_IMAGE = 'set policy.helperImage to an image with a shell and GNU tar, such as debian:bookworm-slim';

/** Takes the mark with the exit code from the end of a command's output. */
export class EndMark extends Transform {
  /** Null when the output ended without it. */
  code: number | null = null;
  private held = Buffer.alloc(0);
  private readonly length: number;

  constructor(private readonly start: ContainerStart) {
    super({ highWaterMark: 256 * 1024 });
    this.length = start.mark.length + CODE_DIGITS;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const all = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk]);
    const sure = this.beginOfMark(all);
    // A copy: a slice would keep the whole chunk in memory.
    this.held = Buffer.from(all.subarray(sure));
    done(null, sure === 0 ? undefined : all.subarray(0, sure));
  }

  /** Where the end of what has come so far may be the mark, or its beginning. */
  private beginOfMark(all: Buffer): number {
    const { mark } = this.start;
    for (let at = Math.max(0, all.length - this.length); at < all.length; at++) {
      const found = all.toString('latin1', at, Math.min(all.length, at + mark.length));
      if (mark.startsWith(found)) return at;
    }
    return all.length;
  }

  override _flush(done: TransformCallback): void {
    const text = this.held.toString('latin1');
    if (text.startsWith(this.start.mark)) this.code = Number(text.slice(this.start.mark.length));
    else {
      this.start.said = text;
      this.push(this.held);
    }
    done();
  }
}

/** An exit code as a shell gives it; one above 128 tells of a signal. */
export function exitOf(code: number): Exit {
  const [name] = Object.entries(constants.signals).find(([, number]) => number === code - SIGNALLED) ?? [];
  return name === undefined ? { code } : { code: null, signal: name };
}
