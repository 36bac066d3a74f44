import assert from 'node:assert/strict';
import type { BackupResult } from '../../domain/contract';
import type { VerifyResult } from '../../domain/verify';
import { failure, playActivities, POLICY, VERIFIED } from './fixtures/activities';
import { failureOf, withRun } from './fixtures/harness';

const BAD: VerifyResult = {
  ...VERIFIED, result: 'bad', findingCount: 1,
  findings: [{ image: 'acme/app:1', digest: `sha256:${'a'.repeat(64)}`, segment: '20261123T020000Z-1a2b3c4d5e6f', file: null, what: 'its bytes are other ones', lastBackup: null }],
};

describe('verification in workflows', function () {
  this.timeout(90_000);

  it('takes level, part and backup from one object, and holds no lock', async () => {
    const asked: unknown[] = [];
    const { activities, calls } = playActivities({
      verifyBackup: async (step) => {
        asked.push(step);
        return BAD;
      },
    });
    const input = { backup: '20261123T020000Z-1a2b3c', level: 'L3', part: { n: 2, t: 7 }, startedBy: 'auditor' };
    const result = await withRun('verify', activities, (run) => run.handle.result() as Promise<VerifyResult>, input);
    assert.deepEqual(result, BAD);
    assert.deepEqual(calls, ['readPolicy', 'verifyBackup']);
    const { cluster: _cluster, operation: _operation, ...rest } = asked[0] as Record<string, unknown>;
    assert.deepEqual(rest, { backup: '20261123T020000Z-1a2b3c', level: 'L3', part: { n: 2, t: 7 }, withoutKeys: false, by: 'auditor' });
  });

  it('refuses a part beyond the whole and an unknown level at once', async () => {
    for (const wrong of [{ part: { n: 3, t: 2 } }, { level: 'L9' }]) {
      const { activities, calls } = playActivities();
      assert.equal((await withRun('verify', activities, (run) => failureOf(run.handle.result()), wrong)).type, 'InvalidInput');
      assert.deepEqual(calls, []);
    }
  });

  it('follows the seal of a backup to the configured level, and its findings are part of the result', async () => {
    let level = '';
    const { activities } = playActivities({
      readPolicy: async () => ({ ...POLICY, approvers: [], verify: 'L3' }),
      verifyBackup: async (step) => {
        level = step.level;
        return BAD;
      },
    });
    const result = await withRun('backup', activities, (run) => run.handle.result() as Promise<BackupResult>);
    assert.deepEqual([level, result.status, result.verified?.result, result.verified?.findingCount], ['L3', 'complete', 'bad', 1]);
  });

  it('is a warning of a sealed backup when it cannot be carried out, and left out where the policy says off', async () => {
    const broken = playActivities({ verifyBackup: async () => { throw failure('Refused', 'no key at hand'); } });
    const warned = await withRun('backup', broken.activities, (run) => run.handle.result() as Promise<BackupResult>);
    assert.deepEqual([warned.verified, warned.warnings], [null, ['The backup is sealed, but could not be verified: no key at hand']]);
    const off = playActivities({ readPolicy: async () => ({ ...POLICY, approvers: [], verify: 'off' }) });
    const result = await withRun('backup', off.activities, (run) => run.handle.result() as Promise<BackupResult>);
    assert.deepEqual([result.verified, off.calls.includes('verifyBackup')], [null, false]);
  });
});
