/** Which blobs and tags count as lost while a registry is in use. */
import assert from 'node:assert/strict';
import { writeImage } from '../../lab/image-folder';
import type { BackupScene } from './scene';

export function gaps(scene: BackupScene): void {
  describe('blobs that change or go under the backup', () => {
    it('reads again in the second pass what was another content in the first', async () => {
      const run = scene.newRun();
      const { volume } = await run.check();
      const [layer] = scene.layersOf(scene.push('torn'));
      const file = scene.pathOf(volume!.mountpoint, layer!);
      // Same size, other bytes: by id only the metadata can tell.
      scene.dtr.on('node-1', `cp -p ${file} /root/kept && head -c $(stat -c %s ${file}) /dev/urandom > ${file}`);
      await run.images(1);
      scene.dtr.on('node-1', `cp -p /root/kept ${file} && chown 65534:65534 ${file}`);
      await run.freeze();
      await run.takeMetadata();
      assert.equal((await run.images(2)).stored.blobs, 1);
      await run.run('thaw', { record: run.record });
      assert.equal((await run.prove()).counts.gaps, 0);
      assert.equal((await run.seal()).status, 'complete');
    });

    it('seals an image that lacks a layer as incomplete and names it by repository and tag', async () => {
      const run = scene.newRun();
      const { volume } = await run.check();
      const [layer] = scene.layersOf(scene.push('broken', 'acme/other'));
      const file = scene.pathOf(volume!.mountpoint, layer!);
      scene.dtr.on('node-1', `mv ${file} /root/layer`);
      await run.freeze();
      await run.images(1);
      await run.takeMetadata();
      // The tag must be older than the dump, or it would be in flight.
      run.metadata.dumpStartedAt = new Date(Date.parse(run.metadata.dumpStartedAt) + 60_000).toISOString();
      await run.images(2);
      await run.run('thaw', { record: run.record });
      const proof = await run.prove();
      assert.deepEqual(proof.gaps, [{ image: 'acme/other:broken', digest: `sha256:${layer}`, what: 'layer' }]);
      const sealed = await run.seal();
      assert.equal(sealed.status, 'incomplete');
      assert.deepEqual(scene.manifestOf(run.backupId).gaps, [{ digest: `sha256:${layer}`, what: 'layer' }]);
      scene.dtr.on('node-1', `mv /root/layer ${file}`);
    });

    it('calls a tag in flight, not a gap, when it goes while the backup runs', async () => {
      const run = scene.newRun();
      const { volume } = await run.check();
      const [layer] = scene.layersOf(scene.push('going'));
      await run.freeze();
      await run.takeMetadata();
      run.metadata.dumpStartedAt = new Date(Date.parse(run.metadata.dumpStartedAt) + 60_000).toISOString();
      scene.dtr.on('node-1', `rm ${scene.pathOf(volume!.mountpoint, layer!)}`);
      assert.equal((await scene.dtr.api('DELETE', '/api/v0/repositories/acme/app/tags/going')).status, 204);
      await run.images(1);
      await run.images(2);
      await run.run('thaw', { record: run.record });
      assert.deepEqual((({ gaps, inFlight }) => ({ gaps, inFlight }))((await run.prove()).counts), { gaps: 0, inFlight: 1 });
    });

    it('finds no gap under pushes into a slow dump, and no tag whole that the dump has only half', async () => {
      const run = scene.newRun();
      await run.check();
      await scene.dtr.api('PUT', '/api/v0/lab/knobs', { backupTableDelayMs: 200 });
      await run.freeze();
      let dumping = true;
      const pushing = (async () => {
        for (let n = 0; dumping; n += 1) {
          writeImage(scene.dtr.file(`under-way-${n}`));
          await scene.dtr.pushInBackground(`under-way-${n}`, `acme/app:under-way-${n}`);
        }
      })();
      // Seen below; a failure before that must not end the process.
      pushing.catch(() => undefined);
      try {
        await run.takeMetadata();
        dumping = false;
        await pushing;
        await run.images(2);
      } finally {
        dumping = false;
        await scene.dtr.api('PUT', '/api/v0/lab/knobs', { backupTableDelayMs: 0 });
        await run.run('thaw', { record: run.record });
      }
      assert.equal((await run.prove()).counts.gaps, 0);
      await run.seal();
      const { manifests, links } = await scene.tablesOf(run.backupId);
      for (const { repository, name, digest, state } of await scene.list(run.backupId, 'tags')) {
        if (state !== 'whole') continue;
        assert.ok(manifests.has(`${String(repository)}@${String(digest)}`), `${String(name)} has no manifest in the archive`);
        if (scene.version === '2.9.4' && manifests.get(`${String(repository)}@${String(digest)}`)!.some((layer) => !links.has(`${String(repository)}@${layer}`))) assert.fail(`${String(name)} is whole without its links`);
      }
    });
  });
}
