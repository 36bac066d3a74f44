/** What verification said of a backup, for lists. */
import { ago, count } from './format';
import type { BackupEntry } from './vaults';

/** `verified 3 d ago (L3)`; what was found bad since stands before it. */
export function verifiedText({ verified, failed }: Pick<BackupEntry, 'verified' | 'failed'>, now = Date.now()): string {
  const bad = failed === null ? [] : [`FOUND BAD ${ago(failed.at, now)} (${failed.level}, ${count(failed.findings ?? 0, 'finding')})`];
  const good = verified === null ? (failed === null ? ['not verified'] : []) : [`${verified.drill === true ? 'drilled' : 'verified'} ${ago(verified.at, now)} (${verified.level})`];
  return [...bad, ...good].join('; ');
}
