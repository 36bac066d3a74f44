import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { restoreGuide } from '../../activities/backup/restore-guide';
import type { Manifest } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';
import { openedByGpg } from '../helpers/opened-by-gpg';
import { OLD_GPG, OLD_TAR, oldDocker, writeTools } from '../helpers/old-tools';
import { BACKUP_ID, sealedBackup, type SealedFixture } from '../helpers/sealed-images';
import { PASSPHRASE } from '../helpers/vault';

/** An engine that says yes, and the vendor's bootstrapper in it: what counts here are the lines that call them. */
const ENGINE = `#!/bin/sh
echo "docker $*" >>"$CALLS"
case "$1 $2" in
"run -i") case "$*" in *" restore "*) cat >"$RESTORED"; echo "Restore complete" ;; esac ;;
"inspect --format") echo healthy ;;
"pull "*) cp "$DOCKER_CONFIG/config.json" "$CALLS.config" ;;
esac
`;

function linesOf(guide: string): string {
  return [...guide.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1]).join('\n');
}

openedByGpg('1.4');

for (const tools of ['old', 'new'] as const) {
  describe(`RESTORE.md on a host with ${tools === 'old' ? 'tar 1.26, gpg 1.4 and Docker 17.06' : 'the tools of today'}`, function () {
    this.timeout(120_000);
    let fixture: SealedFixture;
    let manifest: Manifest;
    let root: string;

    before(async () => {
      fixture = await sealedBackup({ layout: 'sha256', segmentBytes: 64 << 10 });
      root = path.join(fixture.path, 'registry volume');
      // A path for images, as --dtr-storage-volume gives it: it needs no engine.
      const { images } = fixture.manifest;
      assert.ok(images.in === 'volume');
      manifest = { ...fixture.manifest, images: { ...images, storage: { kind: 'volume', storageVolume: root }, volume: { ...images.volume, name: root, driver: 'bind' } } };
      const folder = path.join(fixture.directory, vaultPaths.backup('lab', BACKUP_ID));
      const sums = readdirSync(folder).filter((name) => name !== 'manifest.json').map((name) => `${createHash('sha256').update(readFileSync(path.join(folder, name))).digest('hex')}  ${name}\n`);
      writeFileSync(path.join(folder, 'SHA256SUMS'), sums.join(''));
      writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify(manifest, null, 2));
    });
    after(() => fixture.remove());

    it('restores everything by its lines as they stand', () => {
      const bin = path.join(fixture.path, 'bin');
      const engine = path.join(fixture.path, 'engine');
      writeTools(fixture.path, { engine: ENGINE });
      writeTools(bin, tools === 'old' ? { tar: OLD_TAR, gpg: OLD_GPG, docker: oldDocker(engine) } : { docker: ENGINE });
      const home = path.join(fixture.path, 'home');
      mkdirSync(home, { mode: 0o700 });
      const guide = restoreGuide({ manifest, segments: fixture.manifest.segments, ucpCa: 'PEM', dtrCa: null, readOnlyInside: false, signer: null });
      const calls = path.join(fixture.path, 'calls');
      const restored = path.join(fixture.path, 'restored');
      const answers = [PASSPHRASE, 'admin', 'pass "word', 'destroy'].map((line) => `${line}\n`).join('');
      const run = spawnSync('bash', ['-e', '-c', linesOf(guide)], {
        cwd: path.join(fixture.directory, vaultPaths.backup('lab', BACKUP_ID)), input: answers, encoding: 'utf8',
        env: { HOME: home, GNUPGHOME: home, CALLS: calls, RESTORED: restored, PATH: `${bin}:/usr/sbin:/usr/bin:/sbin:/bin` },
      });
      const said = `${run.stdout}\n${run.stderr}`;
      assert.equal(run.status, 0, said);
      assert.ok(!said.includes('FAILED'), said);
      for (const step of ['whole and readable', 'old replicas destroyed', 'images', 'metadata', 'images pulled']) assert.ok(said.includes(`== ${step}: done`), said);
      for (const { path: name, sha256 } of fixture.blobs) assert.equal(createHash('sha256').update(readFileSync(path.join(root, name))).digest('hex'), sha256, name);
      assert.equal(spawnSync('tar', ['-tf', restored], { encoding: 'utf8' }).stdout, 'dtr-backup-v2.9.4-online/\n');
      const { auths } = JSON.parse(readFileSync(`${calls}.config`, 'utf8')) as { auths: Record<string, { auth: string }> };
      assert.equal(Buffer.from(auths['dtr.example.com']!.auth, 'base64').toString(), 'admin:pass "word');
      const pulls = readFileSync(calls, 'utf8').split('\n').filter((line) => line.startsWith('docker pull '));
      assert.equal(pulls.length, 3, pulls.join());
      assert.ok(!readFileSync(calls, 'utf8').includes('pass "word'), 'a secret stands on a command line');
    });
  });
}
