import assert from 'node:assert/strict';
import type { Activities } from '../../activities/contract';
import type { BackupResult } from '../../domain/contract';
import type { CopyResult } from '../../domain/copy';
import type { PruneResult } from '../../domain/prune-result';
import { failure, playActivities, POLICY } from './fixtures/activities';
import { failureOf, withRun } from './fixtures/harness';

const policy = async (): ReturnType<Activities['readPolicy']> => ({ ...POLICY, approvers: [], verify: 'off', prunes: true, vault: 'main', copies: ['mirror', 'tape'] });

describe('copies in workflows', function () {
  this.timeout(90_000);

  it('are filled from the first vault, or from one to another where that is asked for', async () => {
    const asked: string[] = [];
    const { activities } = playActivities({
      readPolicy: policy,
      copyBackups: async ({ from, to }) => {
        asked.push(`${from} to ${to}`);
        return { vault: to, copied: [], already: 1, leftOut: [], objects: 0, bytes: 0, findingCount: 0, findings: [], notes: [] };
      },
    });
    const result = await withRun('copy', activities, (run) => run.handle.result() as Promise<CopyResult>);
    assert.deepEqual([result.from, result.copies.map(({ vault }) => vault)], ['main', ['mirror', 'tape']]);
    await withRun('copy', activities, (run) => run.handle.result(), { from: 'mirror' });
    await withRun('copy', activities, (run) => run.handle.result(), { to: 'tape' });
    assert.deepEqual(asked, ['main to mirror', 'main to tape', 'mirror to main', 'main to tape']);
    const same = await withRun('copy', activities, (run) => failureOf(run.handle.result()), { from: 'main', to: 'main' });
    assert.equal(same.type, 'InvalidInput');
  });

  it('follow each backup before retention, which then goes through them, too', async () => {
    const played = playActivities({ readPolicy: policy });
    const result = await withRun('backup', played.activities, (run) => run.handle.result() as Promise<BackupResult>);
    assert.deepEqual(played.calls.slice(played.calls.indexOf('seal') + 1), ['copyBackups', 'copyBackups', 'prune', 'prune', 'prune', 'cleanUp']);
    assert.deepEqual(result.copies, ['mirror', 'tape'].map((vault) => ({ vault, copied: ['20261123T020000Z-1a2b3c'], bytes: 10, findingCount: 0 })));
  });

  it('are a warning of the backup, never its failure, when they cannot be reached or have findings', async () => {
    const { activities } = playActivities({
      readPolicy: policy,
      copyBackups: async ({ to }) => {
        if (to === 'mirror') throw failure('VaultUnavailable', 'mirror does not answer');
        return { vault: to, copied: [], already: 0, leftOut: [], objects: 0, bytes: 0, findingCount: 1, findings: [{ backupId: null, segment: 's', file: 'f', vault: 'main', what: 'f is gone', intactIn: 'tape' }], notes: [] };
      },
    });
    const result = await withRun('backup', activities, (run) => run.handle.result() as Promise<BackupResult>);
    assert.equal(result.status, 'complete');
    assert.match(result.warnings.join('\n'), /the copy mirror could not be filled; it catches up .*: mirror does not answer\nIn main: f is gone \(intact in tape\)\./);
  });

  it('are pruned after the first vault, and one that cannot be reached is a note', async () => {
    const usual = playActivities().activities;
    const { activities } = playActivities({
      readPolicy: policy,
      prune: async (step) => {
        if (step.vault === 'mirror') throw failure('VaultUnavailable', 'mirror does not answer');
        return { ...(await usual.prune(step)), vault: step.vault ?? 'main' };
      },
    });
    const { vault, copies = [] } = await withRun('prune', activities, (run) => run.handle.result() as Promise<PruneResult>);
    assert.deepEqual([vault, copies.map((copy) => copy.vault), copies[0]!.notes], ['main', ['mirror', 'tape'], ['Retention in the copy mirror did not end: mirror does not answer']]);
  });

  it('can be what a restore or a verification reads', async () => {
    const vaults = new Set<string | undefined>();
    const usual = playActivities().activities;
    const { activities } = playActivities({
      verifyBackup: async (step) => {
        vaults.add(step.vault);
        return usual.verifyBackup(step);
      },
      planRestore: async (step) => {
        vaults.add(step.vault);
        throw failure('Refused', 'enough');
      },
    });
    await withRun('verify', activities, (run) => run.handle.result(), { vault: 'mirror' });
    await withRun('restore', activities, (run) => failureOf(run.handle.result()), { vault: 'mirror' });
    assert.deepEqual([...vaults], ['mirror']);
  });
});
