/** Who may decide what at a gate: pure rules, the same for the update, the signal and the command. */
import { decideInput, type Choice, type DecideInput, type Decision, type Gate } from './contract';
import { mistakesInWords } from './mistakes';

export interface Vote {
  gate: string;
  decision: Decision;
  by: string;
  reason?: string;
  planDigest: string;
  at: string;
  /** False for a vote that was noted but has no effect. */
  counted: boolean;
  note?: string;
}

/** What most gates ask. */
export const APPROVE_OR_REJECT: Choice[] = [{ decision: 'approve', means: 'go on' }, { decision: 'reject', means: 'end the run; it puts back what it changed' }];

export type Ballot = { ok: true; vote: DecideInput; repeated: boolean } | { ok: false; sentence: string };

/** Looks whether a vote counts now. The same vote again is success, even after its gate has closed. */
export function examine(input: unknown, gate: Gate | null, votes: readonly Vote[]): Ballot {
  const parsed = decideInput.safeParse(input);
  if (!parsed.success) return refuse(`The decision is not understood: ${mistakesInWords(parsed.error, decideInput)}.`);
  const vote = { ...parsed.data, by: parsed.data.by.trim(), reason: parsed.data.reason?.trim() };
  const before = votes.find((v) => v.counted && v.gate === vote.gate && v.by === vote.by && v.decision === vote.decision && v.planDigest === vote.planDigest && !isOlderThan(gate, v));
  if (before) return { ok: true, vote, repeated: true };
  if (vote.by === '') return refuse('Nobody is named: put your name into "by".');
  if (!gate) return refuse(`No gate is open now; "${vote.gate}" cannot be decided.`);
  if (vote.gate !== gate.name) return refuse(`The gate "${vote.gate}" is not open; the run waits at "${gate.name}".`);
  if (!gate.approvers.includes(vote.by)) return refuse(`"${vote.by}" is not an approver of this cluster; approvers are ${gate.approvers.join(', ')}.`);
  if (vote.planDigest !== gate.planDigest) return refuse(`This vote is for another plan (${vote.planDigest.slice(0, 12) || 'no digest'}); the plan shown now is ${gate.planDigest.slice(0, 12)}. Read it, then vote for its digest.`);
  if (!gate.choices.some(({ decision }) => decision === vote.decision)) return refuse(`The gate "${gate.name}" does not take "${vote.decision}"; it takes ${gate.choices.map(({ decision, means }) => `"${decision}" (${means})`).join(' or ')}.`);
  if (vote.decision === 'reject' && !vote.reason) return refuse('A rejection needs a reason: put it into "reason".');
  return { ok: true, vote, repeated: false };
}

/**
 * What a vote for another run of the same workflow is told; null when it is for this one. A reset gives the votes of the run before to the new run once more,
 * and nobody has approved anything there.
 */
export function otherRun({ runId }: DecideInput, thisRun: string): string | null {
  return runId === undefined || runId === thisRun ? null : `This vote was cast in another run (${runId}) of this workflow, which was reset since; decide again.`;
}

/** A gate that was opened again (the plan had changed meanwhile) asks anew: what counted before it opened is no answer to it. */
function isOlderThan(gate: Gate | null, { gate: name, at }: Vote): boolean {
  return gate !== null && gate.name === name && at < gate.openedAt;
}

function refuse(sentence: string): Ballot {
  return { ok: false, sentence };
}
