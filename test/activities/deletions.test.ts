import assert from 'node:assert/strict';
import { deletionsAfter, waitForDeletions } from '../../activities/backup/deletions';
import type { Dtr, Job } from '../../adapters/dtr/dtr';
import { failure } from '../helpers/failure';

/** Weeks of scans and webhooks, as a busy registry has them. */
const CROWD: Job[] = Array.from({ length: 5_000 }, (_, n) => ({ id: `w${n}`, action: n % 2 === 0 ? 'webhook' : 'scan_check', status: 'done', scheduledAt: '2026-11-23T01:00:00Z', lastUpdated: '2026-11-23T01:00:00Z' }));

function registry(jobs: Job[]): Dtr {
  return {
    clockOffsetMs: 0,
    ping: () => Promise.resolve({ healthy: true, error: '' }),
    jobs: ({ action, running, limit = 1_000 }: Parameters<Dtr['jobs']>[0]) =>
      Promise.resolve(jobs.filter((job) => (action === undefined || job.action === action) && (running === undefined || running === (job.status === 'running'))).slice(0, limit)),
  } as unknown as Dtr;
}

describe('jobs that delete, behind thousands of others', () => {
  const running: Job = { id: 'gc1', action: 'onlinegc', status: 'running', scheduledAt: '2026-11-22T22:00:00Z', lastUpdated: '2026-11-22T22:00:01Z' };

  it('are waited for while they run, and while they are due', async () => {
    const { signal } = new AbortController();
    assert.match((await failure(waitForDeletions(registry([...CROWD, running]), -1, signal), 'Refused')).message, /onlinegc \(job gc1, running/);
    const due: Job = { ...running, id: 'p1', action: 'tag_pruning', status: 'waiting' };
    assert.match((await failure(waitForDeletions(registry([...CROWD, due]), -1, signal), 'Refused')).message, /tag_pruning \(job p1, waiting/);
    assert.equal(await waitForDeletions(registry(CROWD), -1, signal), false);
  });

  it('are waited for while they run under a name that only a later version knows', async () => {
    const later: Job = { ...running, action: 'deepgc' };
    assert.match((await failure(waitForDeletions(registry([...CROWD, later]), -1, new AbortController().signal), 'Refused')).message, /deepgc/);
  });

  it('are seen when they ran since the freeze', async () => {
    const ran: Job = { ...running, status: 'done', lastUpdated: '2026-11-23T02:30:00Z' };
    assert.deepEqual(await deletionsAfter(registry([...CROWD, ran]), '2026-11-23T02:00:00Z'), ['onlinegc (job gc1, done at 2026-11-23T02:30:00Z)']);
    assert.deepEqual(await deletionsAfter(registry([...CROWD, ran]), '2026-11-23T03:00:00Z'), []);
  });
});
