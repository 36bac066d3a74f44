/**
 * Gaps that people have accepted (`acceptGaps` in drydock.yaml): content that a tag lacks in the registry itself, and that nobody will bring back. Each is bound to a repository, a
 * tag and the very digests, and ends; whatever else the tag lacks is a gap as ever. Pure.
 */
import { z } from 'zod';
import { readDigest, showDigest } from './digest';

const HOURS_24 = 24 * 60 * 60 * 1000;
/** So long before it ends it is told. */
const TOLD_BEFORE_MS = 14 * HOURS_24;
const onOneLine = z.string().trim().min(1).max(1000).regex(/^[^\p{Cc}]*$/u, 'expected text on one line');

export const acceptedGapSchema = z.strictObject({
  /** `<namespace>/<name>`; no patterns. */
  repository: z.string().regex(/^[^\s:@*?[\]{}]+\/[^\s:@*?[\]{}]+$/, 'expected namespace/name (no patterns: a gap is accepted for one tag)'),
  tag: z.string().regex(/^\w[\w.-]{0,127}$/, 'expected one tag (no patterns)'),
  /** What is missing, as a backup names it: `sha256:...`. */
  digests: z.array(z.string().refine((text) => readDigest(text) !== null, 'expected a digest, as the backup names it: sha256: and 64 hexadecimal digits')).min(1),
  by: onOneLine,
  why: onOneLine,
  /** The last day, in UTC. */
  until: z.iso.date('expected a day as YYYY-MM-DD'),
});
export type AcceptedGap = z.infer<typeof acceptedGapSchema>;

/** One that a backup made use of. */
export interface UsedGap {
  /** `repository:tag`. */
  image: string;
  /** With their algorithm. */
  digests: string[];
  by: string;
  why: string;
  until: string;
}

interface Entry {
  gap: AcceptedGap;
  image: string;
  isOver: boolean;
  open: Set<string>;
  missing: Set<string>;
}

export class AcceptedGaps {
  private readonly entries: Entry[];
  private readonly byImage = new Map<string, Entry[]>();

  /** `now`: ISO 8601. */
  constructor(
    gaps: readonly AcceptedGap[],
    private readonly now: string,
  ) {
    this.entries = gaps.map((gap) => ({ gap, image: `${gap.repository}:${gap.tag}`, isOver: endOf(gap) <= Date.parse(now), open: new Set(gap.digests), missing: new Set() }));
    for (const entry of this.entries) this.byImage.set(entry.image, [...(this.byImage.get(entry.image) ?? []), entry]);
  }

  /** Whether somebody has accepted that this tag (`repository:tag`) lacks this content (digest in our form, see digest.ts). To be asked of all that is missing. */
  accepts(image: string, digest: string): boolean {
    const shown = showDigest(digest);
    const naming = (this.byImage.get(image) ?? []).filter(({ open }) => open.has(shown));
    for (const { missing } of naming) missing.add(shown);
    return naming.some(({ isOver }) => !isOver);
  }

  /** After all tags: what was made use of. */
  used(): UsedGap[] {
    return this.entries.flatMap(({ gap: { by, why, until }, image, isOver, missing }) => (isOver || missing.size === 0 ? [] : [{ image, digests: [...missing], by, why, until }]));
  }

  /** After all tags: what is over, what will be, and what is not needed any more. */
  warnings(): string[] {
    return this.entries.flatMap((entry) => this.warningsOf(entry));
  }

  private warningsOf({ gap, image, isOver, missing }: Entry): string[] {
    const { by, until, digests } = gap;
    const idle = digests.filter((digest) => !missing.has(digest));
    const unneeded = idle.length === 0 ? [] : [`${image}: ${idle.join(', ')} ${idle.length === 1 ? 'is' : 'are'} not missing any more, although acceptGaps names ${idle.length === 1 ? 'it' : 'them'}.`];
    if (missing.size === 0) return [`${image}: nothing that acceptGaps names for it is missing any more; take the entry out.`];
    if (isOver) return [`${image}: what ${by} accepted to be missing until ${until} is a gap again, because that day is over.`, ...unneeded];
    const endsSoon = endOf(gap) - Date.parse(this.now) <= TOLD_BEFORE_MS;
    return [...(endsSoon ? [`${image}: what ${by} accepted to be missing will be a gap again after ${until}.`] : []), ...unneeded];
  }
}

/** A sentence for people. */
export function tellAccepted({ image, digests, by, why, until }: Omit<UsedGap, 'until'> & { until?: string }): string {
  return `${image} lacks ${digests.length === 1 ? digests[0] : `${digests.length} parts, the first ${digests[0]}`}: accepted by ${by}${until === undefined ? '' : ` until ${until}`} (${why})`;
}

function endOf({ until }: AcceptedGap): number {
  return Date.parse(`${until}T00:00:00Z`) + HOURS_24;
}
