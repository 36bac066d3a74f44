/**
 * Which backups of a cluster are kept, and why. Only verified backups count: what was never verified, or is incomplete, is judged beside
 * them and never pushes one of them out. All periods are UTC. Nothing here removes anything; `domain/prune.ts` says what may go when.
 */
import { z } from 'zod';
import { before, durationText, toDuration } from './duration';

const many = z.int().min(1).max(100_000);

/** How many to keep of each kind; a backup is kept when any rule holds it. */
export const keepSchema = z
  .strictObject({
    /** The newest ones, whenever they were made. */
    last: many.optional(),
    /** The newest of each of the last so many hours (days, ISO weeks, months, years) that have one. */
    hourly: many.optional(),
    daily: many.optional(),
    weekly: many.optional(),
    monthly: many.optional(),
    yearly: many.optional(),
    /** All that are at most this much older than the newest verified one. */
    within: durationText.optional(),
  })
  .refine((keep) => Object.values(keep).some((value) => value !== undefined), 'give at least one of last, hourly, daily, weekly, monthly, yearly, within');
export type Keep = z.infer<typeof keepSchema>;

/** What retention must know about one sealed backup. */
export interface BackupFact {
  id: string;
  /** ISO 8601: the point in time that it can bring back. */
  startedAt: string;
  status: 'complete' | 'incomplete';
  /** Its verdicts come to good (`standingOf`). */
  verified: boolean;
  /** Its newest word is a bad verdict. */
  bad: boolean;
  drilled: boolean;
  /** Someone asked to forget it; `approved` when that went through the gate for the last verified one. */
  forgotten?: { by: string; approved: boolean };
}

export interface Decision {
  id: string;
  keep: boolean;
  /** One sentence for people. */
  why: string;
}

/** Clocks that differ by less than this are taken for the same. */
export const CLOCK_TOLERANCE_MS = 5 * 60 * 1000;

/** As the doors take it. */
const LONGEST_NAME = 200;

interface Rule {
  name: string;
  count: number;
  /** Two backups with the same key share a place. */
  slot: (backup: BackupFact) => string;
  /** `of the day 2026-11-23` */
  words: (slot: string) => string;
}

/**
 * One decision for each backup, newest first. Without `keep` only forgotten ones are given up.
 * `now` is the vault's own time: backups from the future are kept, and count for nothing.
 */
export function decideRetention(backups: readonly BackupFact[], keep: Keep | undefined, now: Date): Decision[] {
  // Written times may have parts of a second or none; from here on they have one form and can be compared.
  const newestFirst = backups.map((backup) => ({ ...backup, startedAt: new Date(backup.startedAt).toISOString() })).sort((a, b) => compare(b.startedAt, a.startedAt) || compare(b.id, a.id));
  const latestTime = new Date(now.getTime() + CLOCK_TOLERANCE_MS).toISOString();
  const reasons = new Map<string, string[]>();
  const hold = (id: string, why: string): void => void reasons.set(id, [...(reasons.get(id) ?? []), why]);

  const judged = newestFirst.filter((backup) => {
    if (backup.forgotten) return false;
    if (backup.startedAt > latestTime) hold(backup.id, `it was begun in the future (${backup.startedAt}), so no rule is applied to it`);
    return backup.startedAt <= latestTime;
  });
  const verified = judged.filter(isVerified);
  const newestVerified = verified.find(isComplete) ?? verified[0];

  if (keep === undefined) {
    for (const { id } of judged) hold(id, 'no `keep` is configured');
  } else if (newestVerified === undefined) {
    for (const { id } of judged) hold(id, 'no backup of this cluster is verified, so none is given up');
  } else {
    holdProtected(judged, newestVerified, hold);
    for (const rule of rulesOf(keep)) applyRule(rule, judged, hold);
    if (keep.within !== undefined) holdWithin(keep.within, judged, newestVerified, now, hold);
  }
  holdLastForgotten(newestFirst, newestVerified, hold);
  return newestFirst.map((backup) => {
    const why = reasons.get(backup.id);
    return why ? { id: backup.id, keep: true, why: `Kept: ${why.join('; ')}.` } : { id: backup.id, keep: false, why: `Given up: ${whyNot(backup, newestVerified)}.` };
  });
}

function rulesOf(keep: Keep): Rule[] {
  const periods = [
    { name: 'hourly', unit: 'hour', slot: (time: string) => `${time.slice(0, 13)}:00Z` },
    { name: 'daily', unit: 'day', slot: (time: string) => time.slice(0, 10) },
    { name: 'weekly', unit: 'week', slot: (time: string) => isoWeek(new Date(time)) },
    { name: 'monthly', unit: 'month', slot: (time: string) => time.slice(0, 7) },
    { name: 'yearly', unit: 'year', slot: (time: string) => time.slice(0, 4) },
  ] as const;
  const rules: Rule[] = periods.flatMap(({ name, unit, slot }) => {
    const count = keep[name];
    return count === undefined ? [] : [{ name, count, slot: ({ startedAt }) => slot(startedAt), words: (key) => `of the ${unit} ${key}` }];
  });
  if (keep.last !== undefined) rules.unshift({ name: 'last', count: keep.last, slot: ({ id }) => id, words: () => '' });
  return rules;
}

function applyRule(rule: Rule, newestFirst: BackupFact[], hold: (id: string, why: string) => void): void {
  const verified = newestFirst.filter(isVerified);
  // Two counts: an incomplete backup never takes a complete one's place, and a registry with one broken image must not fill the vault.
  for (const [kind, of] of [['verified', verified.filter(isComplete)], ['verified but incomplete', verified.filter((backup) => !isComplete(backup))]] as const) {
    newestOfSlots(rule, of).slice(0, rule.count).forEach(({ backup, slot }, at) => {
      hold(backup.id, `${rule.name} ${at + 1} of ${rule.count}${rule.name === 'last' ? `, ${kind}` : `, newest ${kind} one ${rule.words(slot)}`}`);
    });
  }
  const taken = newestOfSlots(rule, verified);
  const oldest = taken.length < rule.count ? undefined : taken[rule.count - 1]!.backup.startedAt;
  const slots = new Set(taken.map(({ slot }) => slot));
  const others = newestFirst.filter((backup) => !isVerified(backup) && !slots.has(rule.slot(backup)) && (oldest === undefined || backup.startedAt >= oldest));
  // Within a slot, one of which nothing bad is known goes before an incomplete one, and that before a damaged one.
  others.sort((a, b) => trouble(a) - trouble(b));
  for (const { backup, slot } of newestOfSlots(rule, others)) {
    hold(backup.id, rule.name === 'last' ? `${stateOf(backup)}, newer than what \`last\` counts` : `${stateOf(backup)}, stands in ${rule.words(slot)} that has no verified one (${rule.name}, not counted)`);
  }
}

/** The first of each slot, in the order given. */
function newestOfSlots(rule: Rule, backups: BackupFact[]): { backup: BackupFact; slot: string }[] {
  const found = new Map<string, BackupFact>();
  for (const backup of backups) {
    const slot = rule.slot(backup);
    if (!found.has(slot)) found.set(slot, backup);
  }
  return [...found].map(([slot, backup]) => ({ slot, backup }));
}

/** What no rule may take away. */
function holdProtected(judged: BackupFact[], newestVerified: BackupFact, hold: (id: string, why: string) => void): void {
  hold(newestVerified.id, 'the newest verified one');
  const drilled = judged.filter((backup) => backup.drilled);
  const best = drilled.find((backup) => isVerified(backup) && isComplete(backup));
  // A newer drill of a lesser backup must not take the protection from a complete one.
  for (const backup of new Set([best, drilled.find(isVerified) ?? drilled[0]])) if (backup) hold(backup.id, 'the newest that a drill restored');
  for (const backup of judged) {
    if (backup.startedAt > newestVerified.startedAt && !isVerified(backup)) hold(backup.id, `${stateOf(backup)}, and newer than the newest verified one`);
  }
}

function holdWithin(within: string, judged: BackupFact[], newestVerified: BackupFact, now: Date, hold: (id: string, why: string) => void): void {
  // Counted from the newest verified one: when backups stop for a month, the old ones must not go for their age.
  const anchor = new Date(Math.min(now.getTime(), Date.parse(newestVerified.startedAt)));
  const since = before(anchor, toDuration(within)).toISOString();
  for (const backup of judged) if (backup.startedAt >= since) hold(backup.id, `within ${within} of the newest verified one`);
}

/** A backup that was forgotten while another verified one stood, and is the last by now, has not been through the gate. */
function holdLastForgotten(newestFirst: BackupFact[], newestVerified: BackupFact | undefined, hold: (id: string, why: string) => void): void {
  if (newestVerified !== undefined && isComplete(newestVerified)) return;
  const open = newestFirst.filter((backup) => backup.forgotten && !backup.forgotten.approved && isVerified(backup));
  // Beside an incomplete one, only a complete one is still the last of its kind.
  const last = open.find(isComplete) ?? (newestVerified ? undefined : open[0]);
  if (last) hold(last.id, `${whoOf(last.forgotten!)} asked to forget it, but it is the last ${isComplete(last) ? 'complete ' : ''}verified one by now, which needs the gate of \`drydock forget\``);
}

function whyNot(backup: BackupFact, newestVerified: BackupFact | undefined): string {
  if (backup.forgotten) return `${whoOf(backup.forgotten)} asked to forget it`;
  const state = isVerified(backup) ? 'no rule of `keep` holds it' : `${stateOf(backup)}, and no rule of \`keep\` needs it as a stand-in`;
  return newestVerified ? `${state}; the newest verified one is ${newestVerified.id}` : state;
}

/** A tombstone may be forged, and its words then be as long as anybody likes. */
function whoOf({ by }: NonNullable<BackupFact['forgotten']>): string {
  return by.slice(0, LONGEST_NAME);
}

function isVerified(backup: BackupFact): boolean {
  return backup.verified && !backup.bad;
}

function isComplete(backup: BackupFact): boolean {
  return backup.status === 'complete';
}

function trouble(backup: BackupFact): number {
  return (backup.bad ? 2 : 0) + (isComplete(backup) ? 0 : 1);
}

function stateOf(backup: BackupFact): string {
  if (backup.bad) return 'a verification found it damaged';
  return isComplete(backup) ? 'not verified' : 'not verified and incomplete';
}

/** `2026-W48`, by ISO 8601: weeks begin on Monday and belong to the year of their Thursday. */
function isoWeek(time: Date): string {
  const thursday = new Date(Date.UTC(time.getUTCFullYear(), time.getUTCMonth(), time.getUTCDate() + 4 - (time.getUTCDay() || 7)));
  const week = Math.ceil(((thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / 86_400_000 + 1) / 7);
  return `${thursday.getUTCFullYear()}-W${String(week).padStart(2, '0')}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
