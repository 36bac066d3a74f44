import assert from 'node:assert/strict';
import { firstOf } from '../../domain/shown';

describe('sentences of a report', () => {
  it('are shown up to a number, and the rest is counted', () => {
    assert.deepEqual(firstOf(['a', 'b'], 2), ['a', 'b']);
    assert.deepEqual(firstOf(['a', 'b', 'c', 'd'], 2), ['a', 'b', 'And 2 more like these.']);
  });
});
