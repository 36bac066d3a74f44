/** What the check finds out, and what it refuses. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { BackupRun } from '../../helpers/backup-run';
import type { BackupScene } from './scene';

export function check(scene: BackupScene): void {
  describe('the check', () => {
    it('finds replica, version, volume and settings by itself', async () => {
      const facts = await scene.newRun().check();
      assert.equal(facts.version, scene.version);
      assert.equal(facts.replica.id, scene.dtr.ids[0]);
      assert.equal(facts.replica.node, 'node-1');
      assert.equal(facts.volume?.name, `dtr-registry-${scene.dtr.ids[0]}`);
      assert.deepEqual(facts.volume?.owner, { uid: 65534, gid: 65534 });
      assert.equal(facts.settings.externalUrl, `https://${scene.dtr.host}`);
      assert.match(facts.bootstrapperImage, new RegExp(`/dtr:${scene.version}$`));
    });

    it('refuses with all that stands in the way, each with its remedy', async () => {
      const file = scene.dtr.file('no-directory/vault');
      const broken = structuredClone(scene.config);
      broken.vaults[scene.cluster.vault]!.directory = file;
      // A worker that has used no vault yet.
      broken.stateDir = scene.dtr.file('no-vault-used');
      broken.clusters.lab!.hosts = {};
      broken.clusters.lab!.encryption = { ...scene.cluster.encryption, passphrase: 'env:DRYDOCK_TEST_NOT_SET' };
      // Nothing is written for keys that would open nothing: the vault's own fault is found when the keys are right.
      for (const parts of [['DRYDOCK_TEST_NOT_SET', 'node-1'], ['directory above', 'node-1']]) {
        const failed = await new BackupRun(broken).failure('checkBackup', {});
        assert.equal(failed.type, 'Refused');
        for (const part of parts) assert.match(failed.message, new RegExp(part));
        assert.equal((failed.message.match(/\(\d\) .+? - \w+/g) ?? []).length, parts.length, failed.message);
        broken.clusters.lab!.encryption = scene.cluster.encryption;
      }
    });

    it('refuses a wrong password and a user who is no administrator before it looks at anything else', async () => {
      const wrong = structuredClone(scene.config);
      const password = scene.dtr.file('wrong-password');
      writeFileSync(password, 'wrong\n', { mode: 0o600 });
      wrong.clusters.lab!.ucp.password = `file:${password}`;
      assert.equal((await new BackupRun(wrong).failure('checkBackup', {})).type, 'AuthRejected');
      const alice = structuredClone(scene.config);
      alice.clusters.lab!.ucp = { ...alice.clusters.lab!.ucp, username: 'alice', password: scene.cluster.ucp.password.replace(/admin$/, 'alice') };
      assert.equal((await new BackupRun(alice).failure('checkBackup', {})).type, 'NotPermitted');
    });
  });
}
