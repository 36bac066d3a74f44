import assert from 'node:assert/strict';
import { quorumOf, summaryOf, verdictOf } from '../../domain/diagnosis';
import type { ReplicaState } from '../../domain/plan';

type Kind = 'healthy' | 'sick' | 'gone' | 'unreachable';

/** Replicas `00..1`, `00..2`, ... on node-1, node-2, ... */
function replicas(...kinds: Kind[]): ReplicaState[] {
  return kinds.map((kind, at) => ({
    id: String(at + 1).padStart(12, '0'),
    node: `node-${at + 1}`,
    nodeReachable: kind !== 'unreachable',
    present: kind === 'healthy' || kind === 'sick',
    running: kind === 'healthy' || kind === 'sick',
    healthy: kind === 'healthy',
    note: '',
  }));
}

describe('the diagnosis', () => {
  it('counts a quorum as more than half', () => {
    assert.deepEqual([1, 2, 3, 4, 5, 7].map(quorumOf), [1, 2, 2, 3, 3, 4]);
  });

  it('calls a cluster healthy only when every replica is', () => {
    assert.equal(verdictOf(replicas('healthy', 'healthy', 'healthy')), 'healthy');
    assert.equal(verdictOf(replicas('healthy', 'healthy', 'sick')), 'minorityLost');
    assert.equal(verdictOf(replicas('healthy', 'healthy', 'unreachable')), 'minorityLost');
  });

  it('tells a lost quorum from a lost cluster by whether something can still be reached', () => {
    assert.equal(verdictOf(replicas('healthy', 'unreachable', 'gone')), 'quorumLost');
    assert.equal(verdictOf(replicas('sick', 'unreachable', 'unreachable')), 'quorumLost');
    assert.equal(verdictOf(replicas('gone', 'unreachable', 'unreachable')), 'allLost');
    assert.equal(verdictOf(replicas('sick')), 'quorumLost');
    assert.equal(verdictOf([]), 'allLost');
  });

  it('does not take half of an even number for a quorum', () => {
    assert.equal(verdictOf(replicas('healthy', 'sick')), 'quorumLost');
  });

  it('says in one sentence how many are healthy, which are not, and what it means', () => {
    const text = summaryOf(replicas('healthy', 'sick', 'unreachable'), ['node-3']);
    assert.match(text, /^1 of 3 replicas is healthy \(quorum is 2\)/);
    assert.match(text, /not healthy: 000000000002 on node-2, 000000000003 on node-3; nodes that do not answer: node-3/);
    assert.match(summaryOf(replicas('healthy', 'healthy', 'sick'), []), /remove the lost replicas and join new ones/);
  });
});
