import assert from 'node:assert/strict';
import { shareOut } from '../../adapters/images/shares';

const MIB = 1024 * 1024;
const blobs = (sizes: number[]): { path: string; size: number }[] => sizes.map((size, n) => ({ path: `b${n}`, size }));

describe('the shares of several streams', () => {
  it('hold every blob once, each share in the order that was given', () => {
    const all = blobs(Array.from({ length: 500 }, (_, n) => (n % 7) * MIB));
    const shares = shareOut(all, 2);
    assert.deepEqual(shares.flat().sort((a, b) => Number(a.path.slice(1)) - Number(b.path.slice(1))), all);
    for (const share of shares) assert.deepEqual(share, [...share].sort((a, b) => Number(a.path.slice(1)) - Number(b.path.slice(1))));
  });

  it('are of a size that keeps no stream waiting for long at the end', () => {
    const shares = shareOut(blobs(Array.from({ length: 200 }, () => MIB)), 2);
    assert.ok(shares.length >= 8, `${shares.length} shares`);
    for (const share of shares) assert.ok(share.length <= 26, `${share.length} MiB`);
  });

  it('give a blob that is larger than a share one of its own, first of all', () => {
    const shares = shareOut(blobs([MIB, 900 * MIB, MIB]), 2);
    assert.deepEqual(shares[0]!.map(({ path }) => path), ['b1']);
    assert.equal(shares.length, 3);
  });

  it('are none where nothing is wanted', () => {
    assert.deepEqual(shareOut([], 4), []);
  });
});
