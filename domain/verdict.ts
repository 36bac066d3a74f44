/** `verdicts/<backup id>/<time>.json`: what one verification of a backup found. In clear: digests and counts only, no repository name. */
import { z } from 'zod';
import { backupIdSchema } from './contract';
import { plainText } from './plain-text';
import { verifyLevel } from './verify-level';

export { verifyLevel, type VerifyLevel } from './verify-level';

const count = z.int().min(0);
const time = z.iso.datetime({ offset: false });

export const verdictSchema = z.strictObject({
  format: z.literal(1),
  backupId: backupIdSchema,
  level: verifyLevel,
  /** Part `n` of `t`, from 1: all is read once in `t` runs. Absent: all at once. */
  part: z.strictObject({ n: z.int().min(1), t: z.int().min(1) }).refine(({ n, t }) => n <= t, 'n is at most t').optional(),
  startedAt: time,
  /** When it ended; the verdict's age counts from here. */
  at: time,
  /** Who asked. */
  by: plainText,
  tool: z.strictObject({ name: z.literal('drydock'), version: z.string() }),
  /** Whether content was decrypted, or ciphertext alone compared with its recorded digests. */
  withKeys: z.boolean(),
  result: z.enum(['good', 'bad']),
  checked: z.strictObject({ segments: count, blobs: count, bytes: count, tags: count }),
  /** How many; their names stand in the encrypted `<time>.findings.jsonl.gz.gpg`, only where there are any. */
  findings: count,
  /** True when it was a drill: the backup was restored into a scratch cluster. */
  drill: z.boolean().optional(),
});
export type Verdict = z.infer<typeof verdictSchema>;

/** What the verdicts on one backup come to. */
export interface Standing {
  /** The newest good verdict of the highest level. Of a level that was read in parts: once all parts were, with the time of the oldest. */
  best?: Verdict;
  /** The newest bad verdict that no later good one of the same or a higher level has answered. */
  bad?: Verdict;
  /** The newest good drill. */
  drill?: Verdict;
  /** A good verdict and no unanswered bad one. */
  verified: boolean;
}

/** Weighs all verdicts on one backup, in any order. */
export function standingOf(verdicts: readonly Verdict[]): Standing {
  const newestFirst = [...verdicts].sort((a, b) => (a.at < b.at ? 1 : -1));
  const good = newestFirst.filter(({ result }) => result === 'good');
  // Sorting is stable, so within a level the newest stays first.
  const best = asWhole(good).sort((a, b) => (a.level < b.level ? 1 : a.level > b.level ? -1 : 0))[0];
  const [bad] = unanswered(newestFirst);
  const drill = good.find((verdict) => verdict.drill === true);
  return { ...(best ? { best } : {}), ...(bad ? { bad } : {}), ...(drill ? { drill } : {}), verified: best !== undefined && bad === undefined };
}

/** What good verdicts come to: one on a part has proven what L2 does, and its own level only together with all the other parts. */
function asWhole(newestFirst: readonly Verdict[]): Verdict[] {
  const read = new Map<string, Map<number, string>>();
  for (const { level, part, at } of newestFirst) {
    if (!part) continue;
    for (const each of level === 'L4' ? ['L3', 'L4'] : [level]) {
      const parts = read.get(`${each} ${part.t}`) ?? new Map<number, string>();
      if (!parts.has(part.n)) parts.set(part.n, at);
      read.set(`${each} ${part.t}`, parts);
    }
  }
  const since = new Map([...read].flatMap(([key, parts]) => (parts.size < Number(key.slice(3)) ? [] : [[key, [...parts.values()].sort()[0]!] as const])));
  return newestFirst.map((verdict) => {
    if (!verdict.part || verdict.level < 'L3') return verdict;
    const at = since.get(`${verdict.level} ${verdict.part.t}`);
    return at === undefined ? { ...verdict, level: 'L2' } : { ...verdict, at };
  });
}

/** The bad verdicts on one backup that no later good one has answered, in the order that was given. */
export function unanswered(verdicts: readonly Verdict[]): Verdict[] {
  const good = verdicts.filter(({ result }) => result === 'good');
  return verdicts.filter((verdict) => verdict.result === 'bad' && !good.some((later) => answers(later, verdict)));
}

/** Whether a later good verdict looked again at all that the bad one had looked at. */
function answers(good: Verdict, bad: Verdict): boolean {
  if (good.at <= bad.at || good.level < bad.level) return false;
  return good.part === undefined || (bad.part !== undefined && good.part.n === bad.part.n && good.part.t === bad.part.t);
}
