import assert from 'node:assert/strict';
import type { Activities } from '../../activities/contract';
import type { ForgetResult } from '../../domain/forget';
import { failure, playActivities, POLICY } from './fixtures/activities';
import { failureOf, withRun, type Run } from './fixtures/harness';

const BACKUP = '20261123T020000Z-1a2b3c';
const policy = async (): ReturnType<Activities['readPolicy']> => ({ ...POLICY, approvers: ['operator', 'second'], verify: 'off', vault: 'main', copies: ['mirror'] });
const resultOf = (run: Run): Promise<ForgetResult> => run.handle.result() as Promise<ForgetResult>;

describe('forget in a workflow', function () {
  this.timeout(90_000);

  it('marks the backup in the first vault and in the copies, without people where others remain', async () => {
    const { activities, calls } = playActivities({ readPolicy: policy });
    const result = await withRun('forget', activities, resultOf, { backup: BACKUP, startedBy: 'officer' });
    assert.deepEqual(calls, ['readPolicy', 'planForget', 'forgetBackup', 'forgetBackup']);
    assert.deepEqual([result.approvedBy, result.vaults.map(({ vault, state }) => [vault, state])], [null, [['main', 'marked'], ['mirror', 'marked']]]);
  });

  it('waits for people at its gate, asks anew when what remains has changed, and says in the mark that it was approved', async () => {
    let plans = 0;
    const approved: boolean[] = [];
    const { activities } = playActivities({
      readPolicy: policy,
      planForget: async () => ({ backupId: BACKUP, gate: 'it is the last verified backup of this cluster', details: '### What remains', digest: (plans += 1) === 1 ? 'a'.repeat(64) : 'b'.repeat(64) }),
      forgetBackup: async (step) => {
        approved.push(step.approved);
        return { vault: step.vault!, state: 'marked', removableFrom: null };
      },
    });
    const result = await withRun('forget', activities, async (run) => {
      assert.match((await run.gate('forget')).question, /people decide because it is the last verified backup/);
      await run.decide({ by: 'operator' });
      const second = await run.gate('forget');
      while ((await run.state()).gate?.planDigest !== 'b'.repeat(64)) await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(second.details, '### What remains');
      await run.decide({ by: 'second' });
      return resultOf(run);
    }, { backup: BACKUP });
    assert.deepEqual([result.approvedBy, approved, result.notes], ['second', [true, true], ['What remains changed while the run waited; it was put to people again.']]);
  });

  it('changes nothing when people reject it', async () => {
    const { activities, calls } = playActivities({ readPolicy: policy, planForget: async () => ({ backupId: BACKUP, gate: 'it is the last one', details: '', digest: 'a'.repeat(64) }) });
    const { type } = await withRun('forget', activities, async (run) => {
      await run.gate('forget');
      await run.decide({ decision: 'reject', reason: 'no' });
      return failureOf(run.handle.result());
    }, { backup: BACKUP });
    assert.deepEqual([type, calls.includes('forgetBackup')], ['Rejected', false]);
  });

  it('is taken back where it stands, and a copy that cannot be reached is a note', async () => {
    const { activities, calls } = playActivities({
      readPolicy: policy,
      rememberBackup: async ({ vault = '' }) => {
        if (vault === 'mirror') throw failure('VaultUnavailable', 'mirror does not answer');
        return { vault, state: 'lifted', removableFrom: null };
      },
    });
    const result = await withRun('forget', activities, resultOf, { backup: BACKUP, undo: true });
    assert.deepEqual(calls, ['readPolicy', 'rememberBackup', 'rememberBackup']);
    assert.deepEqual([result.vaults.map(({ state }) => state), result.notes], [['lifted', 'failed'], ['Nothing was changed in mirror: mirror does not answer Do it there later with --vault mirror.']]);
    const absent = playActivities({ readPolicy: policy, rememberBackup: async ({ vault = '' }) => ({ vault, state: 'absent', removableFrom: null }) });
    assert.equal((await withRun('forget', absent.activities, (run) => failureOf(run.handle.result()), { backup: BACKUP, undo: true })).type, 'NotFound');
  });
});
