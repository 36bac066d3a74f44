import assert from 'node:assert/strict';
import { nearest } from '../../domain/nearest';

describe('the name that was probably meant', () => {
  it('is one that a slip of the finger leads to, not just any of about the same length', () => {
    assert.equal(nearest('mian', ['offsite', 'main']), 'main');
    assert.equal(nearest('lba', ['lab']), 'lab');
    assert.equal(nearest('podruction', ['production', 'staging']), 'production');
    assert.equal(nearest('nope', ['one', 'lab']), undefined);
    assert.equal(nearest('drill', ['prod', 'dev']), undefined);
  });
});
