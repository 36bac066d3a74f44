import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CancelledFailure } from '@temporalio/common';
import { verifyActivities } from '../../activities/verify';
import type { Config } from '../../domain/config';
import { manifestSchema, type Manifest } from '../../domain/manifest';
import type { VerifyResult } from '../../domain/verify';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { readMetadataArchive } from '../../adapters/archive/metadata';
import { readArtifact } from '../../adapters/vault/artifacts';
import { readJsonLines } from '../../adapters/vault/json-lines';
import { resolveSecret } from '../../adapters/secrets/secrets';
import { loadConfig } from '../../worker/config';
import type { DtrVersion } from '../../lab/contract';
import { waitFor } from '../../lab/hosts/process';
import { activityEnvironment, BackupRun } from '../helpers/backup-run';
import { DtrLab } from '../lab/dtr-lab';
import { writeImage } from '../lab/image-folder';

interface Cron {
  action: string;
  schedule: string;
  nextRun?: string;
  id?: string;
}

const BLOBS = { '2.5.3': 'sha256', '2.9.4': 'id' } as const;
const GC = { '2.5.3': 'gc', '2.9.4': 'onlinegc' } as const;

for (const version of ['2.9.4', '2.5.3'] as const satisfies readonly DtrVersion[]) {
  describe(`backup steps on DTR ${version}`, function () {
    this.timeout(240_000);
    let dtr: DtrLab;
    let config: Config;
    let images = 0;

    const cluster = () => config.clusters.lab!;
    const vaultDirectory = () => config.vaults[cluster().vault]!.directory!;
    const backupFile = (id: string, ...names: string[]) => path.join(vaultDirectory(), 'lab', 'backups', id, ...names);
    const manifestOf = (id: string): Manifest => manifestSchema.parse(JSON.parse(readFileSync(backupFile(id, 'manifest.json'), 'utf8')));
    const records = () => (existsSync(path.join(vaultDirectory(), 'lab', 'operations')) ? readdirSync(path.join(vaultDirectory(), 'lab', 'operations')) : []);
    const newRun = (operation?: string) => new BackupRun(config, operation);
    const crons = async (): Promise<Cron[]> => {
      const { body } = await dtr.api<{ crons: Cron[] } | Cron[]>('GET', '/api/v0/crons');
      return (Array.isArray(body) ? body : body.crons).map(({ nextRun: _next, id: _id, ...kept }) => kept).sort((a, b) => (a.action < b.action ? -1 : 1));
    };
    const push = (tag: string, repository = 'acme/app'): string => {
      const folder = `image-${(images += 1)}`;
      const digest = writeImage(dtr.file(folder));
      const pushed = dtr.push(folder, `${repository}:${tag}`);
      assert.equal(pushed.code, 0, pushed.stderr);
      return digest;
    };
    const layersOf = (digest: string): string[] => {
      for (let n = 1; n <= images; n += 1) {
        const manifest = readFileSync(dtr.file(`image-${n}/manifest.json`));
        const parsed = JSON.parse(manifest.toString()) as { layers: { digest: string }[] };
        if (`sha256:${sha256(manifest)}` === digest) return parsed.layers.map((layer) => layer.digest.slice(7));
      }
      throw new Error(`no image ${digest}`);
    };
    /** Path in the volume of a blob, found by its content: by id nothing else tells. */
    const pathOf = (root: string, hex: string): string => {
      const found = dtr.on('node-1', `find ${root}/docker/registry/v2/blobs/${BLOBS[version]} -name data -exec sha256sum {} + | grep ^${hex} | cut -c67-`).stdout.trim();
      assert.notEqual(found, '');
      return found;
    };
    const list = async (id: string, name: 'tags' | 'blobs'): Promise<Record<string, unknown>[]> => {
      const rows: Record<string, unknown>[] = [];
      const keys = { passphrases: [await resolveSecret(cluster().encryption.passphrase!)], privateKeys: [] };
      for await (const row of readJsonLines(openDirectoryVault(vaultDirectory()), manifestOf(id).artifacts[name], keys)) rows.push(row as Record<string, unknown>);
      return rows;
    };

    /** What the archive itself holds: layers by manifest, and links of blobs. */
    const tablesOf = async (id: string): Promise<{ manifests: Map<string, string[]>; links: Set<string> }> => {
      const keys = { passphrases: [await resolveSecret(cluster().encryption.passphrase!)], privateKeys: [] };
      const archive = await readArtifact(openDirectoryVault(vaultDirectory()), manifestOf(id).artifacts.metadata, keys, { gunzip: true });
      const manifests = new Map<string, string[]>();
      const links = new Set<string>();
      await readMetadataArchive(archive, (table, row) => {
        const { pk, layers } = row as { pk: string; layers: { digest: string }[] };
        if (table === 'manifests') manifests.set(pk, layers.map(({ digest }) => digest));
        if (table === 'blob_links') links.add(pk);
      });
      return { manifests, links };
    };

    before(async () => {
      dtr = await DtrLab.start(`test-backup-${version.replaceAll('.', '')}`, version, 1, 'local');
      config = await loadConfig(dtr.lab.state.file('drydock.yaml'));
      for (const name of ['app', 'other']) assert.equal((await dtr.api('POST', '/api/v0/repositories/acme', { name, visibility: 'private' })).status, 201);
      push('1');
      push('2', 'acme/other');
    });
    after(() => dtr?.stop());

    it('finds replica, version, volume and settings by itself', async () => {
      const facts = await newRun().check();
      assert.equal(facts.version, version);
      assert.equal(facts.replica.id, dtr.ids[0]);
      assert.equal(facts.replica.node, 'node-1');
      assert.equal(facts.volume?.name, `dtr-registry-${dtr.ids[0]}`);
      assert.deepEqual(facts.volume?.owner, { uid: 65534, gid: 65534 });
      assert.equal(facts.settings.externalUrl, `https://${dtr.host}`);
      assert.match(facts.bootstrapperImage, new RegExp(`/dtr:${version}$`));
    });

    it('seals a backup in which every tag is whole, with what was pushed after the first pass', async () => {
      const run = newRun();
      let late = '';
      const before = await crons();
      const sealed = await run.whole(() => void (late = push('late')));
      assert.equal(sealed.status, 'complete');
      assert.equal(run.passes[1]!.stored.blobs, 4);
      const tags = await list(run.backupId, 'tags');
      assert.deepEqual(tags.map(({ repository, name, state }) => `${String(repository)}:${String(name)} ${String(state)}`).sort(), ['acme/app:1 whole', 'acme/app:late whole', 'acme/other:2 whole']);
      assert.ok(tags.some(({ digest }) => digest === late));
      assert.equal((await list(run.backupId, 'blobs')).length, sealed.counts.blobs);
      assert.deepEqual(await crons(), before);
      assert.deepEqual(records(), []);
      const manifest = manifestOf(run.backupId);
      assert.deepEqual(manifest.dtr.layouts, [BLOBS[version]]);
      assert.deepEqual(manifest.dtr.crons.map(({ action }) => action), [GC[version]]);
      assert.deepEqual(manifest.ucp.owners.map(({ name }) => name), ['acme']);
      assert.equal(readFileSync(backupFile(run.backupId, 'manifest.json'), 'utf8').includes('acme/app'), false);
    });

    it('moves nothing the second time', async () => {
      const sealed = await newRun().whole();
      assert.equal(sealed.status, 'complete');
      assert.equal(sealed.counts.newBlobs, 0);
      assert.equal(sealed.bytes.moved, 0);
      assert.ok(sealed.counts.blobs > 0);
    });

    it('calls those blobs new that it names, not what lies in the volume without a use', async () => {
      const { volume } = await newRun().check();
      const orphan = Buffer.from('belongs to no image');
      const name = version === '2.9.4' ? 'id/0a/0a0a0a0a-1111-4222-8333-0a0a0a0a0a0a' : `sha256/${sha256(orphan).slice(0, 2)}/${sha256(orphan)}`;
      const folder = `${volume!.mountpoint}/docker/registry/v2/blobs/${name}`;
      dtr.on('node-1', `mkdir -p ${folder} && cat > ${folder}/data`, orphan);
      const sealed = await newRun().whole();
      assert.equal(sealed.bytes.moved, orphan.length);
      // By id only the metadata could tell what it should be, and that does not know it.
      assert.equal(sealed.counts.newBlobs, version === '2.9.4' ? 0 : 1);
      // The folder above is root's where the registry had none of that name yet: it could write nothing into it.
      dtr.on('node-1', `rm -r ${folder} && rmdir --ignore-fail-on-non-empty ${path.posix.dirname(folder)}`);
    });

    it('leaves files that sha256sum, gpg and tar alone can check and open', async () => {
      const run = newRun();
      await run.whole();
      const folder = backupFile(run.backupId);
      const passphrase = cluster().encryption.passphrase!.replace(/^file:/, '');
      const root = mkdtempSync(path.join(tmpdir(), 'drydock-by-hand-'));
      const gpg = `gpg --homedir ${root} --batch --quiet --pinentry-mode loopback --passphrase-file ${passphrase} --decrypt`;
      const script = `set -euo pipefail; umask 077; sha256sum --quiet -c SHA256SUMS
        for segment in $(grep -o '[^ ]*\\.tar\\.gpg' SHA256SUMS | grep segments); do ${gpg} $segment | tar -C ${root} -xf -; done
        ${gpg} tree.tar.gz.gpg | gzip -dc | tar -C ${root} -xf -
        ${gpg} blobs.jsonl.gz.gpg | gzip -dc | sed -E 's/.*"path":"([^"]*)".*"sha256":"([0-9a-f]{64})".*/\\2  \\1/' > ${root}/sums; cd ${root}; sha256sum --quiet -c sums; wc -l < sums`;
      const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { cwd: folder });
      assert.equal(status, 0, stderr.toString());
      assert.equal(Number(stdout.toString()), manifestOf(run.backupId).counts.blobs);
      rmSync(root, { recursive: true, force: true });
    });

    it('reads again in the second pass what was another content in the first', async () => {
      const run = newRun();
      const { volume } = await run.check();
      const [layer] = layersOf(push('torn'));
      const file = pathOf(volume!.mountpoint, layer!);
      // Same size, other bytes: by id only the metadata can tell.
      dtr.on('node-1', `cp -p ${file} /root/kept && head -c $(stat -c %s ${file}) /dev/urandom > ${file}`);
      await run.images(1);
      dtr.on('node-1', `cp -p /root/kept ${file} && chown 65534:65534 ${file}`);
      await run.freeze();
      await run.takeMetadata();
      assert.equal((await run.images(2)).stored.blobs, 1);
      await run.run('thaw', { record: run.record });
      assert.equal((await run.prove()).counts.gaps, 0);
      assert.equal((await run.seal()).status, 'complete');
    });

    it('seals an image that lacks a layer as incomplete and names it by repository and tag', async () => {
      const run = newRun();
      const { volume } = await run.check();
      const [layer] = layersOf(push('broken', 'acme/other'));
      const file = pathOf(volume!.mountpoint, layer!);
      dtr.on('node-1', `mv ${file} /root/layer`);
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
      assert.deepEqual(manifestOf(run.backupId).gaps, [{ digest: `sha256:${layer}`, what: 'layer' }]);
      dtr.on('node-1', `mv /root/layer ${file}`);
    });

    it('calls a tag in flight, not a gap, when it goes while the backup runs', async () => {
      const run = newRun();
      const { volume } = await run.check();
      const [layer] = layersOf(push('going'));
      await run.freeze();
      await run.takeMetadata();
      run.metadata.dumpStartedAt = new Date(Date.parse(run.metadata.dumpStartedAt) + 60_000).toISOString();
      dtr.on('node-1', `rm ${pathOf(volume!.mountpoint, layer!)}`);
      assert.equal((await dtr.api('DELETE', '/api/v0/repositories/acme/app/tags/going')).status, 204);
      await run.images(1);
      await run.images(2);
      await run.run('thaw', { record: run.record });
      assert.deepEqual((({ gaps, inFlight }) => ({ gaps, inFlight }))((await run.prove()).counts), { gaps: 0, inFlight: 1 });
    });

    it('finds no gap under pushes into a slow dump, and no tag whole that the dump has only half', async () => {
      const run = newRun();
      await run.check();
      await dtr.api('PUT', '/api/v0/lab/knobs', { backupTableDelayMs: 200 });
      await run.freeze();
      let dumping = true;
      const pushing = (async () => {
        for (let n = 0; dumping; n += 1) {
          writeImage(dtr.file(`under-way-${n}`));
          await dtr.pushInBackground(`under-way-${n}`, `acme/app:under-way-${n}`);
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
        await dtr.api('PUT', '/api/v0/lab/knobs', { backupTableDelayMs: 0 });
        await run.run('thaw', { record: run.record });
      }
      assert.equal((await run.prove()).counts.gaps, 0);
      await run.seal();
      const { manifests, links } = await tablesOf(run.backupId);
      for (const { repository, name, digest, state } of await list(run.backupId, 'tags')) {
        if (state !== 'whole') continue;
        assert.ok(manifests.has(`${String(repository)}@${String(digest)}`), `${String(name)} has no manifest in the archive`);
        if (version === '2.9.4' && manifests.get(`${String(repository)}@${String(digest)}`)!.some((layer) => !links.has(`${String(repository)}@${layer}`))) assert.fail(`${String(name)} is whole without its links`);
      }
    });

    it('switches off the crons that delete and no other, and puts back exactly those', async () => {
      const before = await crons();
      const run = newRun();
      await run.freeze();
      assert.deepEqual(await crons(), before.filter(({ action }) => action !== GC[version]));
      assert.deepEqual(records(), [`${run.step.operation}.json`]);
      const thawed = await run.run('thaw', { record: run.record });
      assert.deepEqual(thawed, { putBack: [GC[version]], left: [] });
      assert.deepEqual(await crons(), before);
      assert.deepEqual(await run.run('thaw', { record: run.record }), { putBack: [], left: [] });
    });

    it('leaves a cron that someone set meanwhile, and says so', async () => {
      const before = (await crons()).find(({ action }) => action === GC[version])!;
      const run = newRun();
      await run.freeze();
      await dtr.api('POST', '/api/v0/crons', { ...before, schedule: '0 30 4 * * 0' });
      const { putBack, left } = await run.run('thaw', { record: run.record });
      assert.deepEqual(putBack, []);
      assert.match(left.join(), /0 30 4 \* \* 0/);
      assert.equal((await crons()).find(({ action }) => action === GC[version])?.schedule, '0 30 4 * * 0');
      await dtr.api('DELETE', `/api/v0/crons/${GC[version]}`);
      await dtr.api('POST', '/api/v0/crons', { ...before });
    });

    it('puts back first what a dead operation left, and records its crons, not an empty list', async () => {
      const dead = newRun();
      await dead.freeze();
      const run = newRun();
      const { record: first, warnings } = await run.run('recordFreeze', {});
      assert.deepEqual(first.crons.map(({ action }) => action), [GC[version]]);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0]!, new RegExp(`${dead.step.operation} had left .* ${GC[version]}\\.$`));
      assert.deepEqual(records(), [`${run.step.operation}.json`]);
      const second = activityEnvironment(2);
      await run.run('freeze', { record: (await run.run('recordFreeze', {}, second)).record });
      assert.deepEqual((await run.run('recordFreeze', {}, activityEnvironment(3))).record.crons.map(({ action }) => action), [GC[version]]);
      const [record] = await run.run('listFreezeRecords', {});
      assert.deepEqual((await run.run('thaw', { record: record! })).putBack, [GC[version]]);
    });

    it('notices a collection that was started by hand, and no other job', async () => {
      const run = newRun();
      const since = await run.freeze();
      assert.deepEqual(await run.run('deletionsSince', { since }), { jobs: [] });
      const { body } = await dtr.api<{ id: string }>('POST', '/api/v0/jobs', { action: GC[version], parameters: {} });
      const { jobs } = await run.run('deletionsSince', { since });
      assert.equal(jobs.length, 1);
      assert.match(jobs[0]!, new RegExp(`${GC[version]} \\(job ${body.id}, done`));
      await run.run('thaw', { record: run.record });
      await waitFor('the registry to be writable', 30, async () => (await dtr.api<{ readOnlyRegistry?: boolean }>('GET', '/api/v0/meta/settings')).body.readOnlyRegistry !== true);
    });

    it('leaves no archive when the backup command fails, and says why', async () => {
      const run = newRun();
      await run.check();
      const facts = { ...run.facts, replica: { ...run.facts.replica, id: '0123456789ab' } };
      const failed = await run.failure('takeMetadata', { facts, round: 0 });
      assert.equal(failed.type, 'BootstrapperFailed', failed.message);
      assert.match(failed.message, /0123456789ab/);
      assert.equal(failed.message.includes(await resolveSecret(cluster().ucp.password)), false);
      assert.equal(existsSync(backupFile(run.backupId, 'metadata.tar.gz.gpg')), false);
      await run.takeMetadata();
      assert.equal((await run.takeMetadata()).root.startsWith(`dtr-backup-v${version}`), true);
      await run.run('cleanUp', { abandoned: true });
      assert.deepEqual(existsSync(backupFile(run.backupId)) ? readdirSync(backupFile(run.backupId)) : [], []);
    });

    it('refuses an archive of another version', async () => {
      const run = newRun();
      await run.check();
      const failed = await run.failure('takeMetadata', { facts: { ...run.facts, version: '2.6.1' }, round: 0 });
      assert.equal(failed.type, 'VersionMismatch', failed.message);
      assert.equal(existsSync(backupFile(run.backupId, 'metadata.tar.gz.gpg')), false);
    });

    it('asks for metadata and second pass again when the working files are gone', async () => {
      const run = newRun();
      await run.check();
      assert.equal((await run.failure('copyImages', { facts: run.facts, pass: 2 })).type, 'WorkLost');
    });

    it('gives the same answer when the seal is asked for twice', async () => {
      const run = newRun();
      const first = await run.whole();
      assert.deepEqual(await run.seal(), first);
      await run.run('cleanUp', { abandoned: true });
      assert.equal(existsSync(backupFile(run.backupId, 'manifest.json')), true);
    });

    it('ends at once when it is cancelled, and leaves nothing half-written', async () => {
      const run = newRun();
      await run.check();
      push('cancelled');
      const environment = activityEnvironment();
      environment.on('heartbeat', () => environment.cancel());
      const error: unknown = await run.run('copyImages', { facts: run.facts, pass: 1 }, environment).then(() => null, (reason: unknown) => reason);
      assert.ok(error instanceof CancelledFailure, String(error));
      assert.deepEqual(readdirSync(path.join(vaultDirectory(), '.drydock-tmp')), []);
    });

    it('refuses with all that stands in the way, each with its remedy', async () => {
      const file = path.join(mkdtempSync(path.join(tmpdir(), 'drydock-check-')), 'no-directory', 'vault');
      const broken = structuredClone(config);
      broken.vaults[cluster().vault]!.directory = file;
      broken.clusters.lab!.hosts = {};
      broken.clusters.lab!.encryption = { ...cluster().encryption, passphrase: 'env:DRYDOCK_TEST_NOT_SET' };
      const failed = await new BackupRun(broken).failure('checkBackup', {});
      assert.equal(failed.type, 'Refused');
      for (const part of ['directory above', 'DRYDOCK_TEST_NOT_SET', 'node-1']) assert.match(failed.message, new RegExp(part));
      assert.equal((failed.message.match(/\(\d\) .+? - \w+/g) ?? []).length >= 3, true, failed.message);
    });

    it('refuses a wrong password and a user who is no administrator before it looks at anything else', async () => {
      const wrong = structuredClone(config);
      const password = path.join(mkdtempSync(path.join(tmpdir(), 'drydock-check-')), 'password');
      spawnSync('sh', ['-c', `umask 077; echo wrong > ${password}`]);
      chmodSync(password, 0o600);
      wrong.clusters.lab!.ucp.password = `file:${password}`;
      assert.equal((await new BackupRun(wrong).failure('checkBackup', {})).type, 'AuthRejected');
      const alice = structuredClone(config);
      alice.clusters.lab!.ucp = { ...alice.clusters.lab!.ucp, username: 'alice', password: cluster().ucp.password.replace(/admin$/, 'alice') };
      assert.equal((await new BackupRun(alice).failure('checkBackup', {})).type, 'NotPermitted');
    });

    describe('without SSH, from a helper container, into a vault of its own', () => {
      let docker: Config;
      let sealed: BackupRun;
      const left = () => dtr.on('node-1', 'docker ps --all --quiet --filter label=drydock.operation').stdout;
      const segmentsOf = (directory: string) => readdirSync(path.join(directory, 'lab', 'segments')).filter((name) => name.endsWith('.tar.gpg'));
      const ownVault = () => docker.vaults[cluster().vault]!.directory!;
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
        docker = structuredClone(config);
        docker.vaults[cluster().vault] = { directory: mkdtempSync(path.join(tmpdir(), 'drydock-docker-vault-')) };
        docker.clusters.lab = { ...docker.clusters.lab!, images: 'docker', ssh: undefined, hosts: {} };
      });
      after(() => rmSync(ownVault(), { recursive: true, force: true }));

      it('reads what SSH reads, after a damaged segment of a killed run was found and stored anew', async () => {
        const killed = new BackupRun(docker);
        await killed.check();
        await killed.images(1);
        await killed.run('cleanUp', { abandoned: true });
        const [first] = segmentsOf(ownVault());
        spoil(first!);
        sealed = new BackupRun(docker);
        assert.equal((await sealed.whole()).status, 'complete');
        assert.match(sealed.proof.warnings.join(), new RegExp(`${first!.replace('.tar.gpg', '')}.*damaged; its blobs are stored anew`));
        const overSsh = newRun();
        await overSsh.whole();
        assert.equal(sealed.proof.counts.blobs, overSsh.proof.counts.blobs);
        assert.deepEqual(sealed.facts.volume, overSsh.facts.volume);
        assert.equal((await verify(sealed)).result, 'good');
        assert.equal(left(), '');
      });

      it('heals the vault: what a verification found damaged is stored anew by the next backup', async () => {
        const segments = (JSON.parse(readFileSync(path.join(ownVault(), 'lab', 'backups', sealed.backupId, 'manifest.json'), 'utf8')) as Manifest).segments;
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
        dtr.on('node-1', `printf 'FROM ${sealed.facts.bootstrapperImage}\nENTRYPOINT []\nRUN rm -f /bin/tar /usr/bin/tar\n' | docker build --quiet --network none --tag drydock-test/bare:1 -`);
        const failed = await new BackupRun(bare).failure('checkBackup', {});
        assert.equal(failed.type, 'Refused', failed.message);
        assert.match(failed.message, /the helper container on node-1 \(drydock-test\/bare:1\) lacks tar, GNU tar/);
        assert.match(JSON.stringify(failed.details), /set policy\.helperImage to an image with a shell and GNU tar, such as debian:bookworm-slim/);
        assert.equal(left(), '');
      });

      it('removes what a killed attempt of the same backup has left on the node, with the next attempt and in the end', async () => {
        const run = new BackupRun(docker);
        const leave = () => assert.equal(dtr.on('node-1', `docker run --detach --label drydock.operation=${run.step.operation} --entrypoint sleep ${sealed.facts.bootstrapperImage} 600`).code, 0);
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
        push('cancelled-in-container');
        const run = new BackupRun(docker);
        await run.check();
        const environment = activityEnvironment();
        environment.on('heartbeat', () => environment.cancel());
        const error: unknown = await run.run('copyImages', { facts: run.facts, pass: 1 }, environment).then(() => null, (reason: unknown) => reason);
        assert.ok(error instanceof CancelledFailure, String(error));
        assert.equal(left(), '');
      });
    });

    it('takes no images when someone else looks after them, and says so', async () => {
      const external = structuredClone(config);
      external.clusters.lab!.images = { external: 'the storage team' };
      const run = new BackupRun(external);
      const sealed = await run.whole();
      assert.equal(sealed.status, 'complete');
      const { dtr: described, artifacts, counts } = manifestOf(run.backupId);
      assert.deepEqual([described.storage, described.volume, artifacts.tree, counts.blobs], [{ kind: 'external', external: 'the storage team' }, null, null, 0]);
      assert.ok(counts.tags > 0);
      assert.match(readFileSync(backupFile(run.backupId, 'RESTORE.md'), 'utf8'), /not in this backup: the storage team/);
    });
  });
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
