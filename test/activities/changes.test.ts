import assert from 'node:assert/strict';
import { recordFreeze, freeze } from '../../activities/backup/freeze';
import { thaw } from '../../activities/backup/thaw';
import { changesOf } from '../../activities/changes';
import { endRestore } from '../../activities/reconcile/end-restore';
import { listChanges, putBack } from '../../activities/reconcile/put-back';
import { sweepContainers } from '../../activities/reconcile/sweep';
import { holdDeletions, recordHold } from '../../activities/restore/settings';
import { startReplica, stopReplica } from '../../activities/restore/stop';
import { hasPassedNoReturn, markFinished, markUnfinished, passNoReturn, unfinishedFences, unfinishedRestores, unmarkUnfinished } from '../../activities/restore/unfinished';
import { warnOfRecords } from '../../activities/restore/where-recorded';
import type { FreezeRecorded } from '../../activities/contract';
import { DrydockError } from '../../domain/errors';
import { leaveRecord, freezeRecord } from '../helpers/changes';
import { GC, playedCluster, REPLICA, type Played } from '../helpers/played-cluster';
import { PLAN } from '../workflows/fixtures/activities';

const signal = new AbortController().signal;
const RUNNING = ['nginx', 'api', 'registry', 'rethinkdb'].map((part) => `node-1/dtr-${part}-${REPLICA}`);

describe('what an operation changes outside', () => {
  let played: Played;
  beforeEach(async () => {
    played = await playedCluster();
  });
  afterEach(() => played.remove());

  const standing = async () => (await played.step(() => listChanges(played.cluster))).changes;
  const down = (what: string) => (call: string): void => {
    if (call === what) throw new DrydockError('RegistryUnavailable', `${what}: it does not answer`, { remedy: 'wait' });
  };

  describe('by a freeze', () => {
    const backup = (n: number) => ({ cluster: 'lab', operation: 'by-hand-1', backupId: `2026112${n}T020000Z-1a2b3c` });
    const record = (n: number, runId: string, attempt = 1): Promise<FreezeRecorded> => played.step(() => recordFreeze(played.cluster, backup(n)), { runId, attempt });
    const frozen = async (n: number, runId: string) => {
      const recorded = await record(n, runId);
      await played.step(() => freeze(played.cluster, recorded.record, signal), { runId });
      return recorded.record;
    };

    it('is recorded before, begun before the first cron goes, and ended once it was put back', async () => {
      const { record: first } = await record(3, 'run-1');
      assert.deepEqual((await standing()).map(({ state }) => state), ['planned']);
      played.breakAt = down('delete onlinegc');
      await assert.rejects(played.step(() => freeze(played.cluster, first, signal)), /does not answer/);
      assert.deepEqual((await standing()).map(({ state, revision }) => [state, revision]), [['begun', 2]]);
      played.breakAt = () => undefined;
      await played.step(() => freeze(played.cluster, first, signal));
      assert.deepEqual(played.crons.size, 0);
      assert.deepEqual((await record(3, 'run-1', 2)).record.crons.map(({ action }) => action), ['onlinegc'], 'a later attempt goes by the record');
      assert.deepEqual(await played.step(() => thaw(played.cluster, first)), { putBack: ['onlinegc'], left: [] });
      assert.deepEqual([await standing(), played.crons.get('onlinegc')], [[], GC]);
    });

    it('is put back by the next backup, which says who had left it, though the workflow id is the same', async () => {
      await frozen(3, 'run-1');
      const { record: next, warnings } = await record(4, 'run-2', 2);
      assert.match(warnings.join(), /switched off since .* by the operation by-hand-1 \(run run-1\); it was put back first: onlinegc\./);
      assert.deepEqual([next.runId, next.crons], ['run-2', [GC]]);
      assert.equal((await standing()).length, 1);
    });

    it('that never began changes nothing: a cron that was removed on purpose since stays away', async () => {
      await record(3, 'run-1');
      played.crons.clear();
      const { record: next, warnings } = await record(4, 'run-2');
      assert.deepEqual([next.crons, warnings, played.calls], [[], [], []]);
    });

    it('that somebody set anew meanwhile is not undone', async () => {
      const dead = await frozen(3, 'run-1');
      played.crons.set('onlinegc', { ...GC, schedule: '0 30 4 * * 0' });
      const { warnings } = await record(4, 'run-2');
      assert.match(warnings.join(), /onlinegc is set to "0 30 4 \* \* 0" and stays so; before the freeze it was "0 0 1 \* \* \*"/);
      assert.notEqual((await standing())[0]?.id, dead.id);
    });

    it('that cannot be put back is taken over by the next backup, which makes its backup and puts it back', async () => {
      await frozen(3, 'run-1');
      played.breakAt = down('put onlinegc');
      const { record: next, warnings } = await record(4, 'run-2');
      assert.match(warnings.join(), /could not be put back now .* this backup puts it back at its end/);
      assert.deepEqual([next.crons.map(({ action }) => action), (await standing()).map(({ runId }) => runId)], [['onlinegc'], ['run-2']]);
      await played.step(() => freeze(played.cluster, next, signal), { runId: 'run-2' });
      played.breakAt = () => undefined;
      assert.deepEqual((await played.step(() => thaw(played.cluster, next), { runId: 'run-2' })).putBack, ['onlinegc']);
    });

    it('by another installation is put back, with the word that it may still run', async () => {
      played.crons.clear();
      await leaveRecord(played.mirror.vault, freezeRecord());
      const { warnings } = await record(4, 'run-2');
      assert.match(warnings.join(), /of another installation of Drydock \(on ops-1; whether it still runs there cannot be seen from here/);
      assert.deepEqual([...played.crons.keys()], ['onlinegc']);
    });
  });

  describe('by a stop', () => {
    const step = { operation: 'restore_lab_1', id: REPLICA, node: 'node-1' };

    it('is exactly put back, in the right order, by a run that lost all it knew in the middle', async () => {
      played.containers.get(RUNNING[0]!)!.running = false;
      played.breakAt = down(`stop ${RUNNING[2]!}`);
      await assert.rejects(played.step(() => stopReplica(played.cluster, step)), /does not answer/);
      played.breakAt = () => undefined;
      assert.deepEqual(await played.step(() => stopReplica(played.cluster, step), { attempt: 2 }), { stopped: RUNNING.slice(1) });
      played.calls.length = 0;
      await played.step(() => startReplica(played.cluster, { ...step, containers: [] }));
      assert.deepEqual(played.calls, [...RUNNING.slice(1)].reverse().map((name) => `start ${name}`));
      assert.deepEqual(await standing(), []);
    });

    it('that never came to its record is no reason to start anything', async () => {
      await played.step(() => startReplica(played.cluster, { ...step, containers: [] }));
      assert.deepEqual(played.calls, []);
    });

    it('is put back by reconcile, with vaults that can only be read and with an empty stateDir', async () => {
      await played.step(() => stopReplica(played.cluster, step));
      played.main.mood = 'readOnly';
      const [change] = await standing();
      const result = await played.step(() => putBack(played.cluster, change!), { runId: 'run-9' });
      assert.deepEqual(result.putBack, [`the containers of replica ${REPLICA} on node-1, which restore_lab_1 had stopped, were started`]);
      assert.ok([...played.containers.values()].every(({ running }) => running));
      assert.deepEqual(await standing(), []);
    });
  });

  describe('by a restore', () => {
    const step = { cluster: 'lab', operation: 'restore_lab_1', decisions: PLAN.decisions };
    const put = (runId: string) => async () => {
      const results = [];
      for (const change of await standing()) results.push(await played.step(() => putBack(played.cluster, change), { runId }));
      return { putBack: results.flatMap((each) => each.putBack), left: results.flatMap((each) => each.left) };
    };
    const reconciled = put('run-9');
    const run = <T>(work: (cluster: Played['cluster'], input: typeof step) => Promise<T>, runId = 'run-1'): Promise<T> => played.step(() => work(played.cluster, step), { runId });

    it('is marked although the vault that is read takes nothing, and the plan says where the mark goes', async () => {
      played.main.mood = 'readOnly';
      assert.deepEqual(await played.step(() => warnOfRecords(played.cluster, step.decisions)), ['vault main takes no record of what this restore changes: it is mounted read-only; it is kept in the other vaults of the cluster']);
      played.mirror.mood = 'readOnly';
      const warnings = await played.step(() => warnOfRecords(played.cluster, step.decisions));
      assert.match(warnings.at(-1)!, /no vault of the cluster takes a record: it is kept in this worker's stateDir alone/);
      await run(markUnfinished);
      assert.equal(await run(hasPassedNoReturn), false);
      await run(passNoReturn);
      assert.equal(await run(hasPassedNoReturn), true);
    });

    it('is before its point of no return until something is destroyed, and reconcile takes it all back', async () => {
      await played.step(() => stopReplica(played.cluster, { operation: step.operation, id: REPLICA, node: 'node-1' }));
      await run(markUnfinished);
      assert.deepEqual(await run((cluster) => unfinishedRestores(cluster)), []);
      const { putBack: done, left } = await reconciled();
      assert.equal(done.length, 2);
      assert.match(left.join(), /may have taken node-3 out of the Swarm/);
      assert.ok([...played.containers.values()].every(({ running }) => running));
      assert.deepEqual(await standing(), []);
    });

    it('behind it is said, with what to do, and stays until a person ends it', async () => {
      await played.step(() => stopReplica(played.cluster, { operation: step.operation, id: REPLICA, node: 'node-1' }));
      await run(markUnfinished);
      await run(passNoReturn);
      played.calls.length = 0;
      const { putBack: done, left } = await reconciled();
      assert.deepEqual([done, played.calls], [[], []]);
      assert.match(left.join(), /restore_lab_1 .* is behind its point of no return .*: replicas are destroyed, all or some, and nothing is restored yet; taken out of the Swarm: node-3\. Way out: start the restore again .*drydock reconcile lab --end-restore restore_lab_1/);
      await assert.rejects(played.step(() => endRestore(played.cluster, 'another')), /no unfinished restore of lab is recorded as another/);
      const ended = await played.step(() => endRestore(played.cluster, 'restore/lab/1'));
      assert.deepEqual(ended.putBack, ['the record of the unfinished restore restore_lab_1 was removed']);
      assert.match(ended.left.join(), /Containers of replica 00000000000a on node-1 had been stopped/);
      assert.deepEqual(await standing(), []);
    });

    it('that came to its end takes away the marks of its earlier attempts in all vaults, also one that was away', async () => {
      await run(markUnfinished, 'run-1');
      await run(passNoReturn, 'run-1');
      await run(markUnfinished, 'run-2');
      assert.deepEqual((await standing()).map(({ runId }) => runId), ['run-1', 'run-2']);
      assert.deepEqual(await run((cluster) => unfinishedFences(cluster)), ['node-3']);
      played.main.mood = 'away';
      assert.deepEqual(await run(markFinished, 'run-2'), { warnings: [] });
      played.main.mood = 'well';
      assert.deepEqual(await run((cluster) => unfinishedRestores(cluster)), []);
      await played.step(() => changesOf(played.cluster).tidy());
      assert.deepEqual(await played.step(() => changesOf(played.cluster).read()), { changes: [], unread: [], damaged: [] });
    });

    it('whose attempt before had taken hosts out of the Swarm keeps them when its own mark is taken back', async () => {
      await run(markUnfinished, 'run-1');
      await run(passNoReturn, 'run-1');
      await run(markUnfinished, 'run-2');
      await run(unmarkUnfinished, 'run-2');
      assert.deepEqual(await run((cluster) => unfinishedFences(cluster)), ['node-3']);
      assert.equal((await run((cluster) => unfinishedRestores(cluster))).length, 1);
    });

    it('does not destroy without a record', async () => {
      await assert.rejects(run(passNoReturn), /nothing is destroyed without one/);
    });

    it('holds crons that only the metadata had by a list that outlives its worker', async () => {
      const { held } = await run(recordHold);
      played.breakAt = down('delete onlinegc');
      await assert.rejects(run((cluster) => holdDeletions(cluster, { held })), /does not answer/);
      played.crons.clear();
      assert.deepEqual((await played.step(() => recordHold(played.cluster, step), { attempt: 2 })).held, [GC]);
      const { left } = await reconciled();
      assert.deepEqual(left, ['The restore restore_lab_1 holds the registry read-only until it is confirmed; it disabled the crons onlinegc ("0 0 1 * * *").']);
      played.settings.readOnlyRegistry = true;
      const ended = await played.step(() => endRestore(played.cluster, 'restore_lab_1'));
      assert.deepEqual(ended.left, ['The registry is read-only: open it in its settings when it is right.', 'The restore had disabled onlinegc ("0 0 1 * * *"): set them again when what they delete can go.']);
    });
  });

  it('by a freeze before a disaster does not keep reconcile waiting for a registry that is gone, and ends with the restore', async () => {
    const dead = await played.step(() => recordFreeze(played.cluster, { cluster: 'lab', operation: 'b', backupId: '20261123T020000Z-1a2b3c' }));
    await played.step(() => freeze(played.cluster, dead.record, signal));
    const step = { cluster: 'lab', operation: 'restore_lab_1', decisions: PLAN.decisions };
    await played.step(() => markUnfinished(played.cluster, step));
    await played.step(() => passNoReturn(played.cluster, step));
    played.breakAt = down('put onlinegc');
    const [first] = await standing();
    const { left } = await played.step(() => putBack(played.cluster, first!));
    assert.match(left.join(), /b had switched off onlinegc \("0 0 1 \* \* \*"\), and the registry does not take them back now/);
    await played.step(() => markFinished(played.cluster, step));
    assert.deepEqual(await standing(), []);
  });

  it('in volumes with which a plan tried a mount is removed', async () => {
    played.containers.clear();
    played.volumes = new Set([`node-1/drydock-probe-${REPLICA}`, `node-1/dtr-registry-${REPLICA}`]);
    await played.step(() => sweepContainers(played.cluster, signal));
    assert.deepEqual([...played.volumes], [`node-1/dtr-registry-${REPLICA}`]);
  });

  it('in containers that dead operations left is ended, those of other clusters and of others are not', async () => {
    const container = (cluster: string | undefined) => ({ running: true, labels: { ...(cluster === undefined ? {} : { 'drydock.operation': 'dead', 'drydock.cluster': cluster }) } });
    played.containers = new Map([['node-1/hold', container('lab')], ['node-1/other', container('lab2')], ['node-1/theirs', container(undefined)]]);
    assert.deepEqual(await played.step(() => sweepContainers(played.cluster, signal)), { putBack: ['the container node-1/hold of dead was removed'], left: [] });
    assert.deepEqual([...played.containers.keys()], ['node-1/other', 'node-1/theirs']);
  });

  it('is not taken for nothing where a place cannot be read', async () => {
    played.mirror.mood = 'away';
    const { notes } = await played.step(() => listChanges(played.cluster));
    assert.deepEqual(notes, ['What was recorded in vault mirror only is not known: it does not answer.']);
  });
});
