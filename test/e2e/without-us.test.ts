import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { vaultPaths } from '../../domain/vault-format';
import { rebuild } from '../../lab/cli/break';
import { BASE_IMAGE } from '../../lab/hosts/image';
import { pushToLab } from '../../lab/cli/push';
import { NODES, type DtrVersion, type NodeName } from '../../lab/contract';
import type { PushReport } from '../../lab/push/push';
import { IS_LONG } from '../helpers/long';
import { makeKey, type TestKey } from '../helpers/openpgp-keys';
import { DtrLab } from '../lab/dtr-lab';
import { CLUSTER, Steps } from './steps';

/** As small as the configuration allows: a backup of a few MiB is then spread over many. */
const SMALL_SEGMENTS = 1 << 20;
const ANY_NODE: NodeName = 'node-1';

/** The lines of RESTORE.md as they stand: every block marked `sh`, one after the other, in one bash. */
function linesOf(guide: string): string {
  return [...guide.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1]).join('\n');
}

async function flipBit(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  const octet = Buffer.alloc(1);
  const middle = Math.floor((await handle.stat()).size / 2);
  await handle.read(octet, 0, 1, middle);
  octet[0]! ^= 4;
  await handle.write(octet, 0, 1, middle);
  await handle.close();
}

interface Site {
  version: DtrVersion;
  replicas: number;
  storage: 'local' | 'nfs';
  labName: string;
  /** What is restored there; all of it where there is time. */
  forms: readonly Form[];
}

type Form = 'one segment' | 'many segments';

const SITES: readonly Site[] = [
  { version: '2.5.3', replicas: 1, storage: 'local', labName: 'by-hand-253', forms: ['many segments'] },
  { version: '2.9.4', replicas: 3, storage: 'nfs', labName: 'by-hand-294', forms: ['one segment'] },
];

for (const site of SITES) {
  describe(`RESTORE.md of DTR ${site.version} with ${site.replicas} replica(s), on bare hosts without Node and without Drydock`, function () {
    this.timeout(600_000);
    let dtr: DtrLab;
    let pushed: PushReport;
    let cronsBefore: string[];

    before(async () => {
      dtr = await DtrLab.start(site.labName, site.version, site.replicas, site.storage);
      pushed = await pushToLab(dtr.lab, { repos: 4, tags: 2, mib: 9, seed: 31, client: 'direct' });
      cronsBefore = await crons();
    });
    after(async () => dtr?.stop());

    async function crons(): Promise<string[]> {
      const { body } = await dtr.api<{ crons: { action: string; schedule: string }[] }>('GET', '/api/v0/crons');
      return body.crons.map(({ action, schedule }) => `${action} ${schedule}`).sort();
    }

    /** Everything is lost: hosts rebuilt empty, shared storage emptied. */
    async function loseAll(): Promise<void> {
      if (site.storage === 'nfs') assert.equal(dtr.on(ANY_NODE, 'find /srv/nfs/dtr -mindepth 1 -delete').code, 0);
      await Promise.all(NODES.slice(0, site.replicas).map((node) => rebuild(dtr.lab, node, { images: true, trust: false })));
      await dtr.lab.swarm.waitMesh(NODES.slice(0, site.replicas), BASE_IMAGE);
      await dtr.lab.state.trustHostKeys(dtr.lab.names);
    }

    /** The vault comes to the host as a folder; nothing else does. */
    function carry(steps: Steps, node: NodeName): void {
      const { status, stdout, stderr } = spawnSync('tar', ['-C', steps.vaultFile(''), '-cf', '-', '.'], { maxBuffer: 1 << 28 });
      assert.equal(status, 0, stderr.toString());
      assert.equal(dtr.on(node, 'rm -rf /srv/vault && mkdir /srv/vault && tar -C /srv/vault -xf -', stdout).code, 0);
      assert.notEqual(dtr.on(node, 'command -v node || command -v npm || command -v drydock').code, 0, 'something of ours is on PATH');
    }

    async function restoreByHand(steps: Steps, backupId: string, signer?: TestKey): Promise<void> {
      const folder = vaultPaths.backup(CLUSTER, backupId);
      const guide = await readFile(steps.vaultFile(path.join(folder, 'RESTORE.md')), 'utf8');
      const passphrase = await readFile(dtr.lab.state.file('passwords', 'vault-passphrase'), 'utf8');
      const admin = await dtr.lab.state.password('admin');
      for (const secret of [passphrase.trim(), admin]) assert.ok(!guide.includes(secret), 'a secret stands in RESTORE.md');
      // The node of the replica that was backed up, whichever that was.
      const node = /^1\. Work as root on \*\*(node-[123])\*\*/m.exec(guide)?.[1] as NodeName | undefined;
      assert.ok(node !== undefined, 'RESTORE.md says on which node to work');
      carry(steps, node);
      assert.equal(dtr.on(node, 'cat > /root/lines', Buffer.from(linesOf(guide))).code, 0);
      // The signer's key comes from elsewhere than the vault.
      if (signer) assert.equal(dtr.on(node, 'HOME=/root gpg --batch --quiet --import', await readFile(signer.publicFile)).code, 0);
      // What a person would type at the questions.
      const answers = [passphrase.trim(), 'admin', admin, 'destroy'].map((line) => `${line}\n`).join('');
      const container = dtr.lab.names.container(node);
      const run = spawnSync('docker', ['exec', '-i', '-w', `/srv/vault/${folder}`, container, 'env', '-i', 'HOME=/root', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'bash', '-e', '/root/lines'], {
        input: answers, maxBuffer: 1 << 28, timeout: 400_000, killSignal: 'SIGKILL',
      });
      const said = `${run.stdout.toString()}\n${run.stderr.toString()}`;
      assert.equal(run.status, 0, said);
      assert.ok(!said.includes('FAILED'), said);
      assert.equal(said.includes('== signature: done'), signer !== undefined, said);
    }

    async function everythingIsBack(): Promise<void> {
      for (const { repository, tag, digest } of pushed.images) {
        const pulled = dtr.pull(`${repository}@${digest}`, 'pulled');
        assert.equal(pulled.code, 0, `${repository}:${tag}: ${pulled.stderr}`);
      }
      const { body } = await dtr.api<{ replica_health: Record<string, string> }>('GET', '/api/v0/meta/cluster_status');
      assert.deepEqual(body.replica_health, Object.fromEntries(dtr.ids.map((id) => [id, 'OK'])));
      assert.deepEqual(await crons(), cronsBefore);
      const push = pushToLab(dtr.lab, { repos: 1, tags: 1, mib: 1, seed: 77, client: 'direct' });
      await assert.doesNotReject(push, 'the registry takes pushes again');
    }

    /** `sha256sum -c` as anyone would run it in the backup's folder; returns what it complains about. */
    function complaints(steps: Steps, backupId: string): string {
      const { status, stdout, stderr } = spawnSync('sha256sum', ['--quiet', '-c', 'SHA256SUMS'], { cwd: steps.vaultFile(vaultPaths.backup(CLUSTER, backupId)) });
      return status === 0 ? '' : `${stdout.toString()}${stderr.toString()}`;
    }

    /** One bit of each file that SHA256SUMS names, one after the other. */
    async function everyFlippedBitIsFound(steps: Steps, backupId: string): Promise<void> {
      const folder = steps.vaultFile(vaultPaths.backup(CLUSTER, backupId));
      const names = (await readFile(path.join(folder, 'SHA256SUMS'), 'utf8')).trim().split('\n').map((line) => line.slice(66));
      const segments = await steps.segments(backupId);
      for (const { segment } of segments) for (const end of ['tar.gpg', 'index']) assert.ok(names.includes(`../../segments/${segment}.${end}`), `${segment}.${end} is not covered`);
      for (const kind of ['metadata-', 'tags-', 'blobs-', 'tree-', 'notes-', 'segments-', 'RESTORE.md']) assert.ok(names.some((name) => name.startsWith(kind)), `${kind} is not covered`);
      assert.equal(complaints(steps, backupId), '');
      for (const name of names) {
        await flipBit(path.join(folder, name));
        assert.ok(complaints(steps, backupId).includes(`${name}: FAILED`), `a flipped bit in ${name} was not found`);
        await flipBit(path.join(folder, name));
      }
      assert.equal(complaints(steps, backupId), '');
    }

    const plays = (form: Form): boolean => IS_LONG || site.forms.includes(form);

    if (plays('one segment')) it('restores a backup of one segment, which is signed', async () => {
      const plain = await Steps.of(dtr);
      const { policy, encryption } = plain.config.clusters[CLUSTER]!;
      const signer = await makeKey(path.dirname(dtr.lab.state.file('drydock.yaml')), 'signer');
      // Each stream writes a segment of its own.
      const steps = plain.with({ policy: { ...policy, streams: 1 }, encryption: { ...encryption, signingKey: `file:${signer.privateFile}` } });
      const backupId = await steps.backUp();
      assert.equal((await steps.segments(backupId)).length, 1);
      await loseAll();
      await restoreByHand(steps, backupId, signer);
      await everythingIsBack();
    });

    if (plays('many segments')) it('restores a backup of many segments', async () => {
      const plain = await Steps.of(dtr);
      const policy = plain.config.clusters[CLUSTER]!.policy;
      const steps = plain.with({ policy: { ...policy, segmentBytes: SMALL_SEGMENTS } }).inVault('small-segments');
      const backupId = await steps.backUp();
      assert.ok((await steps.segments(backupId)).length > 3);
      await everyFlippedBitIsFound(steps, backupId);
      await loseAll();
      await restoreByHand(steps, backupId);
      await everythingIsBack();
    });
  });
}
