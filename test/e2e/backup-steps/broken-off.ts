/** Steps that fail or are cancelled leave nothing behind. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { CancelledFailure } from '@temporalio/common';
import { resolveSecret } from '../../../adapters/secrets/secrets';
import { activityEnvironment } from '../../helpers/backup-run';
import type { BackupScene } from './scene';

export function brokenOff(scene: BackupScene): void {
  const stored = (id: string): string[] => (existsSync(scene.backupFile(id)) ? readdirSync(scene.backupFile(id)) : []);

  describe('steps that are broken off', () => {
    it('leaves no archive when the backup command fails, and says why', async () => {
      const run = scene.newRun();
      await run.check();
      const facts = { ...run.facts, replica: { ...run.facts.replica, id: '0123456789ab' } };
      const failed = await run.failure('takeMetadata', { facts, round: 0 });
      assert.equal(failed.type, 'BootstrapperFailed', failed.message);
      assert.match(failed.message, /0123456789ab/);
      assert.equal(failed.message.includes(await resolveSecret(scene.cluster.ucp.password, 'login')), false);
      assert.deepEqual(stored(run.backupId), []);
      await run.takeMetadata();
      assert.equal((await run.takeMetadata()).root.startsWith(`dtr-backup-v${scene.version}`), true);
      await run.run('cleanUp', { abandoned: true });
      assert.deepEqual(stored(run.backupId), []);
    });

    it('refuses an archive of another version', async () => {
      const run = scene.newRun();
      await run.check();
      const failed = await run.failure('takeMetadata', { facts: { ...run.facts, version: '2.6.1' }, round: 0 });
      assert.equal(failed.type, 'VersionMismatch', failed.message);
      assert.deepEqual(stored(run.backupId), []);
    });

    it('asks for metadata and second pass again when the working files are gone', async () => {
      const run = scene.newRun();
      await run.check();
      assert.equal((await run.failure('copyImages', { facts: run.facts, pass: 2 })).type, 'WorkLost');
    });

    it('ends at once when it is cancelled, and leaves nothing half-written', async () => {
      const run = scene.newRun();
      await run.check();
      scene.push('cancelled');
      const environment = activityEnvironment();
      environment.on('heartbeat', () => environment.cancel());
      const error: unknown = await run.run('copyImages', { facts: run.facts, pass: 1 }, environment).then(() => null, (reason: unknown) => reason);
      assert.ok(error instanceof CancelledFailure, String(error));
      assert.deepEqual(readdirSync(path.join(scene.vault, '.drydock-tmp')), []);
    });
  });
}
