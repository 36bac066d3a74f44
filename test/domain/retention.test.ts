import assert from 'node:assert/strict';
import { after as later, before as earlier, parseDuration } from '../../domain/duration';
import { decideRetention, keepSchema, type BackupFact, type Decision, type Keep } from '../../domain/retention';
import { standingOf, type Verdict } from '../../domain/verdict';

const NOW = new Date('2026-11-24T12:00:00.000Z');
const DAY = 86_400_000;

/** One backup, begun so many days before NOW. */
function backup(daysAgo: number, more: Partial<BackupFact> = {}): BackupFact {
  const startedAt = new Date(NOW.getTime() - daysAgo * DAY).toISOString();
  return { id: `${startedAt.replace(/[-:]|\.\d+/g, '')}-000000`, startedAt, status: 'complete', verified: true, bad: false, drilled: false, ...more };
}

function kept(backups: BackupFact[], keep: Keep | undefined): string[] {
  return decideRetention(backups, keep, NOW).filter((decision) => decision.keep).map(({ id }) => id);
}

function why(decisions: Decision[], of: BackupFact): string {
  return decisions.find(({ id }) => id === of.id)!.why;
}

/** Always the same numbers, so that a failure can be seen again. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
}

function randomCase(seed: number): { backups: BackupFact[]; keep: Keep } {
  const roll = dice(seed);
  const backups = Array.from({ length: roll(40) }, () => {
    const state = roll(6);
    return backup(roll(2000) / 10, { verified: state > 1, bad: state === 1, drilled: roll(15) === 0, status: roll(5) === 0 ? 'incomplete' : 'complete' });
  });
  const unique = [...new Map(backups.map((each) => [each.id, each])).values()];
  const keep: Keep = { last: 1 + roll(4) };
  for (const name of ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const) if (roll(2) === 0) keep[name] = 1 + roll(8);
  if (roll(3) === 0) keep.within = `${1 + roll(20)}d`;
  return { backups: unique, keep };
}

describe('retention', () => {
  it('keeps the newest of each period, by UTC and ISO weeks', () => {
    const backups = Array.from({ length: 60 }, (_, day) => backup(day));
    const ids = (days: number[]): string[] => days.map((day) => backups[day]!.id);
    assert.deepEqual(kept(backups, { last: 3 }), ids([0, 1, 2]));
    assert.deepEqual(kept(backups, { daily: 4 }), ids([0, 1, 2, 3]));
    // 2026-11-24 is a Tuesday; weeks end on Sundays.
    assert.deepEqual(kept(backups, { weekly: 3 }), ids([0, 2, 9]));
    assert.deepEqual(kept(backups, { monthly: 3 }), ids([0, 24, 55]));
    assert.deepEqual(kept(backups, { yearly: 5 }), ids([0]));
    assert.deepEqual(kept(backups, { within: '5d' }), ids([0, 1, 2, 3, 4, 5]));
    const evening = backup(0, { id: '20261123T235959Z-aaaaaa', startedAt: '2026-11-23T23:59:59Z' });
    const midnight = backup(0, { id: '20261124T000000Z-aaaaaa', startedAt: '2026-11-24T00:00:00Z' });
    assert.deepEqual(kept([evening, midnight], { daily: 2 }), [midnight.id, evening.id]);
    assert.deepEqual(kept([evening, midnight], { hourly: 1 }), [midnight.id]);
    const newYear = [backup(0, { id: '20201231T000000Z-aaaaaa', startedAt: '2020-12-31T00:00:00Z' }), backup(0, { id: '20210103T000000Z-aaaaaa', startedAt: '2021-01-03T00:00:00Z' })];
    assert.deepEqual(kept(newYear, { weekly: 5 }), ['20210103T000000Z-aaaaaa']);
  });

  it('gives each backup one sentence with the rule that holds it, or what is newer', () => {
    const backups = [backup(0), backup(1), backup(9, { verified: false })];
    const decisions = decideRetention(backups, { last: 1, daily: 1 }, NOW);
    assert.equal(why(decisions, backups[0]!), 'Kept: the newest verified one; last 1 of 1, verified; daily 1 of 1, newest verified one of the day 2026-11-24.');
    assert.equal(why(decisions, backups[1]!), `Given up: no rule of \`keep\` holds it; the newest verified one is ${backups[0]!.id}.`);
    assert.equal(why(decisions, backups[2]!), `Given up: not verified, and no rule of \`keep\` needs it as a stand-in; the newest verified one is ${backups[0]!.id}.`);
    assert.match(why(decideRetention(backups, undefined, NOW), backups[2]!), /^Kept: no `keep` is configured\.$/);
  });

  it('gives up nothing while no backup is verified', () => {
    const backups = Array.from({ length: 9 }, (_, day) => backup(day, { verified: false, bad: day % 2 === 0 }));
    assert.equal(kept(backups, { last: 1 }).length, 9);
  });

  it('never lets unverified, damaged or incomplete backups push out a verified one, however many there are', () => {
    for (let seed = 1; seed <= 120; seed += 1) {
      const { backups, keep } = randomCase(seed);
      const counted = backups.filter((each) => each.verified && each.status === 'complete');
      const alone = kept(counted, keep);
      const all = new Set(kept(backups, keep));
      for (const id of alone) assert.ok(all.has(id), `seed ${seed}: ${id} is kept alone, but not beside the others`);
    }
  });

  it('never gives up the newest verified and the newest drilled one, and decides the same whatever the order of the list', () => {
    for (let seed = 1; seed <= 120; seed += 1) {
      const { backups, keep } = randomCase(seed);
      const decisions = decideRetention(backups, keep, NOW);
      assert.deepEqual(decideRetention([...backups].reverse(), keep, NOW), decisions, `seed ${seed}`);
      const isKept = (id: string): boolean => decisions.find((decision) => decision.id === id)!.keep;
      const newestFirst = [...backups].sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1));
      const verified = newestFirst.find((each) => each.verified && each.status === 'complete') ?? newestFirst.find((each) => each.verified);
      const drilled = newestFirst.find((each) => each.drilled && each.verified);
      if (verified) assert.ok(isKept(verified.id), `seed ${seed}: newest verified`);
      if (drilled) assert.ok(isKept(drilled.id), `seed ${seed}: newest drilled`);
      for (const { why: sentence } of decisions) assert.match(sentence, /^(Kept|Given up): .+[^.]\.$/);
    }
  });

  it('gives up nothing more when a rule is widened, and nothing anew when the same list is judged again without what was given up', () => {
    for (let seed = 1; seed <= 120; seed += 1) {
      const { backups, keep } = randomCase(seed);
      const before = kept(backups, keep);
      const wider = new Set(kept(backups, { ...keep, last: keep.last! + 1 }));
      for (const id of before) assert.ok(wider.has(id), `seed ${seed}: ${id}`);
      assert.deepEqual(kept(backups.filter(({ id }) => before.includes(id)), keep), before, `seed ${seed}`);
    }
  });

  it('keeps what is newer than the newest verified one, and stand-ins for days without a verified one, without counting them', () => {
    const today = backup(0, { verified: false });
    const [two, three, four, five] = [backup(2), backup(3, { verified: false }), backup(4), backup(5)] as const;
    const backups = [today, two, three, four, five];
    const decisions = decideRetention(backups, { daily: 2 }, NOW);
    assert.deepEqual(kept(backups, { daily: 2 }), [today.id, two.id, three.id, four.id]);
    assert.match(why(decisions, today), /not verified, and newer than the newest verified one/);
    assert.match(why(decisions, three), /stands in of the day 2026-11-21 that has no verified one \(daily, not counted\)/);
  });

  it('counts verified incomplete backups apart, so that one broken image neither displaces complete ones nor fills the vault', () => {
    const complete = [20, 21, 22].map((day) => backup(day));
    const incomplete = Array.from({ length: 15 }, (_, day) => backup(day, { status: 'incomplete' }));
    assert.deepEqual(kept([...complete, ...incomplete], { daily: 2 }), [incomplete[0]!.id, incomplete[1]!.id, complete[0]!.id, complete[1]!.id]);
  });

  it('counts `within` from the newest verified one, so that old backups do not go because new ones stopped', () => {
    const backups = [100, 101, 130, 140].map((day) => backup(day));
    assert.deepEqual(kept(backups, { within: '30d' }), backups.slice(0, 3).map(({ id }) => id));
  });

  it('applies no rule to backups from the future', () => {
    const future = backup(-2);
    const now = [backup(0), backup(1)];
    assert.deepEqual(kept([future, ...now], { last: 1 }), [future.id, now[0]!.id]);
  });

  it('gives up what was forgotten, unless it became the last verified one without the gate', () => {
    const forgotten = { by: 'anna', approved: false };
    const [newest, older] = [backup(0), backup(1, { forgotten })];
    assert.deepEqual(kept([newest, older], undefined), [newest.id]);
    assert.deepEqual(kept([{ ...newest, bad: true }, older], undefined), [newest.id, older.id]);
    const incomplete = backup(0, { status: 'incomplete' });
    assert.deepEqual(kept([incomplete, older], undefined), [incomplete.id, older.id], 'an incomplete one is no stand-in for the last complete one');
    assert.deepEqual(kept([incomplete, backup(1, { forgotten, status: 'incomplete' })], undefined), [incomplete.id]);
    assert.deepEqual(kept([backup(0, { status: 'incomplete', forgotten }), older], undefined), [older.id]);
    assert.deepEqual(kept([backup(0, { forgotten: { by: 'anna', approved: true } })], { last: 1 }), []);
  });

  it('refuses a `keep` that keeps nothing or is no number', () => {
    for (const wrong of [{}, { last: 0 }, { daily: -1 }, { weekly: 1.5 }, { within: 'a while' }, { within: '' }, { within: 'P' }, { within: 'PT' }, { hourly: '3' }, { other: 1 }]) {
      assert.equal(keepSchema.safeParse(wrong).success, false, JSON.stringify(wrong));
    }
    assert.ok(keepSchema.safeParse({ last: 1, within: 'P1Y6M' }).success);
  });
});

describe('durations', () => {
  it('reads both forms, and takes months from the calendar', () => {
    const from = new Date('2026-03-31T10:00:00.000Z');
    assert.deepEqual(parseDuration('30d'), parseDuration('P30D'));
    assert.deepEqual(parseDuration('1y6m'), parseDuration('P1Y6M'));
    assert.deepEqual(parseDuration('90min'), parseDuration('PT1H30M'));
    assert.equal(earlier(from, parseDuration('1m')!).toISOString(), '2026-02-28T10:00:00.000Z');
    assert.equal(earlier(from, parseDuration('1y')!).toISOString(), '2025-03-31T10:00:00.000Z');
    assert.equal(earlier(from, parseDuration('2w1h')!).toISOString(), '2026-03-17T09:00:00.000Z');
    assert.equal(later(new Date('2024-01-31T00:00:00Z'), parseDuration('1m')!).toISOString(), '2024-02-29T00:00:00.000Z');
    for (const wrong of ['', 'P', 'PT', '5', 'd', '-3d', '3 d', 'P1H', '1d1y', '30D']) assert.equal(parseDuration(wrong), undefined, wrong);
  });
});

describe('the standing of a backup', () => {
  const verdict = (day: number, more: Partial<Verdict>): Verdict => ({
    format: 1, backupId: '20261101T000000Z-000000', level: 'L2', startedAt: `2026-11-${day}T00:00:00Z`, at: `2026-11-${day}T00:01:00Z`, by: 'a test', tool: { name: 'drydock', version: '0' },
    withKeys: true, result: 'good', checked: { segments: 1, blobs: 1, bytes: 1, tags: 1 }, findings: 0, ...more,
  });

  it('is verified by a good verdict, until a bad one that no later good one of its level answers', () => {
    assert.equal(standingOf([]).verified, false);
    assert.equal(standingOf([verdict(10, {})]).verified, true);
    const bad = verdict(12, { level: 'L3', result: 'bad', findings: 1 });
    assert.equal(standingOf([verdict(10, {}), bad, verdict(13, {})]).verified, false);
    assert.equal(standingOf([verdict(10, {}), bad, verdict(13, { level: 'L3' })]).verified, true);
    const part = verdict(12, { level: 'L3', result: 'bad', findings: 1, part: { n: 2, t: 7 } });
    assert.equal(standingOf([part, verdict(13, { level: 'L3', part: { n: 3, t: 7 } })]).verified, false);
    assert.equal(standingOf([part, verdict(13, { level: 'L3', part: { n: 2, t: 7 } })]).verified, true);
  });

  it('names the newest good verdict of the highest level, and the newest drill', () => {
    const [l3, l2, drill] = [verdict(10, { level: 'L3' }), verdict(14, {}), verdict(11, { drill: true })];
    assert.equal(standingOf([l2, l3, drill]).best, l3);
    assert.equal(standingOf([l2, l3, drill]).drill, drill);
  });

  it('has a level that was read in parts only once all parts were, from the oldest of them on; before that it is as good as L2', () => {
    const part = (day: number, n: number, more: Partial<Verdict> = {}): Verdict => verdict(day, { level: 'L3', part: { n, t: 3 }, ...more });
    const standing = (...verdicts: Verdict[]): (string | undefined)[] => {
      const { best } = standingOf(verdicts);
      return [best?.level, best?.at.slice(8, 10)];
    };
    assert.deepEqual(standing(part(11, 1)), ['L2', '11']);
    assert.deepEqual(standing(part(11, 1), part(12, 2), part(13, 2)), ['L2', '13']);
    assert.deepEqual(standing(part(11, 1), part(12, 2), verdict(13, { level: 'L3', part: { n: 3, t: 4 } })), ['L2', '13'], 'a part of another division');
    assert.deepEqual(standing(part(11, 1), part(12, 2), part(13, 3)), ['L3', '11']);
    assert.deepEqual(standing(part(11, 1), part(12, 2), part(13, 3, { level: 'L4' })), ['L3', '11'], 'L4 contains L3');
    assert.deepEqual(standing(part(11, 1), part(12, 2), part(13, 3), part(14, 1)), ['L3', '12']);
    assert.deepEqual(standing(verdict(10, { level: 'L3' }), part(14, 1)), ['L3', '10'], 'an older whole one stands before it');
  });
});
