import assert from 'node:assert/strict';
import { acceptedGapSchema, AcceptedGaps, tellAccepted } from '../../domain/accepted-gaps';

const hex = (letter: string): string => letter.repeat(64);
const sha = (letter: string): string => `sha256:${hex(letter)}`;
const SHA_512 = `sha512:${'5'.repeat(128)}`;
const entry = { repository: 'acme/old', tag: '2019', digests: [sha('a'), SHA_512], by: 'Ann', why: 'lost with the disk of 2019', until: '2027-06-30' };
const on = (now: string, ...gaps: Partial<typeof entry>[]): AcceptedGaps => new AcceptedGaps((gaps.length === 0 ? [{}] : gaps).map((change) => ({ ...entry, ...change })), now);

describe('accepted gaps', () => {
  it('hold for the tag and the very digests that they name', () => {
    const accepted = on('2026-11-23T02:00:00Z');
    assert.equal(accepted.accepts('acme/old:2019', hex('a')), true);
    assert.equal(accepted.accepts('acme/old:2019', SHA_512), true);
    assert.equal(accepted.accepts('acme/old:2019', hex('b')), false, 'another blob of the same tag');
    assert.equal(accepted.accepts('acme/old:2020', hex('a')), false, 'another tag');
    assert.equal(accepted.accepts('acme/older:2019', hex('a')), false, 'another repository');
    assert.deepEqual(accepted.warnings(), []);
    const [used] = accepted.used();
    assert.deepEqual(used, { image: 'acme/old:2019', digests: [sha('a'), SHA_512], by: 'Ann', why: 'lost with the disk of 2019', until: '2027-06-30' });
    assert.equal(tellAccepted(used), `acme/old:2019 lacks 2 parts, the first ${sha('a')}: accepted by Ann until 2027-06-30 (lost with the disk of 2019)`);
  });

  it('hold to the end of their last day, are told of two weeks before it, and are gaps again behind it', () => {
    const ask = (now: string): { accepts: boolean; warnings: string[]; used: number } => {
      const accepted = on(now, { digests: [sha('a')] });
      return { accepts: accepted.accepts('acme/old:2019', hex('a')), warnings: accepted.warnings(), used: accepted.used().length };
    };
    const soon = ['acme/old:2019: what Ann accepted to be missing will be a gap again after 2027-06-30.'];
    assert.deepEqual(ask('2027-06-16T23:59:59Z'), { accepts: true, warnings: [], used: 1 });
    assert.deepEqual(ask('2027-06-17T00:00:00Z'), { accepts: true, warnings: soon, used: 1 });
    assert.deepEqual(ask('2027-06-30T23:59:59Z'), { accepts: true, warnings: soon, used: 1 });
    assert.deepEqual(ask('2027-07-01T00:00:00Z'), { accepts: false, warnings: ['acme/old:2019: what Ann accepted to be missing until 2027-06-30 is a gap again, because that day is over.'], used: 0 });
  });

  it('are told of when nothing of them, or not all of them, is missing any more', () => {
    const accepted = on('2026-11-23T02:00:00Z', {}, { tag: '2018' });
    accepted.accepts('acme/old:2019', hex('a'));
    assert.deepEqual(accepted.warnings(), [`acme/old:2019: ${SHA_512} is not missing any more, although acceptGaps names it.`, 'acme/old:2018: nothing that acceptGaps names for it is missing any more; take the entry out.']);
    assert.deepEqual(accepted.used().map(({ image, digests }) => [image, digests]), [['acme/old:2019', [sha('a')]]]);
  });

  it('may be renewed by a second entry', () => {
    const accepted = on('2027-07-01T00:00:00Z', { digests: [sha('a')] }, { digests: [sha('a')], until: '2028-06-30' });
    assert.equal(accepted.accepts('acme/old:2019', hex('a')), true);
  });

  it('are refused as patterns, without a name, a reason or an end, and with what is no digest or no day', () => {
    assert.equal(acceptedGapSchema.safeParse(entry).success, true);
    const wrong: object[] = [
      { repository: 'acme/*' }, { repository: 'old' }, { repository: 'acme/old:2019' }, { tag: '*' }, { tag: '' }, { tag: '20?9' }, { digests: [] }, { digests: ['*'] }, { digests: [hex('a')] }, { digests: ['sha256:abc'] },
      { by: '' }, { by: ' ' }, { why: '' }, { why: 'two\nlines' }, { until: 'never' }, { until: '2027-13-01' }, { until: '2027-06-30T00:00:00Z' }, { until: undefined }, { untill: '2027-06-30' },
    ];
    for (const change of wrong) assert.equal(acceptedGapSchema.safeParse({ ...entry, ...change }).success, false, JSON.stringify(change));
  });
});
