import assert from 'node:assert/strict';
import { access, cp, rename, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { createActivities } from '../../activities';
import { openCluster, type Cluster } from '../../activities/cluster';
import { prune as pruneStep } from '../../activities/retention/prune';
import { StoredBlobs } from '../../activities/backup/stored';
import type { PruneResult } from '../../domain/prune-result';
import { vaultPaths } from '../../domain/vault-format';
import { formatIndex } from '../../adapters/vault/segment-index';
import type { Config } from '../../domain/config';
import { activityEnvironment } from '../helpers/backup-run';
import { Killed, killedAfter } from '../helpers/failing-vault';
import { scratchVault } from '../helpers/vault';

const DAY = 86_400_000;
const BLOB = 'docker/registry/v2/blobs/sha256/ab/' + 'ab'.repeat(32) + '/data';

describe('prune', () => {
  let here: Awaited<ReturnType<typeof scratchVault>>;
  beforeEach(async () => {
    here = await scratchVault();
  });
  afterEach(() => here.remove());

  const id = (day: number): string => `202611${String(day).padStart(2, '0')}T020000Z-00000${day % 10}`;
  const segment = (day: number): string => `${id(day)}aaaaaa`;

  /** Run as the worker would, under a `keep` of the newest one and a hold of a week. */
  function prune(more: { dryRun?: boolean } = {}): Promise<PruneResult> {
    const { prune: activity } = createActivities({ config: config(), configPath: 'drydock.yaml', namespace: 'default', client: undefined as never });
    return activityEnvironment().run(activity as (input: unknown) => Promise<PruneResult>, { cluster: 'lab', operation: 'prune_test', dryRun: more.dryRun ?? false });
  }

  function config(): Config {
    return {
      stateDir: here.path, vaults: { v: { directory: here.directory } },
      clusters: { lab: { vault: 'v', copies: [], keep: { last: 1 }, retention: { hold: '7d' }, encryption: {}, hosts: {} } },
    } as unknown as Config;
  }

  /** What is only put there counts as written long ago. */
  async function put(name: string, content: string, daysAgo = 30): Promise<void> {
    await here.vault.put(name, content);
    await age(name, daysAgo);
  }

  async function age(name: string, days: number): Promise<void> {
    const time = new Date(Date.now() - days * DAY);
    await utimes(join(here.directory, name), time, time);
  }

  async function putSegment(name: string): Promise<void> {
    await put(vaultPaths.segment('lab', name), 'ciphertext');
    await put(vaultPaths.segmentIndex('lab', name), formatIndex({
      header: { format: 1, segment: name, writtenBy: 'a test', bytes: 10, sha256: 'c'.repeat(64), recipients: [], blobs: 1, plainBytes: 10 },
      blobs: [{ path: BLOB, size: 3, sha256: 'ab'.repeat(32), offset: 512 }],
    }));
  }

  async function putBackup(day: number, segments: string[], verified = true): Promise<void> {
    const startedAt = `2026-11-${String(day).padStart(2, '0')}T02:00:00.000Z`;
    await put(`${vaultPaths.backup('lab', id(day))}/RESTORE.md`, 'guide');
    await put(vaultPaths.manifest('lab', id(day)), JSON.stringify({ format: 1, backupId: id(day), status: 'complete', startedAt, segments: segments.map((each) => ({ segment: each })) }));
    if (!verified) return;
    await put(vaultPaths.verdict('lab', id(day), startedAt), JSON.stringify({
      format: 1, backupId: id(day), level: 'L2', startedAt, at: startedAt, by: 'a test', tool: { name: 'drydock', version: '0' }, withKeys: true, result: 'good', checked: { segments: 1, blobs: 1, bytes: 1, tags: 1 }, findings: 0,
    }));
  }

  async function names(prefix: string): Promise<string[]> {
    const found: string[] = [];
    for await (const { name } of here.vault.list(prefix)) found.push(name.slice(prefix.length));
    return found;
  }

  /** As if the marks had been made so many days ago. */
  async function ageMarks(days: number): Promise<void> {
    for (const name of await names(vaultPaths.tombstones('lab'))) {
      const full = vaultPaths.tombstones('lab') + name;
      const tombstone = JSON.parse((await here.vault.readAll(full, 65536)).toString()) as { at: string };
      await here.vault.remove(full);
      await put(full, JSON.stringify({ ...tombstone, at: new Date(Date.now() - days * DAY).toISOString() }), days);
    }
  }

  it('marks first, removes after the hold, and then marks and removes the segments that nothing names any more', async () => {
    await putSegment(segment(1));
    await putSegment(segment(2));
    await putBackup(1, [segment(1)]);
    await putBackup(2, [segment(2)]);
    assert.deepEqual((await prune()).marked.backups, [id(1)]);
    await ageMarks(6);
    assert.deepEqual((await prune()).removed.backups, [], 'the hold is not over');
    await ageMarks(8);
    const removed = await prune();
    assert.deepEqual([removed.removed.backups, removed.marked.segments], [[id(1)], 1]);
    assert.deepEqual(await names(vaultPaths.backups('lab')), [`${id(2)}/RESTORE.md`, `${id(2)}/manifest.json`]);
    assert.deepEqual(await names(vaultPaths.verdictsOf('lab', id(1))), []);
    await ageMarks(8);
    assert.equal((await prune()).removed.segments, 1);
    assert.deepEqual(await names(vaultPaths.segments('lab')), [`${segment(2)}.index`, `${segment(2)}.tar.gpg`]);
    assert.deepEqual(await names(vaultPaths.tombstones('lab')), []);
  });

  it('changes nothing in a dry run, and gives a sentence for each backup', async () => {
    await putBackup(1, []);
    await putBackup(2, []);
    const result = await prune({ dryRun: true });
    assert.deepEqual(result.decisions.map(({ id: of, keep }) => [of, keep]), [[id(1), false], [id(2), true]]);
    assert.deepEqual(result.marked.backups, [id(1)]);
    assert.deepEqual(await names(vaultPaths.tombstones('lab')), []);
  });

  it('ends what a killed run left half removed', async () => {
    await putBackup(1, []);
    await putBackup(2, []);
    await prune();
    await ageMarks(8);
    await here.vault.remove(vaultPaths.manifest('lab', id(1)));
    await prune();
    assert.deepEqual(await names(`${vaultPaths.backup('lab', id(1))}/`), []);
    assert.deepEqual([await names(vaultPaths.verdictsOf('lab', id(1))), await names(vaultPaths.tombstones('lab'))], [[], []]);
  });

  it('ends by the next run what a run that was killed at any step has left, and keeps what is kept', async () => {
    const doomed = join(here.path, 'doomed');
    for (const [day, verified] of [[1, true], [2, true], [3, true]] as const) {
      await putSegment(segment(day));
      await putBackup(day, [segment(day), ...(day === 3 ? [segment(2)] : [])], verified);
    }
    await put(`${vaultPaths.backup('lab', id(4))}/tree.tar.gz.gpg`, 'never sealed');
    await putSegment(segment(5));
    await prune();
    await ageMarks(8);
    const kept = [`${id(3)}/RESTORE.md`, `${id(3)}/manifest.json`];
    await cp(here.directory, doomed, { recursive: true, preserveTimestamps: true });
    let steps = 0;
    for (let ended = false; !ended; steps += 1) {
      await rm(here.directory, { recursive: true });
      await cp(doomed, here.directory, { recursive: true, preserveTimestamps: true });
      const real = openCluster({ config: config(), configPath: 'drydock.yaml', namespace: 'default', client: undefined as never }, 'lab');
      const dying = Object.create(real, { vault: { value: killedAfter(real.vault, steps) } }) as Cluster;
      ended = await activityEnvironment().run(() => pruneStep(dying, { cluster: 'lab', operation: 'killed', dryRun: false }, new AbortController().signal)).then(() => true, (error: unknown) => {
        if (error instanceof Killed) return false;
        throw error;
      });
      for (let runs = 0; runs < 3; runs += 1) {
        await prune();
        await ageMarks(8);
      }
      assert.deepEqual(await names(vaultPaths.backups('lab')), kept, `step ${steps}`);
      assert.deepEqual(await names(vaultPaths.segments('lab')), [2, 3].flatMap((day) => [`${segment(day)}.index`, `${segment(day)}.tar.gpg`]), `step ${steps}`);
      assert.deepEqual([await names(vaultPaths.tombstones('lab')), await names(vaultPaths.verdictsOf('lab', id(1))), await names(vaultPaths.verdictsOf('lab', id(2)))], [[], [], []], `step ${steps}`);
    }
    assert.ok(steps > 15, `${steps} steps`);
  });

  it('takes the mark from a segment that a backup of another worker was sealed on meanwhile', async () => {
    await putSegment(segment(1));
    await putBackup(2, []);
    assert.equal((await prune()).marked.segments, 1);
    await ageMarks(8);
    await putBackup(3, [segment(1)]);
    const result = await prune();
    assert.deepEqual([result.lifted, result.removed.segments], [1, 0]);
    assert.ok((await names(vaultPaths.tombstones('lab'))).every((name) => !name.startsWith(segment(1))));
    await access(join(here.directory, vaultPaths.segment('lab', segment(1))));
  });

  it('lets no new backup build on a marked segment', async () => {
    await putSegment(segment(1));
    assert.ok((await StoredBlobs.load(here.vault, 'lab')).good(BLOB, 'ab'.repeat(32)));
    await prune();
    assert.equal((await StoredBlobs.load(here.vault, 'lab')).good(BLOB, 'ab'.repeat(32)), undefined);
  });

  it('marks nothing that is younger than the hold: a running backup may be about to name it', async () => {
    await putSegment(segment(1));
    await age(vaultPaths.segmentIndex('lab', segment(1)), 6);
    assert.equal((await prune()).marked.segments, 0);
  });

  it('touches no segment while a manifest cannot be read, and says so', async () => {
    await putSegment(segment(1));
    await put(vaultPaths.manifest('lab', id(5)), '{"format":1');
    const result = await prune();
    assert.equal(result.marked.segments, 0);
    assert.match(result.notes.join(' '), /No segment is marked or removed while the manifest of 20261105T020000Z-000005 cannot be read/);
  });

  it('removes nothing when the vault\'s clock and the worker\'s disagree', async () => {
    await putBackup(1, []);
    const now = Date.now;
    Date.now = () => now() + 6 * 60_000;
    try {
      await assert.rejects(prune(), /clocks of this worker and of the vault .* differ by 3\d\d s: nothing is marked or removed/);
    } finally {
      Date.now = now;
    }
  });

  it('does not believe a tombstone that says it is older than its file', async () => {
    await putBackup(1, []);
    await putBackup(2, []);
    await prune();
    const [name] = await names(vaultPaths.tombstones('lab'));
    await ageMarks(8);
    const old = name!.replace(/\.\d+T/, '.20200101T');
    await rename(join(here.directory, vaultPaths.tombstones('lab'), name!), join(here.directory, vaultPaths.tombstones('lab'), old));
    await age(vaultPaths.tombstones('lab') + old, 1);
    assert.deepEqual((await prune()).removed.backups, []);
  });
});
