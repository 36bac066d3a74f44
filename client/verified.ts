/** What verification and retention said of a backup, for lists. */
import { ago, count, time } from './format';
import type { BackupEntry } from './vaults';

/** `verified 3 d ago (L3)`, or `(L3, without keys)`; what was found bad since stands before it. */
export function verifiedText({ verified, failed }: Pick<BackupEntry, 'verified' | 'failed'>, now = Date.now()): string {
  const bad = failed === null ? [] : [`FOUND BAD ${ago(failed.at, now)} (${failed.level}, ${count(failed.findings ?? 0, 'finding')})`];
  const good = verified === null ? (failed === null ? ['not verified'] : []) : [`${verified.drill === true ? 'drilled' : 'verified'} ${ago(verified.at, now)} (${verified.level}${verified.withoutKeys === true ? ', without keys' : ''})`];
  return [...bad, ...good].join('; ');
}

/** `given up 2 d ago by anna, removable from 2026-12-01 02:00:13Z`; empty for a backup that nobody gave up. */
export function givenUpText({ givenUp }: Pick<BackupEntry, 'givenUp'>, now = Date.now()): string {
  return givenUp === null ? '' : `given up ${ago(givenUp.at, now)} by ${givenUp.by}, removable from ${time(givenUp.removableFrom)}`;
}
