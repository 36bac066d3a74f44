import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sweepWork } from '../../worker/sweep-work';

const DAY = 24 * 3600 * 1000;

describe('the working files that a starting worker finds', () => {
  let stateDir: string;
  const now = Date.now();
  beforeEach(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'drydock-sweep-'));
  });
  afterEach(() => rm(stateDir, { recursive: true, force: true }));

  /** An operation's folder whose newest file was written so many days ago. */
  async function left(operation: string, days: number): Promise<void> {
    const folder = join(stateDir, 'work', operation, '20261101T000000Z-1a2b3c');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'tags.jsonl'), '{}\n');
    const time = new Date(now - days * DAY);
    for (const file of [join(folder, 'tags.jsonl'), folder, join(folder, '..')]) await utimes(file, time, time);
  }
  const there = async (): Promise<string[]> => (await readdir(join(stateDir, 'work'))).sort();

  it('go when their operation does not run any more and nothing in them has changed for three days', async () => {
    await left('backup_over', 4);
    await left('backup_fresh', 2);
    await left('restore_at_a_gate', 40);
    assert.deepEqual(await sweepWork({ stateDir, running: new Set(['restore_at_a_gate']), now }), ['backup_over']);
    assert.deepEqual(await there(), ['backup_fresh', 'restore_at_a_gate']);
  });

  it('go by age alone, after 14 days, where nobody can say what runs', async () => {
    await left('old', 15);
    await left('young', 13);
    assert.deepEqual(await sweepWork({ stateDir, running: null, now }), ['old']);
    assert.deepEqual(await there(), ['young']);
  });

  it('stay where a file in them was written since, however old their folders are', async () => {
    await left('in_use', 20);
    const file = join(stateDir, 'work', 'in_use', '20261101T000000Z-1a2b3c', 'tags.jsonl');
    await utimes(file, new Date(now), new Date(now));
    assert.deepEqual(await sweepWork({ stateDir, running: new Set(), now }), []);
  });

  it('may be none', async () => {
    assert.deepEqual(await sweepWork({ stateDir, running: new Set(), now }), []);
  });
});
