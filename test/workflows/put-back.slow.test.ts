import assert from 'node:assert/strict';
import type { BackupResult } from '../../domain/contract';
import { failure, playActivities, POLICY } from './fixtures/activities';
import { failureOf, until, withRun } from './fixtures/harness';

const SOON = { ...POLICY, putBack: { warnAfter: 1, giveUpAfter: 3600 } };

describe('what a run has to put back', function () {
  this.timeout(60_000);

  it('is tried again whatever the error, also one that is final elsewhere', async () => {
    let tries = 0;
    const { activities } = playActivities({
      thaw: async () => {
        if ((tries += 1) < 3) throw failure('AuthRejected', 'DTR does not accept the login');
        return { putBack: ['onlinegc'], left: [] };
      },
    });
    const result = await withRun('backup', activities, (run) => run.handle.result() as Promise<BackupResult>);
    assert.deepEqual([result.status, tries, result.warnings], ['complete', 3, []]);
  });

  it('holds neither proof nor seal up, and is shown meanwhile with what is still switched off', async () => {
    let isBack = false;
    const { activities, calls } = playActivities({
      readPolicy: async () => SOON,
      thaw: async () => {
        if (!isBack) throw failure('AuthRejected', 'DTR does not accept the login');
        return { putBack: ['onlinegc'], left: [] };
      },
    });
    const result = await withRun('backup', activities, async (run) => {
      await until(async () => calls.includes('verifyBackup') || undefined, 'the verification');
      const { warnings, steps } = await run.state();
      assert.match(warnings.join(' '), /^STILL these crons are switched off: onlinegc \("0 0 1 \* \* \*"\); it is tried again and again\. The last failure: DTR does not accept the login/);
      assert.ok(['running', 'failed'].includes(steps.find(({ name }) => name === 'thaw')?.state ?? ''));
      isBack = true;
      return (await run.handle.result()) as BackupResult;
    });
    assert.equal(result.status, 'complete');
    assert.match(result.warnings.join(' '), /^For \d+ s these crons are switched off/);
  });

  it('ends a run that is cancelled meanwhile as failed, naming the crons', async () => {
    const { activities, calls } = playActivities({ readPolicy: async () => SOON, thaw: async () => { throw failure('AuthRejected', 'DTR does not accept the login'); } });
    const failed = await withRun('backup', activities, async (run) => {
      await until(async () => calls.includes('verifyBackup') || undefined, 'the verification');
      await run.handle.cancel();
      return failureOf(run.handle.result());
    });
    assert.equal(failed.type, 'NotPutBack');
    assert.match(failed.message, /The run was cancelled while it was tried: DTR does not accept the login\. Now these crons are switched off: onlinegc/);
  });
});
