import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import { IS_LONG } from '../helpers/long';
import { scratchDirectory, type Scratch } from '../helpers/vault';
import { comparable, judgeBackup, judgeRestore, refuseLeftovers, stateOf, withoutProbes } from '../stand-in/judge';
import type { Point } from '../stand-in/door';
import { BACKUP, scenesOf } from '../stand-in/scenes';
import { HASTY, KILLED } from '../stand-in/schedule';
import { Stage, type Played, type Scene } from '../stand-in/stage';

const A_STEP = 2;
const AT_ONCE = 12;
const STOP_MS = 1_000;

/**
 * Every changing step of every operation, cut after each of its calls: the run is cancelled there, or its worker dies. Steps and calls are those of a
 * clean run, so that a new step is swept as soon as there is one.
 */
describe('a run that is cut in the middle', function () {
  this.timeout(IS_LONG ? 1_500_000 : 600_000);
  const clean = new Map<string, Played>();
  let scenes: Scene[] = [];
  let scratch: Scratch;
  let stage: Stage;

  before(async () => {
    scratch = await scratchDirectory();
    stage = new Stage(scratch.path);
    await stage.start();
    const made = await scenesOf(stage);
    ({ scenes } = made);
    clean.set(BACKUP.operation, made.made);
    await Promise.all(scenes.filter((scene) => scene !== BACKUP).map(async (scene) => clean.set(scene.operation, await stage.play(scene))));
  });

  after(async () => {
    await stage.stop();
    await scratch.remove();
  });

  it('would change something in each operation, and ends well when it is not cut', () => {
    for (const [operation, { status, message, door }] of clean) {
      assert.equal(status, 'completed', `${operation}: ${message}`);
      assert.ok(door.changing().length > 0, operation);
    }
  });

  for (const operation of ['backup', 'restore', 'reconcile', 'prune', 'forget', 'copy']) {
    it(`leaves what its report says when it is cancelled: ${operation}`, () => sweep(operation, 'cancel', async (played) => {
      refuseLeftovers(played);
      if (played.status === 'completed') return assert.deepEqual(endOf(played), endOf(clean.get(operation)!));
      if (operation === 'restore') return judgeRestore(played, clean.get('restore')!);
      assert.notEqual(played.status, 'failed', played.message);
      if (operation === 'backup') return judgeBackup(played);
      // What is left half done is done by the same operation once more.
      const again = await stage.again(played);
      assert.equal(again.status, 'completed', again.message);
      assert.deepEqual(endOf(again), endOf(clean.get(operation)!));
    }));
  }

  for (const operation of ['backup', 'restore', 'reconcile', 'prune', 'forget', 'copy']) {
    it(`goes on to the same end with the next attempt when its worker dies: ${operation}`, () => sweep(operation, 'kill', async (played) => {
      assert.equal(played.status, 'completed', played.message);
      refuseLeftovers(played);
      assert.deepEqual(comparable(withoutProbes(played.after), played.cluster), endOf(clean.get(operation)!));
    }));
  }

  it('would leave containers stopped if its undo did not wait for the step, so the sweep can fail', async () => {
    const restore = scenes.find((scene) => scene.operation === 'restore')!;
    const slow: Scene = { ...restore, world: async (...place) => Object.assign(await restore.world(...place), { stopMs: STOP_MS }) };
    const [step = ''] = clean.get('restore')!.door.changing().filter((name) => name.startsWith('stopReplica'));
    // Others are still to be stopped behind the first.
    const call = 1 + clean.get('restore')!.door.calls.get(step)!.findIndex(({ what }) => what.startsWith('engine.stopContainer'));
    const point: Point = { step, call, act: 'cancelUnheard' };
    const [hasty, patient] = await Promise.all([stage.play(slow, point, HASTY), stage.play(slow, point)]);
    // What the step had begun comes to its end behind that of the run.
    await sleep(STOP_MS);
    const after = await stateOf(hasty.world);
    assert.throws(() => judgeRestore({ ...hasty, after }, clean.get('restore')!), assert.AssertionError);
    judgeRestore(patient, clean.get('restore')!);
  });

  async function sweep(operation: string, act: 'cancel' | 'kill', judge: (played: Played) => Promise<void> | void): Promise<void> {
    const scene = scenes.find((each) => each.operation === operation)!;
    const limit = pLimit(AT_ONCE);
    const wrong = await Promise.all(pointsOf(clean.get(operation)!, act).map((point) => limit(async () => {
      const played = await stage.play(scene, point, act === 'kill' ? KILLED : '');
      const where = `after ${played.door.calls.get(point.step)?.[point.call - 1]?.what} (call ${point.call} of ${point.step}), ${played.status}`;
      try {
        // Calls that run side by side come in any order, so that a step may have fewer before its last.
        if (played.door.isReached) await judge(played);
        return [];
      } catch (error) {
        return [`${where}: ${error instanceof Error ? error.message : String(error)}`];
      }
    })));
    assert.deepEqual(wrong.flat(), []);
  }
});

function endOf({ after, cluster }: Played): unknown {
  return comparable(after, cluster);
}

function pointsOf({ door }: Played, act: Point['act']): Point[] {
  const day = Math.floor(Date.now() / 86_400_000);
  return door.changing().flatMap((step) => {
    const { length } = door.calls.get(step)!;
    const all = Array.from({ length }, (_, at) => ({ step, call: at + 1, act }));
    if (IS_LONG) return all;
    const changes = all.filter(({ call }) => door.calls.get(step)![call - 1]!.changes);
    // One after a change, and one anywhere.
    return [changes[day % changes.length]!, all[(day * 7) % length]!].slice(0, A_STEP).filter(({ call }, at, chosen) => chosen.findIndex((each) => each.call === call) === at);
  });
}
