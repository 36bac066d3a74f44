import assert from 'node:assert/strict';
import type { Gate } from '../../domain/contract';
import { APPROVE_OR_REJECT, examine, type Vote } from '../../domain/gates';

const GATE: Gate = { name: 'plan', planDigest: 'd1', question: '?', details: '', openedAt: '2026-01-01T00:00:00.000Z', approvers: ['operator'], choices: APPROVE_OR_REJECT };
const VOTE = { gate: 'plan', decision: 'approve', by: 'operator', reason: '', planDigest: 'd1' } as const;
const COUNTED: Vote = { ...VOTE, at: '2026-01-01T00:00:00.000Z', counted: true };

function sentence(input: unknown, gate: Gate | null = GATE, votes: Vote[] = []): string {
  const ballot = examine(input, gate, votes);
  assert.ok(!ballot.ok);
  return ballot.sentence;
}

describe('votes at a gate', () => {
  it('count when gate, digest and name are right', () => {
    const ballot = examine({ ...VOTE, by: ' operator ' }, GATE, []);
    assert.ok(ballot.ok && !ballot.repeated && ballot.vote.by === 'operator');
  });
  it('are refused with the field when the shape is wrong', () => assert.match(sentence({ ...VOTE, decision: 'yes' }), /decision/));
  it('are refused when they are no object', () => assert.match(sentence('approve'), /not understood/));
  it('are refused when no gate is open', () => assert.match(sentence(VOTE, null), /No gate is open/));
  it('are success again when the same vote has counted, even after the gate closed', () => {
    const ballot = examine(VOTE, null, [COUNTED]);
    assert.ok(ballot.ok && ballot.repeated);
  });
  it('are not taken for a repetition when the first one did not count', () => assert.match(sentence(VOTE, null, [{ ...COUNTED, counted: false }]), /No gate is open/));
  it('count anew at a gate that was opened again, even for the same plan', () => {
    const again = { ...GATE, openedAt: '2026-01-02T00:00:00.000Z' };
    const ballot = examine(VOTE, again, [COUNTED]);
    assert.ok(ballot.ok && !ballot.repeated);
    assert.match(sentence(VOTE, { ...again, planDigest: 'd2' }, [COUNTED]), /another plan/);
  });
  it('are refused for an older plan', () => assert.match(sentence({ ...VOTE, planDigest: 'd0' }), /another plan/));
});
