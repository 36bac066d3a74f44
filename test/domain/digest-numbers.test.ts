import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { DigestNumbers } from '../../domain/digest-numbers';

describe('numbers of digests', () => {
  const digest = (at: number): string => createHash('sha256').update(String(at)).digest('hex');

  it('are given in order, once to each digest, and found again among many', () => {
    const numbers = new DigestNumbers();
    for (let at = 0; at < 20_000; at += 1) assert.equal(numbers.add(digest(at)), at);
    for (let at = 0; at < 20_000; at += 1) assert.equal(numbers.add(digest(at)), at);
    assert.equal(numbers.count, 20_000);
    assert.equal(numbers.find(digest(777)), 777);
    assert.equal(numbers.find(digest(20_000)), undefined);
  });

  it('tell digests apart that begin alike', () => {
    const numbers = new DigestNumbers();
    const alike = Array.from({ length: 50 }, (_, at) => 'ab'.repeat(28) + at.toString(16).padStart(8, '0'));
    assert.deepEqual(alike.map((each) => numbers.add(each)), alike.map((_, at) => at));
    assert.deepEqual(alike.map((each) => numbers.find(each)), alike.map((_, at) => at));
  });
});
