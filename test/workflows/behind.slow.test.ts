import assert from 'node:assert/strict';
import type { Confirmed } from '../../activities/contract';
import type { RestoreResult } from '../../domain/contract';
import { failure, playActivities, POLICY, untilCancelled } from './fixtures/activities';
import { failureOf, until, withRun, type Run } from './fixtures/harness';

const ODD: Confirmed = {
  repositories: 1, tags: 1, pulled: 1, differences: ['the setting log level is "WARN", in the backup "INFO"'], differenceCount: 1, missing: ['admin/deep:level5: a layer is not there'], missingCount: 1,
  notJudged: [], digest: '9'.repeat(64),
};

async function beyondDestroy(run: Run): Promise<void> {
  for (const name of ['plan', 'destroy']) {
    await run.gate(name);
    await run.decide({});
  }
}

describe('a restore behind the point of no return', function () {
  this.timeout(60_000);

  it('asks people when a step fails for good, and tries it again when they say so', async () => {
    let tries = 0;
    const usual = playActivities().activities;
    const { activities } = playActivities({
      readPolicy: async () => ({ ...POLICY, releaseGate: false }),
      restoreImages: async (step) => {
        if ((tries += 1) === 1) throw failure('NoSpace', 'node-1 has no room for the images.');
        return usual.restoreImages(step);
      },
    });
    const result = await withRun('restore', activities, async (run) => {
      await beyondDestroy(run);
      const gate = await run.gate('images-failed');
      assert.match(gate.question, /"Images" failed: node-1 has no room for the images\./);
      assert.match(gate.details, /The registry is destroyed; its images are being written/);
      assert.match((await failureOf(run.decide({ decision: 'approve' }))).message, /does not take "approve"; it takes "retry" \(try this step again.*or "reject"/);
      await run.decide({ decision: 'retry' });
      return (await run.handle.result()) as RestoreResult;
    });
    assert.deepEqual([result.status, tries], ['restored', 2]);
  });

  it('ends as unfinished with the state of the registry when people stop it there', async () => {
    const { activities } = playActivities({ restoreMetadata: async () => { throw failure('BootstrapperFailed', 'phase 2 failed.'); } });
    const failed = await withRun('restore', activities, async (run) => {
      await beyondDestroy(run);
      await run.gate('metadata-failed');
      await run.decide({ decision: 'reject', reason: 'enough for tonight' });
      return failureOf(run.handle.result());
    });
    assert.equal(failed.type, 'Unfinished');
    assert.match(failed.message, /phase 2 failed\. operator stopped the restore there: enough for tonight\. The images lie on node-1; the metadata is not restored/);
  });

  it('that is cancelled ends as failed, and says what state the registry is in', async () => {
    const { activities, calls } = playActivities({ restoreImages: untilCancelled });
    const failed = await withRun('restore', activities, async (run) => {
      await beyondDestroy(run);
      await until(async () => calls.includes('restoreImages') || undefined, 'the images');
      await run.handle.cancel();
      return failureOf(run.handle.result());
    });
    assert.equal(failed.type, 'Unfinished');
    assert.match(failed.message, /cancelled behind the point of no return, from where nothing can be put back\. The registry is destroyed/);
    assert.ok(!calls.includes('startReplica'));
  });

  it('puts what differs to people, and carries what they accept into its result', async () => {
    const { activities } = playActivities({ readPolicy: async () => ({ ...POLICY, releaseGate: false }), confirmRestore: async () => ODD });
    const result = await withRun('restore', activities, async (run) => {
      await beyondDestroy(run);
      const gate = await run.gate('confirm');
      assert.match(gate.details, /### Images that cannot be pulled\n\n- admin\/deep:level5: a layer is not there\n\n### Other differences\n\n- the setting log level/);
      assert.equal(gate.planDigest, ODD.digest);
      await run.decide({ reason: 'level5 is nobody\'s' });
      return (await run.handle.result()) as RestoreResult;
    });
    assert.deepEqual([result.differenceCount, result.accepted?.by, result.accepted?.reason], [2, 'operator', 'level5 is nobody\'s']);
    assert.deepEqual(result.differences, [...ODD.missing, ...ODD.differences]);
  });

  it('looks again when people ask for it, and goes on when nothing differs any more', async () => {
    let looks = 0;
    const usual = playActivities().activities;
    const { activities } = playActivities({ readPolicy: async () => ({ ...POLICY, releaseGate: false }), confirmRestore: async (step) => ((looks += 1) === 1 ? ODD : usual.confirmRestore(step)) });
    const result = await withRun('restore', activities, async (run) => {
      await beyondDestroy(run);
      await run.gate('confirm');
      await run.decide({ decision: 'retry' });
      return (await run.handle.result()) as RestoreResult;
    });
    assert.deepEqual([looks, result.accepted, result.differences], [2, null, []]);
  });

  it('says that the registry is read-only and which crons are off when people reject what it is like', async () => {
    const { activities, calls } = playActivities({ confirmRestore: async () => ODD });
    const failed = await withRun('restore', activities, async (run) => {
      await beyondDestroy(run);
      await run.gate('confirm');
      await run.decide({ decision: 'reject', reason: 'not this one' });
      return failureOf(run.handle.result());
    });
    assert.equal(failed.type, 'Unfinished');
    assert.match(failed.message, /not this one\. The registry is restored on node-1, not confirmed, and read-only\. These crons are switched off: onlinegc/);
    assert.ok(!calls.includes('joinReplica'));
  });

  it('that is done stays done when its last small calls fail', async () => {
    const { activities } = playActivities({
      readPolicy: async () => ({ ...POLICY, releaseGate: false }),
      reportReturned: async () => { throw failure('NotFound', 'the disk of the vault is not mounted.'); },
      markFinished: async () => { throw failure('NotFound', 'the disk of the vault is not mounted.'); },
    });
    const result = await withRun('restore', activities, async (run) => {
      await beyondDestroy(run);
      return (await run.handle.result()) as RestoreResult;
    });
    assert.equal(result.status, 'restored');
    assert.match(result.warnings.join(' '), /The restore is done, but its mark stays: the disk of the vault is not mounted/);
  });

  it('leaves a registry read-only that was so before the backup', async () => {
    const plan = await playActivities().activities.planRestore({} as never);
    const set: boolean[] = [];
    const { activities } = playActivities({
      readPolicy: async () => ({ ...POLICY, releaseGate: false }),
      planRestore: async () => ({ ...plan, decisions: { ...plan.decisions, readOnly: true } }),
      setReadOnly: async ({ readOnly }) => void set.push(readOnly),
    });
    await withRun('restore', activities, async (run) => {
      await beyondDestroy(run);
      await run.handle.result();
    });
    assert.deepEqual(set, [true, true]);
  });
});
