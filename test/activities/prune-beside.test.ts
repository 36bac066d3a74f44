import assert from 'node:assert/strict';
import { openCluster, type Cluster } from '../../activities/cluster';
import { prune as pruneStep } from '../../activities/retention/prune';
import { readPicture } from '../../adapters/vault/picture';
import type { Vault } from '../../adapters/vault/vault';
import type { PruneResult } from '../../domain/prune-result';
import { vaultPaths } from '../../domain/vault-format';
import { activityEnvironment } from '../helpers/backup-run';
import { leaveRecord, restoreRecord } from '../helpers/changes';
import { pruneScene, type PruneScene } from '../helpers/prune-scene';

describe('prune beside another worker, which belongs to another Temporal and knows no lock of ours,', () => {
  let scene: PruneScene;
  beforeEach(async () => {
    scene = await pruneScene();
  });
  afterEach(() => scene.here.remove());

  /** Prunes; the other worker acts in the moment before this object is removed. */
  async function pruneWhile(object: string, act: () => Promise<void>): Promise<PruneResult> {
    const real = openCluster({ config: scene.config(), configPath: 'drydock.yaml', namespace: 'default', client: undefined as never }, 'lab');
    let acted = false;
    const remove = async (name: string): Promise<void> => {
      if (name === object) {
        acted = true;
        await act();
      }
      await real.vault.remove(name);
    };
    const watched = Object.create(real, { vault: { value: Object.assign(Object.create(real.vault) as Vault, { remove }) } }) as Cluster;
    // However busy this machine is, each thing is looked at anew before it goes.
    const run = (): Promise<PruneResult> => pruneStep(watched, { cluster: 'lab', operation: 'prune_test', dryRun: false }, new AbortController().signal, Number.POSITIVE_INFINITY);
    const result = await activityEnvironment().run<[], PruneResult, () => Promise<PruneResult>>(run);
    assert.ok(acted, `${object} was removed`);
    return result;
  }

  const manifest = (day: number): string => vaultPaths.manifest('lab', scene.id(day));
  const isWhole = async (day: number): Promise<boolean> => {
    const { vault } = scene.here;
    const files = [vaultPaths.segment('lab', scene.segment(day)), vaultPaths.segmentIndex('lab', scene.segment(day))];
    return (await Promise.all(files.map((name) => vault.stat(name)))).every((entry) => entry !== null);
  };

  /** Backup 9 is kept; segments 1 and 2 are named by none, and their hold is over. */
  async function twoDeadSegments(): Promise<void> {
    for (const day of [1, 2]) await scene.putSegment(scene.segment(day));
    await scene.putBackup(9, []);
    assert.equal((await scene.prune()).marked.segments, 2);
    await scene.ageMarks(8);
  }

  it('leaves a segment that a backup was sealed on since the vault was looked at', async () => {
    await twoDeadSegments();
    const { removed, notes } = await pruneWhile(vaultPaths.segmentIndex('lab', scene.segment(1)), () => scene.putBackup(8, [scene.segment(2)]));
    assert.deepEqual([removed.segments, await isWhole(1), await isWhole(2)], [1, false, true]);
    assert.match(notes.join(' '), new RegExp(`Segment ${scene.segment(2)} stays: since this run began it was kept or needed again`));
    assert.equal((await scene.prune()).lifted, 1, 'and the next run takes its mark away');
  });

  it('leaves a segment whose mark a copy has lifted to rely on it', async () => {
    await twoDeadSegments();
    const { removed } = await pruneWhile(vaultPaths.segmentIndex('lab', scene.segment(1)), async () => {
      for (const name of await scene.names(vaultPaths.tombstones('lab'))) if (name.startsWith(scene.segment(2))) await scene.here.vault.remove(vaultPaths.tombstones('lab') + name);
    });
    assert.deepEqual([removed.segments, await isWhole(2)], [1, true]);
  });

  it('leaves a backup that is the newest verified one by now, because a newer one was found damaged', async () => {
    for (const day of [1, 2, 3]) await scene.putBackup(day, []);
    assert.deepEqual((await scene.prune()).marked.backups.length, 2);
    await scene.ageMarks(8);
    const at = '2026-11-04T02:00:00.000Z';
    const good = JSON.parse((await scene.here.vault.readAll(vaultPaths.verdict('lab', scene.id(3), '2026-11-03T02:00:00.000Z'), 65536)).toString()) as object;
    const { removed } = await pruneWhile(manifest(1), () => scene.put(vaultPaths.verdict('lab', scene.id(3), at), JSON.stringify({ ...good, at, result: 'bad', findings: 1 })));
    assert.deepEqual(removed.backups, [scene.id(1)]);
    assert.ok(await scene.here.vault.stat(manifest(2)));
  });

  it('stops removing when a restore passes its point of no return', async () => {
    for (const day of [1, 2, 3]) await scene.putBackup(day, []);
    await scene.prune();
    await scene.ageMarks(8);
    const { removed, notes } = await pruneWhile(manifest(1), async () => void (await leaveRecord(scene.here.vault, restoreRecord())));
    assert.deepEqual(removed.backups, [scene.id(1)]);
    assert.match(notes.join(' '), /Nothing is removed while a restore of this cluster is unfinished\. The restore restore_lab_1 .* Way out: .*drydock reconcile lab --end-restore restore_lab_1/);
  });

  it('does not count a hold as over by a time that is later than what it saw', async () => {
    await twoDeadSegments();
    const real = openCluster({ config: scene.config(), configPath: 'drydock.yaml', namespace: 'default', client: undefined as never }, 'lab');
    const order: string[] = [];
    const watched = Object.assign(Object.create(real.vault) as Vault, {
      clock: () => (order.push('clock'), real.vault.clock()),
      list: (prefix: string) => (order.push('list'), real.vault.list(prefix)),
    });
    await readPicture(watched, 'lab');
    assert.equal(order[0], 'clock');
  });
});
