/** Copies of backups in further vaults: what is copied, in which order, and what comes of it. Pure. */
import { z } from 'zod';
import { safeName } from './config';
import { backupIdSchema } from './contract';
import type { VaultPicture } from './prune';
import { decideRetention, type BackupFact, type Keep } from './retention';
import { personSaid, reasonSaid } from './said';

/** Input of the workflow `copy`. */
export const copyInput = z.strictObject({
  cluster: safeName,
  /** Default: the cluster's own vault. */
  from: safeName.optional(),
  /** Default: each vault of `copies`. */
  to: safeName.optional(),
  /** Only this one. */
  backup: backupIdSchema.optional(),
  startedBy: personSaid.optional(),
  reason: reasonSaid.optional(),
});
export type CopyInput = z.infer<typeof copyInput>;

/** Something that keeps a backup from being whole in one of the two vaults. */
export interface CopyFinding {
  backupId: string | null;
  segment: string | null;
  /** Name in the vault. */
  file: string;
  /** The vault in which it is damaged or gone, as `drydock.yaml` names it. */
  vault: string;
  what: string;
  /** A vault that holds it as it was sealed; null where none is known to. */
  intactIn: string | null;
}

/** What was done for one vault that holds copies. */
export interface CopiedTo {
  vault: string;
  /** Sealed there by this run, in this order. */
  copied: string[];
  /** Sealed there before. */
  already: number;
  /** At most 200. */
  leftOut: { id: string; why: string }[];
  objects: number;
  /** Moved now. */
  bytes: number;
  findingCount: number;
  /** The first 100. */
  findings: CopyFinding[];
  notes: string[];
}

/** Result of `copy`: also what `drydock copy --json` prints (plus workflowId). */
export interface CopyResult {
  cluster: string;
  from: string;
  copies: CopiedTo[];
}

export interface CopyPlan {
  /** Newest complete one first; incomplete ones after all complete ones. */
  wanted: string[];
  already: string[];
  /** Given up by a person in the copy, where it may be long gone. */
  forgotten: string[];
  leftOut: { id: string; why: string }[];
}

export interface Side extends Pick<VaultPicture, 'unreadable' | 'marks' | 'now'> {
  facts: readonly BackupFact[];
}

export interface CopySettings {
  keep: Keep | undefined;
  /** Asks for one backup. */
  only?: string;
  /** What a person gave up in the copy. */
  forgotten: ReadonlySet<string>;
}

/**
 * Which backups the copy lacks. What either vault gives up is left out, since it would only be removed again. `only` asks for one backup, which no
 * rule of `keep` holds back then; what is marked for removal, or forgotten in the copy, is left out even so.
 */
export function planCopy(source: Side, target: Side, { keep, only, forgotten }: CopySettings): CopyPlan {
  const there = new Set([...target.facts.map(({ id }) => id), ...target.unreadable]);
  const marked = new Set(source.marks.map(({ id }) => id));
  const plan: CopyPlan = { wanted: [], already: [], forgotten: [], leftOut: source.unreadable.filter((id) => !there.has(id)).map((id) => ({ id, why: 'its manifest cannot be read' })) };
  const open = source.facts.filter(({ id }) => (only === undefined || id === only) && !there.has(id));
  plan.already = source.facts.map(({ id }) => id).filter((id) => there.has(id));
  const givenUp = only === undefined ? new Set(decideRetention(source.facts, keep, source.now).filter((each) => !each.keep).map(({ id }) => id)) : new Set<string>();
  const candidates = open.filter(({ id }) => !marked.has(id) && !givenUp.has(id) && !forgotten.has(id));
  plan.forgotten = open.map(({ id }) => id).filter((id) => !marked.has(id) && !givenUp.has(id) && forgotten.has(id));
  for (const { id } of open) if (marked.has(id) || givenUp.has(id)) plan.leftOut.push({ id, why: 'it is given up' });
  // As the copy will see them: what arrives whole is verified there, and a drill in another vault is none of its own.
  const after = [...target.facts, ...candidates.map((fact) => ({ ...fact, verified: !fact.bad, drilled: false }))];
  const kept = new Set(decideRetention(after, keep, target.now).filter((each) => each.keep).map(({ id }) => id));
  for (const fact of [...candidates].sort(inOrder)) {
    if (only !== undefined || kept.has(fact.id)) plan.wanted.push(fact.id);
    else plan.leftOut.push({ id: fact.id, why: 'retention in the copy would give it up at once' });
  }
  return plan;
}

function inOrder(a: BackupFact, b: BackupFact): number {
  if (a.status !== b.status) return a.status === 'complete' ? -1 : 1;
  return Date.parse(b.startedAt) - Date.parse(a.startedAt);
}
