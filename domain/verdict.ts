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
  /**
   * The newest good verdict of those that looked deepest, with the level that it comes to: without keys, L1 and L2 look at no more than L0. Of a level
   * that was read in parts: once all parts were, with the time of the oldest.
   */
  best?: Verdict;
  /** The newest bad verdict that no later good looks have answered. */
  bad?: Verdict;
  /** The newest good drill. */
  drill?: Verdict;
  /** A good verdict and no unanswered bad one. */
  verified: boolean;
}

/** Weighs all verdicts on one backup, in any order. */
export function standingOf(verdicts: readonly Verdict[]): Standing {
  const newestFirst = [...verdicts].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  const good = newestFirst.filter(({ result }) => result === 'good');
  // Sorting is stable, so of those that looked as deep the newest stays first.
  const best = asWhole(good).sort((a, b) => depth(b) - depth(a))[0];
  const [bad] = unanswered(newestFirst);
  const drill = good.find((verdict) => verdict.drill === true);
  return { ...(best ? { best } : {}), ...(bad ? { bad } : {}), ...(drill ? { drill } : {}), verified: best !== undefined && bad === undefined };
}

/** Tags that were followed say more than ciphertext that is as it was sealed; that says more than files that are there. */
function depth({ level, withKeys }: Verdict): number {
  const order = withKeys ? { L0: 1, L1: 2, L2: 4, L3: 5, L4: 6 } : { L0: 0, L1: 0, L2: 0, L3: 3, L4: 3 };
  return order[level];
}

/** What good verdicts come to: one on a part has proven what is below its level, and that level itself only together with all the other parts. */
function asWhole(newestFirst: readonly Verdict[]): Verdict[] {
  const parts = newestFirst.filter(({ level, part }) => part !== undefined && level >= 'L3');
  return newestFirst.map((verdict) => {
    const { level, withKeys, part } = verdict;
    if (!withKeys && level < 'L3') return level === 'L0' ? verdict : { ...verdict, level: 'L0' };
    if (!part || level < 'L3') return verdict;
    const alike = parts.filter((other) => other.part?.t === part.t && other.level >= level && (other.withKeys || !withKeys));
    const at = sinceAllParts(alike, part.t);
    return at === undefined ? { ...verdict, level: withKeys ? 'L2' : 'L0' } : { ...verdict, at };
  });
}

/** When the oldest of the newest looks at each part ended; undefined while a part is missing. */
function sinceAllParts(newestFirst: readonly Verdict[], t: number): string | undefined {
  const ends = new Map<number, string>();
  for (const { part, at } of newestFirst) if (part && !ends.has(part.n)) ends.set(part.n, at);
  return ends.size < t ? undefined : [...ends.values()].reduce((oldest, at) => (Date.parse(at) < Date.parse(oldest) ? at : oldest));
}

/** The bad verdicts on one backup that no later good looks have answered, in the order that was given. */
export function unanswered(verdicts: readonly Verdict[]): Verdict[] {
  const good = verdicts.filter(({ result }) => result === 'good');
  return verdicts.filter((verdict) => verdict.result === 'bad' && !isAnswered(verdict, good));
}

/**
 * Whether good looks which began after the bad one had ended looked again, together, at all that it had looked at. One that began before may have read
 * what was damaged while it was still whole.
 */
function isAnswered(bad: Verdict, good: readonly Verdict[]): boolean {
  const later = good.filter(({ startedAt }) => Date.parse(startedAt) >= Date.parse(bad.at));
  return later.length > 0 && (Object.keys(LOOKS) as Matter[]).every((matter) => {
    if (!LOOKS[matter](bad)) return true;
    const again = later.filter((verdict) => LOOKS[matter](verdict));
    return READ_IN_PARTS.has(matter) ? covers(again, bad.part) : again.length > 0;
  });
}

/** Whether these looks have read all segments, or those of one part. */
function covers(looks: readonly Verdict[], wanted: Verdict['part']): boolean {
  if (looks.some(({ part }) => part === undefined || (part.n === wanted?.n && part.t === wanted.t))) return true;
  return looks.some(({ part }) => part !== undefined && new Set(looks.flatMap((other) => (other.part?.t === part.t ? [other.part.n] : []))).size === part.t);
}

/** What a verification may look at beyond the files that each one looks at; and which verdicts tell of it. */
type Matter = 'lists' | 'links' | 'tags' | 'ciphertext' | 'content' | 'rows';
const LOOKS: Record<Matter, (verdict: Verdict) => boolean> = {
  lists: ({ withKeys }) => withKeys,
  links: ({ level, withKeys }) => withKeys && level >= 'L1',
  tags: ({ level, withKeys }) => withKeys && level >= 'L2',
  ciphertext: ({ level }) => level >= 'L3',
  content: ({ level, withKeys }) => withKeys && level >= 'L3',
  rows: ({ level, withKeys }) => withKeys && level >= 'L4',
};
const READ_IN_PARTS: ReadonlySet<Matter> = new Set(['ciphertext', 'content']);
