import assert from 'node:assert/strict';
import { standingOf, unanswered, type Verdict, type VerifyLevel } from '../../domain/verdict';

type Part = NonNullable<Verdict['part']>;

/** A look at a backup, as `activities/verify` takes it. */
interface Look {
  level: VerifyLevel;
  withKeys: boolean;
  part?: Part;
}

const PARTS: readonly (Part | undefined)[] = [undefined, { n: 1, t: 2 }, { n: 2, t: 2 }, { n: 1, t: 3 }, { n: 2, t: 3 }, { n: 3, t: 3 }];
const LOOKS: readonly Look[] = (['L0', 'L1', 'L2', 'L3', 'L4'] as const).flatMap((level) =>
  [true, false].filter((withKeys) => withKeys || level !== 'L4').flatMap((withKeys) => PARTS.filter((part) => part === undefined || level >= 'L3').map((part) => ({ level, withKeys, ...(part ? { part } : {}) }))));

/** What may be damaged, and whether a look sees it. The segment is in part 1 of 2 and in part 3 of 3. */
const inSegment = ({ level, part }: Look): boolean => level >= 'L3' && (part === undefined || part.n === (part.t === 2 ? 1 : 3));
const DAMAGES: Record<string, (look: Look) => boolean> = {
  'a file that is gone': () => true,
  'a list that does not open': ({ withKeys }) => withKeys,
  'a link': ({ level, withKeys }) => withKeys && level >= 'L1',
  'a layer that is missing': ({ level, withKeys }) => withKeys && level >= 'L2',
  'a flipped bit of a segment': (look) => inSegment(look),
  'wrong content, sealed so': (look) => look.withKeys && inSegment(look),
  'a row without its blob': ({ level, withKeys }) => withKeys && level >= 'L4',
};

/** The n-th look of a history, a day after the one before it. */
function verdict({ level, withKeys, part }: Look, day: number, result: 'good' | 'bad', more: Partial<Verdict> = {}): Verdict {
  const date = `2026-11-${String(day).padStart(2, '0')}`;
  return {
    format: 1, backupId: '20261101T000000Z-000000', level, ...(part ? { part } : {}), startedAt: `${date}T02:00:00.000Z`, at: `${date}T03:00:00.000Z`, by: 'a test', tool: { name: 'drydock', version: '0' },
    withKeys, result, checked: { segments: 1, blobs: 1, bytes: 1, tags: 1 }, findings: result === 'bad' ? 1 : 0, ...more,
  };
}

const said = (history: readonly Look[], result: (look: Look, at: number) => 'good' | 'bad'): string => history.map((look, at) => `${look.level}${look.part ? ` ${look.part.n}/${look.part.t}` : ''}${look.withKeys ? '' : ' without keys'}: ${result(look, at)}`).join(', ');

describe('verdicts on a backup', () => {
  it('never come to good as long as damage stays that one of them has found, whatever looks follow, of whatever level, part and keys', () => {
    let histories = 0;
    for (const [what, sees] of Object.entries(DAMAGES)) {
      const result = (look: Look): 'good' | 'bad' => (sees(look) ? 'bad' : 'good');
      const verdicts = LOOKS.map((look) => [1, 2, 3].map((day) => verdict(look, day, result(look))));
      const all = LOOKS.map((_, at) => at);
      const unseen = all.filter((at) => !sees(LOOKS[at]!));
      for (const first of all.filter((at) => sees(LOOKS[at]!))) {
        for (const second of all) {
          for (const third of unseen) {
            const { verified, bad } = standingOf([verdicts[first]![0]!, verdicts[second]![1]!, verdicts[third]![2]!]);
            histories += 1;
            if (verified || !bad) assert.fail(`${what}: ${said([first, second, third].map((at) => LOOKS[at]!), result)}`);
          }
        }
      }
    }
    assert.ok(histories > 10_000, `${histories} histories`);
  });

  it('come to good again once the same look, or a deeper one, finds nothing any more', () => {
    for (const sees of Object.values(DAMAGES)) {
      for (const first of LOOKS.filter(sees)) {
        for (const second of LOOKS) {
          const includesFirst = second.level >= first.level && (second.withKeys || !first.withKeys) && (second.part === undefined || (second.part.n === first.part?.n && second.part.t === first.part.t));
          if (includesFirst) assert.ok(standingOf([verdict(first, 1, 'bad'), verdict(second, 2, 'good')]).verified, said([first, second], (_, at) => (at === 0 ? 'bad' : 'good')));
        }
      }
    }
  });

  it('are answered by parts once all parts of one division were read after them', () => {
    const bad = verdict({ level: 'L3', withKeys: true }, 1, 'bad');
    const part = (n: number, t: number, day: number, more: Partial<Look> = {}): Verdict => verdict({ level: 'L3', withKeys: true, part: { n, t }, ...more }, day, 'good');
    const verified = (...later: Verdict[]): boolean => standingOf([bad, ...later]).verified;
    assert.equal(verified(part(1, 2, 2), part(2, 2, 3)), true);
    assert.equal(verified(part(1, 2, 2), part(2, 3, 3), part(3, 3, 4)), false, 'parts of two divisions');
    assert.equal(verified(part(1, 2, 2), part(2, 2, 3, { withKeys: false })), false, 'one of them without keys');
    assert.equal(standingOf([part(1, 2, 2), part(2, 2, 1), verdict({ level: 'L3', withKeys: true }, 3, 'bad')]).verified, false, 'parts that were read before');
  });

  it('are not answered by a look that began before they ended: it may have read what was still whole', () => {
    const [bad, long] = [verdict({ level: 'L3', withKeys: true }, 2, 'bad'), verdict({ level: 'L3', withKeys: true }, 3, 'good', { startedAt: '2026-11-01T00:00:00.000Z' })];
    assert.deepEqual(unanswered([bad, long]), [bad]);
    const [halfSecond, whole] = [verdict({ level: 'L0', withKeys: true }, 2, 'bad', { at: '2026-11-02T03:00:00.500Z' }), verdict({ level: 'L0', withKeys: true }, 2, 'good', { startedAt: '2026-11-02T03:00:00Z', at: '2026-11-02T03:00:01Z' })];
    assert.deepEqual(unanswered([halfSecond, whole]), [halfSecond], 'times with and without parts of a second are compared as times');
  });

  it('are best where tags were followed: without keys L1 and L2 come to L0, and no later look hides a deeper one', () => {
    const best = (...looks: Look[]): string => {
      const found = standingOf(looks.map((look, at) => verdict(look, at + 1, 'good'))).best!;
      return `${found.level}${found.withKeys ? '' : ' without keys'}`;
    };
    const keyless = (level: VerifyLevel, part?: Part): Look => ({ level, withKeys: false, ...(part ? { part } : {}) });
    const keyed = (level: VerifyLevel, part?: Part): Look => ({ level, withKeys: true, ...(part ? { part } : {}) });
    for (const level of ['L0', 'L1', 'L2'] as const) assert.equal(best(keyless(level)), 'L0 without keys');
    assert.equal(best(keyed('L2'), keyless('L2')), 'L2');
    assert.equal(best(keyed('L2'), keyless('L3')), 'L2');
    assert.equal(best(keyless('L3'), keyed('L0')), 'L3 without keys');
    assert.equal(best(keyless('L3', { n: 1, t: 2 })), 'L0 without keys');
    assert.equal(best(keyless('L3', { n: 1, t: 2 }), keyed('L3', { n: 2, t: 2 })), 'L2', 'of a keyed part it is known that tags were followed');
    assert.equal(best(keyless('L3', { n: 1, t: 2 }), keyless('L3', { n: 2, t: 2 })), 'L3 without keys');
    assert.equal(best(keyed('L4'), keyed('L3')), 'L4');
  });
});
