/** What tar and find say on standard error when files change under them, sorted from real failures. */
import { StringDecoder } from 'node:string_decoder';
import { commandFailed } from '../host/exec';

/** `path` as tar writes it. */
export type Complaint = { kind: 'changed' | 'unreadable'; path: string };

const PATTERNS: [RegExp, Complaint['kind'] | 'vanished'][] = [
  [/^(?:tar|find): (.*): Cannot (?:stat|open): No such file or directory$/, 'vanished'],
  [/^(?:tar|find): (.*): No such file or directory$/, 'vanished'],
  [/^tar: (.*): File removed before we read it$/, 'vanished'],
  [/^tar: (.*): file changed as we read it$/, 'changed'],
  [/^tar: (.*): File shrank by \d+ bytes; padding with zeros$/, 'changed'],
  [/^tar: (.*): (?:Read error at byte \d+, while reading \d+ bytes|Cannot read|Cannot seek to \d+): Input\/output error$/, 'unreadable'],
];
const HARMLESS = /^tar: (Exiting with failure status due to previous errors|.*: socket ignored|.*: Removing leading .*)$/;
/** A line that is longer says nothing that we know. */
const MAX_LINE = 64 * 1024;
/** Of lines that nobody knows, so many are told. */
const TOLD = 3;

/** Listens to a command's standard error as it comes, however much that is. What vanished is nobody's matter and not kept. */
export class Complaints {
  private readonly decoder = new StringDecoder('utf8');
  private rest = '';
  private readonly known: Complaint[] = [];
  private vanished = 0;
  private unknown: string[] = [];

  /** For `onStderr` of a host. */
  readonly take = (piece: Buffer): void => {
    const lines = (this.rest + this.decoder.write(piece)).split('\n');
    this.rest = lines.pop()!.slice(0, MAX_LINE);
    for (const line of lines) this.takeLine(line);
  };

  /**
   * Once the command has ended: what files did under the reader. Throws when it failed for another reason. tar ends with 1 when files changed and
   * with 2 when some were not there, but also on real errors, so each line counts.
   */
  sorted(host: string, command: string[], exit: { code: number | null; signal?: string; stderr: string }, toleratedCodes: number[]): Complaint[] {
    if (this.rest !== '') this.takeLine(this.rest);
    this.rest = '';
    if (exit.code === 0) return [];
    if (exit.code === null || !toleratedCodes.includes(exit.code)) throw commandFailed(host, command, exit);
    if (this.unknown.length === 0 && this.known.length + this.vanished > 0) return this.known;
    const last = exit.stderr.split('\n').filter((line) => line !== '').slice(-2);
    throw commandFailed(host, command, { ...exit, stderr: [...new Set([...last, ...this.unknown])].join('\n') });
  }

  private takeLine(line: string): void {
    if (line === '') return;
    for (const [pattern, kind] of PATTERNS) {
      const path = pattern.exec(line)?.[1];
      if (path === undefined) continue;
      if (kind === 'vanished') this.vanished += 1;
      else this.known.push({ kind, path });
      return;
    }
    if (!HARMLESS.test(line) && this.unknown.length < TOLD) this.unknown.push(line);
  }
}
