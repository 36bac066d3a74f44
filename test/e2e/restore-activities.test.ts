import assert from 'node:assert/strict';
import { readdir, rm, readFile, writeFile } from 'node:fs/promises';
import type { RestoreDecisions } from '../../domain/plan';
import { vaultPaths } from '../../domain/vault-format';
import { pushToLab } from '../../lab/cli/push';
import type { PushReport } from '../../lab/push/push';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { leaveRecord, restoreRecord } from '../helpers/changes';
import { TestCa } from '../helpers/pki';
import { DtrLab } from '../lab/dtr-lab';
import { CLUSTER, Steps } from './steps';
import { volumeOf } from '../../domain/manifest-images';

const NODE = 'node-1';
const step = { cluster: CLUSTER, operation: 'restore_test' };

describe('the steps of a restore, on a lab with one replica', function () {
  this.timeout(300_000);
  let dtr: DtrLab;
  let steps: Steps;
  let backupId: string;
  let pushed: PushReport;
  let replica: string;

  before(async () => {
    dtr = await DtrLab.start(process.env.DRYDOCK_LAB ?? 'restore', '2.9.4', 1, 'local');
    replica = dtr.ids[0]!;
    steps = await Steps.of(dtr);
    pushed = await pushToLab(dtr.lab, { repos: 3, tags: 2, mib: 6, seed: 7, client: 'direct' });
    backupId = await steps.backUp();
  });
  after(async () => {
    if (process.env.DRYDOCK_LAB === undefined) await dtr?.stop();
  });

  const running = (): string => dtr.on(NODE, 'docker ps --format {{.Names}} | sort').stdout;
  const refused = async (backup: string, options: Parameters<Steps['planInput']>[1] = {}) => steps.refusal('planRestore', await steps.planInput(backup, options));

  describe('plan', () => {
    it('refuses a cluster that is healthy, and plans it when forced', async () => {
      const { kind, message, remedy } = await refused(backupId, { force: false });
      assert.equal(kind, 'Refused');
      assert.match(message, /all replicas are healthy/);
      assert.match(remedy, /force/);
      const plan = await steps.plan(backupId);
      assert.deepEqual(plan.decisions.destroys, [{ id: replica, node: NODE }]);
      assert.equal(plan.diagnosis.verdict, 'healthy');
      assert.equal(plan.estimates.bytesKept, 0, 'a local volume goes with its replica');
      assert.ok(plan.proof.some((sentence) => /metadata archive was read to its end/.test(sentence)));
    });

    it('has the same digest when nothing has changed', async () => {
      assert.equal((await steps.plan(backupId)).digest, (await steps.plan(backupId)).digest);
    });

    it('changes nothing', async () => {
      const before = running() + dtr.on(NODE, 'docker volume ls -q').stdout;
      await steps.plan(backupId);
      assert.equal(running() + dtr.on(NODE, 'docker volume ls -q').stdout, before);
    });

    it('refuses a backup without a seal, and one that is not there', async () => {
      const unsealed = await steps.forged(backupId, () => undefined);
      await rm(steps.vaultFile(vaultPaths.manifest(CLUSTER, unsealed)));
      // Before anything else is asked.
      const absent = (backup: string) => steps.refusal('diagnose', { ...step, backup, targets: [] });
      assert.match((await absent(unsealed)).message, /has no seal/);
      const { kind, remedy } = await absent('20200101T000000Z-ffffff');
      assert.equal(kind, 'NotFound');
      assert.match(remedy, /drydock list/);
    });

    it('refuses a backup of another version than the DTR that is installed', async () => {
      const other = await steps.forged(backupId, ({ product: facts }) => {
        facts.version = '2.9.5';
      });
      const { message } = await refused(other);
      assert.match(message, /DTR 2\.9\.4 is installed|mirantis\/dtr:2\.9\.4 is not of version 2\.9\.5/);
    });

    it('lists owners of repositories that this UCP does not know, and goes on when that is accepted', async () => {
      const foreign = await steps.forged(backupId, ({ product }) => {
        product.ucp.clusterId = 'another';
      }, { notes: [{ kind: 'owner', id: 'not-here', name: 'globex' }] });
      const { message, remedy } = await refused(foreign);
      assert.match(message, /do not exist on this UCP: globex/);
      assert.match(remedy, /acceptMissingOwners/);
      const plan = await steps.plan(foreign, { acceptMissingOwners: true });
      assert.match(plan.warnings.join('\n'), /globex/);
      assert.match(plan.warnings.join('\n'), /made under another/);
    });

    it('refuses a port that something else listens on', async () => {
      const sshPort = await steps.forged(backupId, ({ product: facts }) => {
        facts.replicas[0]!.httpPort = 22;
      });
      assert.match((await refused(sshPort)).message, /port 22 of node-1 is taken/);
    });

    it('refuses a cluster whose hosts have no SSH, and says what to add', async () => {
      const without = steps.with({ images: 'docker', ssh: undefined, hosts: {} });
      const { message, remedy } = await without.refusal('planRestore', await without.planInput(backupId));
      assert.match(message, /clusters\.lab has no SSH host for node-1 in drydock\.yaml: images: docker serves backups, a restore works on the hosts themselves/);
      assert.match(remedy, /add ssh\.knownHosts, and hosts\.node-1/);
    });

    it('refuses a node without one of the images, by name', async () => {
      const image = 'mirantis/dtr-garant:2.9.4';
      const id = dtr.on(NODE, `docker image inspect --format '{{.Id}}' ${image}`).stdout.trim();
      dtr.on(NODE, `docker rmi --force --no-prune ${image}`);
      try {
        const { message, remedy } = await refused(backupId);
        assert.match(message, /node-1 has not the image mirantis\/dtr-garant:2\.9\.4/);
        assert.match(remedy, /docker load/);
      } finally {
        assert.equal(dtr.on(NODE, `docker tag ${id} ${image}`).code, 0);
      }
    });

    it('refuses a volume that is another mount than that of the backup', async () => {
      const elsewhere = await steps.forged(backupId, ({ images }) => {
        volumeOf(images)!.options = { type: 'none', o: 'bind', device: '/srv/nfs/dtr' };
      });
      assert.match((await refused(elsewhere)).message, /not the expected mount: device is "", expected "\/srv\/nfs\/dtr"/);
    });

    it('refuses a mount that cannot be made, and leaves no trace of the attempt', async () => {
      const absent = await steps.forged(backupId, ({ images }) => {
        Object.assign(volumeOf(images)!, { name: 'images', options: { type: 'none', o: 'bind', device: '/not/there' } });
      });
      assert.match((await refused(absent)).message, /not\/there/);
      assert.doesNotMatch(dtr.on(NODE, 'docker volume ls -q').stdout, /probe/);
    });

    it('refuses too little space', async () => {
      const small = await steps.forged(backupId, ({ images }) => {
        Object.assign(volumeOf(images)!, { name: 'images', options: { type: 'tmpfs', device: 'tmpfs', o: 'size=1m' } });
      });
      const { kind, message } = await refused(small);
      assert.equal(kind, 'NoSpace');
      assert.match(message, /node-1 has 1 MiB free/);
    });

    it('refuses a damaged archive, a missing segment and a wrong key before anything is destroyed', async () => {
      const damaged = await steps.forged(backupId, () => undefined);
      const folder = steps.vaultFile(vaultPaths.backup(CLUSTER, damaged));
      const file = `${folder}/${(await readdir(folder)).find((name) => name.startsWith('metadata-'))!}`;
      const bytes = await readFile(file);
      bytes[bytes.length >> 1]! ^= 1;
      await writeFile(file, bytes);
      assert.match((await refused(damaged)).message, /metadata-[0-9a-f]+\.tar\.gz\.gpg .* is damaged/);
      const short = await steps.forged(backupId, () => undefined, { segments: (segments) => [...segments, { ...segments[0]!, segment: 'gone' }] });
      assert.match((await refused(short)).message, /gone\.tar\.gpg is not in the vault/);
      const wrong = dtr.file('wrong-passphrase');
      await writeFile(wrong, 'not it');
      const keyless = steps.with({ encryption: { ...steps.config.clusters[CLUSTER]!.encryption, passphrase: `file:${wrong}` } });
      const { kind, message } = await keyless.refusal('planRestore', await keyless.planInput(backupId));
      assert.equal(kind, 'AuthRejected');
      assert.match(message, /none of the keys at hand opens this backup/);
    });

    it('refuses a login that is no administrator, another host key, and a host that is not the node', async () => {
      const config = steps.config.clusters[CLUSTER]!;
      const alice = steps.with({ ucp: { ...config.ucp, username: 'alice', password: `file:${dtr.lab.state.file('passwords', 'alice')}` } });
      const input = await steps.planInput(backupId);
      assert.equal((await alice.refusal('planRestore', input)).kind, 'NotPermitted');
      const key = (await readFile(dtr.lab.state.file('ssh', 'known_hosts'), 'utf8')).split('\n').find((line) => line.includes(config.hosts['node-2']!.address))!;
      const hostKey = key.split(' ').slice(1, 3).join(' ');
      assert.equal((await refused(backupId, { targets: [{ replicaId: replica, node: NODE, hostKey }] })).kind, 'HostKeyMismatch');
      const swapped = { replicaId: replica, node: NODE, host: config.hosts['node-2']!.address };
      assert.match((await refused(backupId, { targets: [swapped] })).message, /the SSH host for node-1 calls itself node-2/);
    });

    it('refuses a target that is not in the Swarm, and says all reasons at once', async () => {
      const bad = await steps.forged(backupId, () => undefined, { notes: [{ kind: 'owner', id: 'not-here', name: 'globex' }] });
      const { kind, message } = await refused(bad, { targets: [{ replicaId: replica, node: 'node-9' }] });
      assert.equal(kind, 'Refused');
      assert.match(message, /2 reasons speak against this restore/);
      assert.match(message, /node-9, target for replica [0-9a-f]{12}, is not in the Swarm/);
      assert.match(message, /globex/);
    });

    it('tells a certificate of a stranger from a replica that is well', async () => {
      const ca = new TestCa();
      try {
        const distrustful = steps.with({ dtr: { ...steps.config.clusters[CLUSTER]!.dtr, caFile: ca.caFile } });
        const { verdict, replicas } = await distrustful.run('diagnose', { ...step, backup: backupId, targets: [] });
        assert.equal(verdict, 'quorumLost');
        assert.match(replicas[0]!.note, /cannot be reached/);
      } finally {
        ca.remove();
      }
    });
  });

  describe('stop', () => {
    it('is undone by start, also when an earlier attempt had stopped a part', async () => {
      const before = running();
      const { stopped } = await steps.run('stopReplica', { ...step, id: replica, node: NODE });
      assert.equal(stopped.length, 9);
      assert.equal(running(), '');
      const again = await steps.run('stopReplica', { ...step, id: replica, node: NODE });
      assert.deepEqual([...again.stopped].sort(), [...stopped].sort());
      await steps.run('startReplica', { ...step, id: replica, node: NODE, containers: again.stopped });
      assert.equal(running(), before);
    });

    it('is undone by start when it was broken off and could not say what it had stopped', async () => {
      const before = running();
      await steps.run('stopReplica', { ...step, id: replica, node: NODE });
      await steps.run('startReplica', { ...step, id: replica, node: NODE, containers: [] });
      assert.equal(running(), before);
      await steps.run('waitHealthy', { ...step, decisions: (await steps.plan(backupId)).decisions, replica: { id: replica, node: NODE, httpPort: 80, httpsPort: 443 } });
    });
  });

  describe('destroy and restore', () => {
    let decisions: RestoreDecisions;

    before(async () => {
      decisions = (await steps.plan(backupId)).decisions;
      await steps.destroy(step, decisions);
    });

    it('leaves no container and no volume of the replica, and does nothing the second time', async () => {
      assert.equal(running(), '');
      assert.equal(dtr.on(NODE, 'docker volume ls -q | grep -c dtr- || true').stdout.trim(), '0');
      assert.deepEqual(await steps.run('destroyReplica', { ...step, decisions, id: replica, node: NODE }), { removed: [] });
    });

    it('calls the cluster lost then, and plans its restore without force', async () => {
      const plan = await steps.plan(backupId, { force: false });
      assert.equal(plan.diagnosis.verdict, 'allLost');
      assert.deepEqual(plan.decisions.destroys, []);
    });

    it('writes all images of the backup, and keeps them when it runs again', async () => {
      const manifest = await steps.manifest(backupId);
      const first = await steps.run('restoreImages', { ...step, decisions });
      assert.equal(first.written.blobs, manifest.counts.blobs);
      const root = `/var/lib/docker/volumes/${volumeOf(manifest.images)!.name}/_data`;
      const { owner, mode } = volumeOf(manifest.images)!;
      assert.equal(dtr.on(NODE, `stat -c '%u:%g %a' ${root}`).stdout.trim(), `${owner.uid}:${owner.gid} ${mode}`);
      const second = await steps.run('restoreImages', { ...step, decisions });
      assert.deepEqual(second.written, { blobs: 0, bytes: 0 });
      assert.equal(second.kept.blobs, manifest.counts.blobs);
    });

    describe('and given up: what it was writing aside', () => {
      const restore = 'restore_dead';
      const aside = (root: string): string => `${root}/.drydock-restore-${restore}.0`;
      const bound = 'dtr-registry-nfs-0123456789ab';
      const leave = (root: string): void => assert.equal(dtr.on(NODE, `mkdir -p ${aside(root)}/docker && echo cut > ${aside(root)}/docker/data`).code, 0);
      const isThere = (root: string): boolean => dtr.on(NODE, `test -e ${aside(root)}`).code === 0;

      /** By people who brought the registry back in another way. */
      async function ended(volume: string): Promise<string[]> {
        await leaveRecord(openDirectoryVault(steps.vaultFile('')), restoreRecord({ operation: restore, volume, first: { id: replica, node: NODE } }));
        const { putBack, left } = await steps.run('endRestore', { ...step, restore });
        assert.deepEqual(putBack, [`the record of the unfinished restore ${restore} was removed`]);
        return left;
      }

      it('goes with its record from a volume of the engine', async () => {
        const root = `/var/lib/docker/volumes/dtr-registry-${replica}/_data`;
        leave(root);
        assert.deepEqual([await ended(`dtr-registry-${replica}`), isThere(root)], [[], false]);
      });

      it('goes from a volume that is a mount while that is mounted, and is told of while it is not', async () => {
        leave('/srv/shared');
        dtr.on(NODE, `docker volume create --opt type=none --opt o=bind --opt device=/srv/shared ${bound}`);
        const told = await ended(bound);
        assert.match(told.join(), /^Unfinished files of the restore may lie in the volume dtr-registry-nfs-0123456789ab on node-1, as \.drydock-restore-\*: .*nothing is mounted at/);
        assert.ok(isThere('/srv/shared'));
        dtr.on(NODE, `docker run -d --name uses-it -v ${bound}:/images --entrypoint sleep ${decisions.bootstrapperImage} 600`);
        assert.deepEqual([await ended(bound), isThere('/srv/shared')], [[], false]);
        assert.equal(dtr.on(NODE, `docker rm -f uses-it && docker volume rm ${bound} && rm -r /srv/shared`).code, 0);
      });
    });

    it('loads the metadata after an attempt that was cancelled on its way, without touching the images', async () => {
      const cancelled = steps.run('restoreMetadata', { ...step, decisions }, { onBeat: (phase, cancel) => {
        if (phase.includes('phase 2')) cancel();
      } });
      await assert.rejects(cancelled, { name: 'CancelledFailure' });
      await steps.run('restoreMetadata', { ...step, decisions });
      await steps.run('waitHealthy', { ...step, decisions, replica: decisions.first });
      assert.equal(dtr.on(NODE, 'docker ps -q --filter label=drydock.operation').stdout, '');
      const { kept } = await steps.run('restoreImages', { ...step, decisions });
      assert.equal(kept.blobs, (await steps.manifest(backupId)).counts.blobs);
    });

    it('keeps pushes out until it is told otherwise', async () => {
      await steps.run('setReadOnly', { ...step, readOnly: true });
      assert.equal((await dtr.api<{ readOnlyRegistry: boolean }>('GET', '/api/v0/meta/settings')).body.readOnlyRegistry, true);
    });

    it('confirms tags, permissions, settings and certificate, and pulls a sample of every repository', async () => {
      const confirmed = await steps.run('confirmRestore', { ...step, decisions });
      assert.equal(confirmed.tags, pushed.images.length);
      assert.equal(confirmed.repositories, pushed.repositories.length);
      assert.equal(confirmed.pulled, pushed.repositories.length * 2);
      assert.deepEqual(confirmed.differences, []);
    });

    it('puts the crons back that the backup had frozen, and leaves one that somebody set', async () => {
      const [saved] = (await steps.manifest(backupId)).product.crons;
      const result = await steps.run('restoreCrons', { ...step, decisions, held: [] });
      assert.deepEqual(result, { putBack: [saved!.action], left: [] });
      await dtr.api('POST', '/api/v0/crons', { action: saved!.action, schedule: '0 0 4 * * 0', retries: 0, parameters: {}, deadline: '' });
      const again = await steps.run('restoreCrons', { ...step, decisions, held: [] });
      assert.deepEqual(again.putBack, []);
      assert.match(again.left[0]!, /is set to "0 0 4 \* \* 0"/);
    });

    it('takes away every cron that deletes until the release, and gives back those that the backup does not know', async () => {
      const pruning = { action: 'tag_pruning', schedule: '0 15 4 * * *', retries: 1, parameters: { repository: 'acme/web' }, deadline: '1h' };
      await dtr.api('POST', '/api/v0/crons', pruning);
      const { held } = await steps.run('recordHold', { ...step, decisions });
      await steps.run('holdDeletions', { ...step, held });
      const left = (await dtr.api<{ crons: { action: string }[] }>('GET', '/api/v0/crons')).body.crons.map(({ action }) => action).sort();
      assert.deepEqual(left, ['license_update', 'update_vuln_db']);
      assert.deepEqual((await steps.run('recordHold', { ...step, decisions })).held, held, 'an attempt that died had recorded them');
      const { putBack } = await steps.run('restoreCrons', { ...step, decisions, held });
      assert.deepEqual(putBack.sort(), ['onlinegc', 'tag_pruning']);
      const { schedule, retries, parameters, deadline } = (await dtr.api<typeof pruning>('GET', '/api/v0/crons/tag_pruning')).body;
      assert.deepEqual({ action: 'tag_pruning', schedule, retries, parameters, deadline }, pruning);
    });

    it('updates the vulnerability database, and only warns when that fails', async () => {
      await steps.run('setReadOnly', { ...step, readOnly: false });
      await dtr.api('POST', '/api/v0/meta/settings', { scanningEnabled: true });
      const online: RestoreDecisions = { ...decisions, scanning: 'online' };
      assert.deepEqual((await steps.run('updateVulnerabilityDatabase', { ...step, decisions: online })).warnings, []);
      assert.equal((await dtr.api('PUT', '/api/v0/lab/knobs', { failOnlineUpdate: 1 })).status, 200);
      const failed = await steps.run('updateVulnerabilityDatabase', { ...step, decisions: online });
      assert.match(failed.warnings[0]!, /was not updated/);
      await dtr.api('PUT', '/api/v0/lab/knobs', { failOnlineUpdate: 0 });
    });

    it('names the image of which a layer is missing', async () => {
      const root = `/var/lib/docker/volumes/dtr-registry-${replica}/_data/docker/registry/v2/blobs/id`;
      dtr.on(NODE, `find ${root} -type f -name data -delete`);
      const { missing, missingCount, pulled } = await steps.run('confirmRestore', { ...step, decisions });
      assert.equal(pulled, 0);
      assert.equal(missingCount, pushed.repositories.length * 2);
      for (const { name } of pushed.repositories) assert.equal(missing.filter((each) => each.startsWith(`${name}:`)).length, 2);
    });
  });
});
