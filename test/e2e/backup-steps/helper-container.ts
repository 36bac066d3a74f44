/** Images read without SSH, from a helper container on the replica's node. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CancelledFailure } from '@temporalio/common';
import { verifyActivities } from '../../../activities/verify';
import type { Config } from '../../../domain/config';
import type { Manifest } from '../../../domain/manifest';
import type { VerifyResult } from '../../../domain/verify';
import { activityEnvironment, BackupRun } from '../../helpers/backup-run';
import type { BackupScene } from './scene';
import { segmentsOf } from '../../../adapters/vault/segment-list';
import { openDirectoryVault } from '../../../adapters/vault/directory';

export function helperContainer(scene: BackupScene): void {
  describe('without SSH, from a helper container, into a vault of its own', () => {
    let docker: Config;
    let sealed: BackupRun;
    const left = () => scene.dtr.on('node-1', 'docker ps --all --quiet --filter label=drydock.operation').stdout;
    const tarsOf = (directory: string) => readdirSync(path.join(directory, 'lab', 'segments')).filter((name) => name.endsWith('.tar.gpg'));
    const ownVault = () => docker.vaults[scene.cluster.vault]!.directory!;
    const spoil = (name: string): void => {
      const file = path.join(ownVault(), 'lab', 'segments', name);
      const content = readFileSync(file);
      content[content.length >> 1]! ^= 1;
      writeFileSync(file, content);
    };
    const verify = async (run: BackupRun): Promise<VerifyResult> => {
      const { verifyBackup } = verifyActivities({ config: docker, configPath: 'drydock.yaml', namespace: 'default', client: undefined as never });
      return activityEnvironment().run(verifyBackup, { cluster: 'lab', operation: run.step.operation, backup: run.backupId, level: 'L3' as const, withoutKeys: false, by: 'a test' });
    };

    before(() => {
      docker = structuredClone(scene.config);
      docker.stateDir = path.join(scene.config.stateDir, 'docker');
      docker.vaults[scene.cluster.vault] = { directory: mkdtempSync(path.join(tmpdir(), 'drydock-docker-vault-')) };
      docker.clusters.lab = { ...docker.clusters.lab!, images: 'docker', ssh: undefined, hosts: {} };
    });
    after(() => rmSync(ownVault(), { recursive: true, force: true }));

    it('reads what SSH reads, after a damaged segment of a killed run was found and stored anew', async () => {
      const killed = new BackupRun(docker);
      await killed.check();
      await killed.images(1);
      await killed.run('cleanUp', { abandoned: true });
      const [first] = tarsOf(ownVault());
      spoil(first!);
      sealed = new BackupRun(docker);
      assert.equal((await sealed.whole()).status, 'complete');
      assert.match(sealed.proof.warnings.join(), new RegExp(`${first!.replace('.tar.gpg', '')}.*damaged; its blobs are stored anew`));
      const overSsh = scene.newRun();
      await overSsh.whole();
      assert.equal(sealed.proof.counts.blobs, overSsh.proof.counts.blobs);
      assert.deepEqual(sealed.facts.volume, overSsh.facts.volume);
      assert.equal((await verify(sealed)).result, 'good');
      assert.equal(left(), '');
    });

    it('heals the vault: what a verification found damaged is stored anew by the next backup', async () => {
      const segments = await segmentsOf(openDirectoryVault(ownVault()), JSON.parse(readFileSync(path.join(ownVault(), 'lab', 'backups', sealed.backupId, 'manifest.json'), 'utf8')) as Manifest);
      spoil(`${segments[0]!.segment}.tar.gpg`);
      assert.equal((await verify(sealed)).result, 'bad');
      const next = new BackupRun(docker);
      assert.equal((await next.whole()).counts.newBlobs, segments[0]!.usedBlobs);
      assert.match(next.proof.warnings.join(), new RegExp(`found damaged when ${sealed.backupId} was verified`));
      assert.equal((await verify(next)).result, 'good');
    });

    it('says in the check which tool the image of the helper container lacks, and leaves no container', async () => {
      const bare = structuredClone(docker);
      bare.clusters.lab!.policy.helperImage = 'drydock-test/bare:1';
      scene.dtr.on('node-1', `printf 'FROM ${sealed.facts.bootstrapperImage}\nENTRYPOINT []\nRUN rm -f /bin/tar /usr/bin/tar\n' | docker build --quiet --network none --tag drydock-test/bare:1 -`);
      const failed = await new BackupRun(bare).failure('checkBackup', {});
      assert.equal(failed.type, 'Refused', failed.message);
      assert.match(failed.message, /the helper container on node-1 \(drydock-test\/bare:1\) lacks tar$/);
      assert.match(JSON.stringify(failed.details), /set policy\.helperImage to an image with a shell and GNU tar, such as debian:bookworm-slim/);
      assert.equal(left(), '');
    });

    it('removes what a killed attempt of the same backup has left on the node, with the next attempt and in the end', async () => {
      const run = new BackupRun(docker);
      const leave = () => assert.equal(scene.dtr.on('node-1', `docker run --detach --label drydock.operation=${run.step.operation} --label drydock.cluster=lab --entrypoint sleep ${sealed.facts.bootstrapperImage} 600`).code, 0);
      leave();
      docker.clusters.lab!.policy.ionice = 'idle';
      docker.clusters.lab!.policy.nice = 10;
      await run.check();
      assert.equal(left(), '');
      leave();
      await run.images(1);
      assert.equal(left(), '');
      leave();
      await run.run('cleanUp', { abandoned: false });
      assert.equal(left(), '');
    });

    it('ends when it is cancelled, and leaves no container', async () => {
      scene.push('cancelled-in-container');
      const run = new BackupRun(docker);
      await run.check();
      const environment = activityEnvironment();
      environment.on('heartbeat', () => environment.cancel());
      const error: unknown = await run.run('copyImages', { facts: run.facts, pass: 1 }, environment).then(() => null, (reason: unknown) => reason);
      assert.ok(error instanceof CancelledFailure, String(error));
      assert.equal(left(), '');
    });
  });
}
