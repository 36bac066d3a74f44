import assert from 'node:assert/strict';
import { pruneReport } from '../../client/reports';
import { toDuration } from '../../domain/duration';
import { planMarks, planRemoval, type VaultPicture } from '../../domain/prune';
import { shownDecisions, shownNotes, touched, type PruneResult } from '../../domain/prune-result';
import { decideRetention, type BackupFact, type Keep } from '../../domain/retention';

const NOW = new Date('2026-11-24T12:00:00.000Z');
const HOUR = 3_600_000;
const HOLD = toDuration('7d');
const MANY = 8_000;
const KEEP: Keep = { last: 3, hourly: 24, daily: 30, weekly: 52, monthly: 60, yearly: 10, within: '400d' };
/** Temporal takes 2 MiB in one payload; the results of several copies are in one. */
const ROOM = 256 * 1024;

/** One backup in each hour, newest first. */
function backups(more: Partial<BackupFact> = {}): BackupFact[] {
  return Array.from({ length: MANY }, (_, at) => {
    const startedAt = new Date(NOW.getTime() - at * HOUR).toISOString();
    return { id: `${startedAt.replace(/[-:]|\.\d+/g, '')}-000000`, startedAt, status: 'complete', verified: true, bad: false, drilled: false, ...more };
  });
}

/** As the activity puts it together, of a vault in which all was given up long ago. */
function resultOf(facts: BackupFact[], keep: Keep, more: Partial<VaultPicture> = {}): PruneResult {
  const decisions = decideRetention(facts, keep, NOW);
  const long = new Date(NOW.getTime() - 1000 * HOUR);
  const picture: VaultPicture = { now: NOW, sealed: facts.map(({ id }) => ({ id, segments: [] })), unreadable: [], unsealed: [], segments: [], marks: [], ...more };
  const marks = planMarks(picture, decisions, HOLD);
  const removal = planRemoval({ ...picture, marks: decisions.map(({ id }) => ({ name: id, id, since: long, isForgotten: false })) }, decisions, HOLD);
  return {
    cluster: 'lab', vault: 'main', dryRun: false, decisions: shownDecisions(decisions), counts: { kept: decisions.filter(({ keep: isKept }) => isKept).length, givenUp: decisions.filter(({ keep: isKept }) => !isKept).length },
    removed: touched(removal.backups, []), marked: touched(marks.backups.map(({ id }) => id), []), lifted: 0, removableFrom: NOW.toISOString(), notes: shownNotes([...removal.notes, ...marks.notes]),
  };
}

describe('the result of a prune among thousands of backups', function () {
  this.timeout(20_000);

  it('stays small and counts them all, whether nearly all or nearly none are given up', () => {
    for (const [keep, kept] of [[{ last: 3 }, 3], [{ last: MANY - 3 }, MANY - 3]] as const) {
      const result = resultOf(backups(), keep);
      assert.deepEqual([result.counts, result.marked.backupCount, result.removed.backupCount], [{ kept, givenUp: MANY - kept }, MANY - kept, MANY - kept]);
      assert.ok(JSON.stringify(result).length < ROOM);
      assert.equal(result.decisions.length, 200);
      assert.deepEqual([...new Set(result.decisions.map(({ keep: isKept }) => isKept))].length, 2, 'neither kind is shown at the cost of the other');
      assert.equal(result.decisions.findIndex(({ keep: isKept }) => isKept), kept === 3 ? 197 : 3, 'what is given up comes first');
    }
    assert.ok(JSON.stringify(resultOf(backups(), KEEP)).length < ROOM, 'with reasons of every kind');
  });

  it('is not made large by manifests that nobody can read, or by what a forged tombstone says', () => {
    const ids = backups().map(({ id }) => id);
    const result = resultOf(backups({ forgotten: { by: 'x'.repeat(60_000), approved: true } }), KEEP, { unreadable: ids });
    assert.ok(JSON.stringify(result).length < ROOM);
    assert.match(result.notes[0]!, new RegExp(`manifest of ${ids[0]}, .*, ${MANY - 20} more cannot be read`));
  });

  it('is told in a few hundred lines, with the number of those that are left out', () => {
    const lines = pruneReport({ ...resultOf(backups(), { last: 150 }), copies: [resultOf(backups(), { last: 3 })] });
    assert.ok(lines.length < 450, `${lines.length}`);
    assert.equal(lines.find((line) => line.startsWith('  and ')), `  and ${MANY - 150 - 100} more given up, 50 more kept; what is given up stands in \`drydock list lab\``);
    assert.ok(lines.includes(`${MANY - 150} backups and 0 segments (0 B) marked: a run after 2026-11-24 12:00:00Z removes them.`));
  });

  it('of a version that named all of them is told with their number', () => {
    const { removed, ...rest } = resultOf(backups(), { last: 3 });
    const lines = pruneReport({ ...rest, removed: { backups: ['a', 'b'], segments: 0, bytes: 0 } });
    assert.deepEqual([removed.backupCount, lines.some((line) => line.startsWith('2 backups and 0 segments'))], [MANY - 3, true]);
  });
});
