/** What tar and find say on standard error when files change under them, sorted from real failures. */
import { DrydockError } from '../../domain/errors';
import { commandFailed } from '../host/exec';

type Complaint = { kind: 'vanished' | 'changed' | 'unreadable'; path: string };

const PATTERNS: [RegExp, Complaint['kind']][] = [
  [/^(?:tar|find): (.*): Cannot (?:stat|open): No such file or directory$/, 'vanished'],
  [/^(?:tar|find): (.*): No such file or directory$/, 'vanished'],
  [/^tar: (.*): File removed before we read it$/, 'vanished'],
  [/^tar: (.*): file changed as we read it$/, 'changed'],
  [/^tar: (.*): File shrank by \d+ bytes; padding with zeros$/, 'changed'],
  [/^tar: (.*): (?:Read error at byte \d+, while reading \d+ bytes|Cannot read|Cannot seek to \d+): Input\/output error$/, 'unreadable'],
];
const HARMLESS = /^tar: (Exiting with failure status due to previous errors|.*: socket ignored|.*: Removing leading .*)$/;
/** The host keeps this much of standard error; its first line may be cut then. */
const KEPT_STDERR = 64 * 1024;

/**
 * Returns what files did under the reader. Throws when the command failed for another reason. tar ends with 1 when files changed and
 * with 2 when some were not there, but also on real errors, so each line is looked at.
 */
export function sortComplaints(host: string, command: string[], exit: { code: number | null; signal?: string; stderr: string }, toleratedCodes: number[]): Complaint[] {
  if (exit.code === 0) return [];
  if (exit.code === null || !toleratedCodes.includes(exit.code)) throw commandFailed(host, command, exit);
  const lines = exit.stderr.split('\n').filter((line) => line !== '');
  if (Buffer.byteLength(exit.stderr) >= KEPT_STDERR) lines.shift();
  const complaints: Complaint[] = [];
  const unknown: string[] = [];
  for (const line of lines) {
    const found = PATTERNS.map(([pattern, kind]) => ({ kind, path: pattern.exec(line)?.[1] })).find((match) => match.path !== undefined);
    if (found) complaints.push({ kind: found.kind, path: found.path! });
    else if (!HARMLESS.test(line)) unknown.push(line);
  }
  if (unknown.length > 0 || complaints.length === 0) {
    const error = commandFailed(host, command, { ...exit, stderr: [...new Set([...lines.slice(-2), ...unknown.slice(-3)])].join('\n') });
    throw new DrydockError(error.kind, error.message, { remedy: error.remedy, details: error.details });
  }
  return complaints;
}
