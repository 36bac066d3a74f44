/** Giving up one backup because a person says so: input, plan, result, and the rule for the gate. Pure. */
import { z } from 'zod';
import { safeName } from './config';
import { backupIdSchema } from './contract';
import type { BackupFact } from './retention';
import { personSaid, reasonSaid } from './said';

/** Input of the workflow `forget`. */
export const forgetInput = z.strictObject({
  cluster: safeName,
  backup: backupIdSchema,
  /** Only in this vault. Default: the cluster's own and its copies. */
  vault: safeName.optional(),
  /** Takes it back, while the hold lasts. */
  undo: z.boolean().optional(),
  startedBy: personSaid.optional(),
  reason: reasonSaid.optional(),
});
export type ForgetInput = z.infer<typeof forgetInput>;

export interface ForgetPlan {
  backupId: string;
  /** One sentence why people have to agree; null when they need not. */
  gate: string | null;
  /** Markdown: what is lost, what remains. */
  details: string;
  /** SHA-256 of all that an approval is for. */
  digest: string;
}

export interface ForgottenIn {
  vault: string;
  /** `absent`: that vault never had it, or has it no more. `failed`: a note says why. */
  state: 'marked' | 'already' | 'lifted' | 'absent' | 'failed';
  /** When a prune may remove it, ISO 8601; null unless it is marked. */
  removableFrom: string | null;
  /** One sentence, where more is to be said. */
  note?: string;
}

/** Result of `forget`: also what `drydock forget --json` prints (plus workflowId). */
export interface ForgetResult {
  cluster: string;
  backupId: string;
  undo: boolean;
  /** Who approved at the gate; null where there was none. */
  approvedBy: string | null;
  vaults: ForgottenIn[];
  notes: string[];
}

/**
 * Why this backup must not go without people: it is the last verified one that stays, the newest that a drill restored, or nobody knows what it holds.
 * `marked`: ids that are given up already, so they do not stay.
 */
export function gateReason(id: string, facts: readonly BackupFact[], marked: ReadonlySet<string>): string | null {
  const fact = facts.find((each) => each.id === id);
  if (!fact) return 'its manifest cannot be read, so nobody knows what it holds';
  const others = facts.filter((each) => each.id !== id && !each.forgotten && !marked.has(each.id));
  const isVerified = (each: BackupFact): boolean => each.verified && !each.bad;
  if (!others.some(isVerified)) return isVerified(fact) ? 'it is the last verified backup of this cluster' : others.length === 0 ? 'it is the last backup of this cluster' : null;
  if (isVerified(fact) && fact.status === 'complete' && !others.some((each) => isVerified(each) && each.status === 'complete')) return 'it is the last verified backup of this cluster that is complete';
  const isNewestDrilled = fact.drilled && !others.some((each) => each.drilled && each.startedAt > fact.startedAt);
  return isNewestDrilled ? 'it is the newest backup that a drill has restored' : null;
}
