/** What a whole backup leaves in the vault. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BackupRun } from '../../helpers/backup-run';
import { sha256, type BackupScene } from './scene';

export function wholeBackups(scene: BackupScene): void {
  describe('whole backups', () => {
    it('seals a backup in which every tag is whole, with what was pushed after the first pass', async () => {
      const run = scene.newRun();
      let late = '';
      const before = await scene.crons();
      const sealed = await run.whole(() => void (late = scene.push('late')));
      assert.equal(sealed.status, 'complete');
      assert.equal(run.passes[1]!.stored.blobs, 4);
      const tags = await scene.list(run.backupId, 'tags');
      assert.deepEqual(tags.map(({ repository, name, state }) => `${String(repository)}:${String(name)} ${String(state)}`).sort(), ['acme/app:1 whole', 'acme/app:late whole', 'acme/other:2 whole']);
      assert.ok(tags.some(({ digest }) => digest === late));
      assert.equal((await scene.list(run.backupId, 'blobs')).length, sealed.counts.blobs);
      assert.deepEqual(await scene.crons(), before);
      assert.deepEqual(scene.records(), []);
      const manifest = scene.manifestOf(run.backupId);
      assert.deepEqual(manifest.images.in === 'volume' && manifest.images.layouts, [scene.layout]);
      assert.deepEqual(manifest.product.crons.map(({ action }) => action), [scene.gc]);
      assert.deepEqual((await scene.list(run.backupId, 'notes')).filter(({ kind }) => kind === 'owner').map(({ name }) => name), ['acme']);
      assert.equal(readFileSync(scene.backupFile(run.backupId, 'manifest.json'), 'utf8').includes('acme/app'), false);
    });

    it('moves nothing the second time', async () => {
      const sealed = await scene.newRun().whole();
      assert.equal(sealed.status, 'complete');
      assert.equal(sealed.counts.newBlobs, 0);
      assert.equal(sealed.bytes.moved, 0);
      assert.ok(sealed.counts.blobs > 0);
    });

    it('calls those blobs new that it names, not what lies in the volume without a use', async () => {
      const { volume } = await scene.newRun().check();
      const orphan = Buffer.from('belongs to no image');
      const name = scene.version === '2.9.4' ? 'id/0a/0a0a0a0a-1111-4222-8333-0a0a0a0a0a0a' : `sha256/${sha256(orphan).slice(0, 2)}/${sha256(orphan)}`;
      const folder = `${volume!.mountpoint}/docker/registry/v2/blobs/${name}`;
      scene.dtr.on('node-1', `mkdir -p ${folder} && cat > ${folder}/data`, orphan);
      const sealed = await scene.newRun().whole();
      assert.equal(sealed.bytes.moved, orphan.length);
      // By id only the metadata could tell what it should be, and that does not know it.
      assert.equal(sealed.counts.newBlobs, scene.version === '2.9.4' ? 0 : 1);
      // The folder above is root's where the registry had none of that name yet: it could write nothing into it.
      scene.dtr.on('node-1', `rm -r ${folder} && rmdir --ignore-fail-on-non-empty ${path.posix.dirname(folder)}`);
    });

    it('leaves files that sha256sum, gpg and tar alone can check and open', async () => {
      const run = scene.newRun();
      await run.whole();
      const folder = scene.backupFile(run.backupId);
      const passphrase = scene.cluster.encryption.passphrase!.replace(/^file:/, '');
      const root = mkdtempSync(path.join(tmpdir(), 'drydock-by-hand-'));
      const gpg = `gpg --homedir ${root} --batch --quiet --pinentry-mode loopback --passphrase-file ${passphrase} --decrypt`;
      const script = `set -euo pipefail; umask 077; sha256sum --quiet -c SHA256SUMS
        for segment in $(grep -o '[^ ]*\\.tar\\.gpg' SHA256SUMS | grep segments); do ${gpg} $segment | tar -C ${root} -xf -; done
        ${gpg} tree-*.tar.gz.gpg | gzip -dc | tar -C ${root} -xf -
        ${gpg} blobs-*.jsonl.gz.gpg | gzip -dc | sed -E 's/.*"path":"([^"]*)".*"sha256":"([0-9a-f]{64})".*/\\2  \\1/' > ${root}/sums; cd ${root}; sha256sum --quiet -c sums; wc -l < sums`;
      const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { cwd: folder });
      assert.equal(status, 0, stderr.toString());
      assert.equal(Number(stdout.toString()), scene.manifestOf(run.backupId).counts.blobs);
      rmSync(root, { recursive: true, force: true });
    });

    it('gives the same answer when the seal is asked for twice', async () => {
      const run = scene.newRun();
      const first = await run.whole();
      assert.deepEqual(await run.seal(), first);
      await run.run('cleanUp', { abandoned: true });
      assert.equal(existsSync(scene.backupFile(run.backupId, 'manifest.json')), true);
    });

    it('takes no images when someone else looks after them, and says so', async () => {
      const external = structuredClone(scene.config);
      external.clusters.lab!.images = { external: 'the storage team' };
      const run = new BackupRun(external);
      const sealed = await run.whole();
      assert.equal(sealed.status, 'complete');
      const { images, artifacts, counts } = scene.manifestOf(run.backupId);
      assert.deepEqual([images, artifacts.tree, counts.blobs], [{ in: 'elsewhere', keptBy: 'the storage team' }, undefined, 0]);
      assert.ok(counts.tags > 0);
      assert.match(readFileSync(scene.backupFile(run.backupId, 'RESTORE.md'), 'utf8'), /not in this backup: the storage team/);
    });
  });
}
