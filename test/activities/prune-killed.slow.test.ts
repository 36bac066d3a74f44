import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openCluster, type Cluster } from '../../activities/cluster';
import { prune as pruneStep } from '../../activities/retention/prune';
import { vaultPaths } from '../../domain/vault-format';
import { activityEnvironment } from '../helpers/backup-run';
import { Killed, killedAfter } from '../helpers/failing-vault';
import { pruneScene } from '../helpers/prune-scene';

describe('prune', function () {
  this.timeout(180_000);

  it('ends by the next run what a run that was killed at any step has left, and keeps what is kept', async () => {
    const { here, id, segment, config, prune, put, putSegment, putBackup, names, ageMarks } = await pruneScene();
    const doomed = join(here.path, 'doomed');
    for (const [day, verified] of [[1, true], [2, true], [3, true]] as const) {
      await putSegment(segment(day));
      await putBackup(day, [segment(day), ...(day === 3 ? [segment(2)] : [])], verified);
    }
    await put(`${vaultPaths.backup('lab', id(4))}/tree.tar.gz.gpg`, 'never sealed');
    await putSegment(segment(5));
    await prune();
    await ageMarks(8);
    const kept = [`${id(3)}/RESTORE.md`, `${id(3)}/manifest.json`, `${id(3)}/segments.jsonl`];
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
    await here.remove();
  });
});
