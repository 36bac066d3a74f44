import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { EXIT, type RestoreResult } from '../../domain/contract';
import type { CopyResult } from '../../domain/copy';
import type { Manifest } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';
import { breakLab, rebuild } from '../../lab/cli/break';
import { pushToLab } from '../../lab/cli/push';
import { NODES, type NodeName } from '../../lab/contract';
import type { PushReport } from '../../lab/push/push';
import { DatabaseServer } from '../helpers/database-server';
import { TestCa } from '../helpers/pki';
import { writeImage } from '../lab/image-folder';
import type { DtrLab } from '../lab/dtr-lab';
import { until } from '../workflows/fixtures/harness';
import { Crew, editConfig, resultOf, type Cron } from './crew';
import { LockedBucket } from './locked-bucket';
import { demote, demoteAsTold, promote } from './managers';
import { RestoreRuns } from './restore-runs';
import { Steps } from './steps';
import { kindOf, VaultRights } from './vault-rights';
import { volumeOf } from '../../domain/manifest-images';

const LAB = process.env.DRYDOCK_LAB ?? 'restore-faults';
const SCAN_DATABASE = 'scan-database.tar';
const PROXY = 'http://me:proxy-Secret-78@proxy.invalid:3128';
/** In the way of the host's own tar: one that unpacks stops in the middle of a blob, so that the worker surely dies there. */
const HELD_TAR = '/usr/local/bin/tar';
const HOLDING_TAR = `#!/bin/bash
case " $* " in *" -xf - "*) { head -c 300000; kill -STOP $BASHPID; cat; } | /usr/bin/tar "$@" ;; *) exec /usr/bin/tar "$@" ;; esac
`;

/** Everything that can go wrong on the way back, on one cluster of three replicas on shared storage, with a certificate and ports of its own. */
describe('a restore of DTR 2.9.4 with three replicas, when things go wrong', function () {
  this.timeout(600_000);
  const ca = new TestCa('registry authority');
  let server: DatabaseServer;
  let bucket: LockedBucket;
  let crew: Crew;
  let runs: RestoreRuns;
  let steps: Steps;
  let images: PushReport;
  let secret: string;
  let crons: Cron[];
  let backupId: string;
  let fingerprint: string;
  let rights: VaultRights;

  before(async () => {
    [server, bucket] = await Promise.all([DatabaseServer.start(), LockedBucket.start()]);
    crew = await Crew.start(LAB, '2.9.4', 3, 'nfs', { address: server.address, prepare });
    rights = new VaultRights(crew, bucket, 'bucket');
    runs = await RestoreRuns.open(crew.env.DRYDOCK_CONFIG!, server.address);
    steps = await Steps.of(crew.dtr);
    await furnish(crew.dtr);
    crons = sorted(await crew.crons());
    const backup = await crew.backup();
    assert.equal(backup.status, 'complete');
    backupId = backup.backupId;
    assert.deepEqual(backup.copies?.map(({ vault, copied, findingCount }) => ({ vault, copied, findingCount })), [{ vault: 'bucket', copied: [backupId], findingCount: 0 }]);
    fingerprint = (await manifest()).product.settings.certificateFingerprint;
  });
  afterEach(() => rights.open());
  after(async () => {
    rights?.unmount();
    await runs?.close();
    if (process.env.DRYDOCK_LAB === undefined) await crew?.stop();
    else await crew?.killWorker('SIGTERM');
    await server?.remove();
    await bucket?.stop();
    ca.remove();
  });

  /** A second name for the cluster, with a login that is no administrator; a copy in a bucket; and a database file for scanning that is none yet. */
  async function prepare(dtr: DtrLab): Promise<void> {
    const { state } = dtr.lab;
    await editConfig(dtr, ({ vaults, clusters }) => {
      const { lab } = clusters;
      lab.policy = { vulnerabilityDatabaseFile: state.file(SCAN_DATABASE), healthSeconds: 240 };
      clusters.clerk = { ...lab, ucp: { ...lab.ucp, username: 'alice', password: `file:${state.file('passwords', 'alice')}` } };
      vaults.bucket = { s3: bucket.settings };
      lab.copies = ['bucket'];
    });
    await writeFile(state.file(SCAN_DATABASE), 'no tar');
  }

  /** What is to come back: own certificate, private repositories of several owners, permissions, crons, scanning. */
  async function furnish(dtr: DtrLab): Promise<void> {
    const { cert, key } = ca.issue([`IP:${dtr.host}`]);
    await expectOk(dtr.api('POST', '/api/v0/meta/settings', { webTLSCert: cert, webTLSKey: key, webTLSCA: ca.cert }));
    await dtr.lab.state.write('dtr-ca.pem', ca.cert);
    await writeFile(dtr.file('certs/ca.crt'), ca.cert);
    await healthy();
    images = await pushToLab(dtr.lab, { repos: 5, tags: 3, mib: 48, seed: 41, client: 'direct' });
    await dtr.api('POST', '/api/v0/repositories/bob', { name: 'vaulted', visibility: 'private' });
    secret = writeImage(dtr.file('secret'));
    const pushed = dtr.push('secret', 'bob/vaulted:1.0');
    assert.equal(pushed.code, 0, pushed.stderr);
    await dtr.lab.ucp.api('POST', '/accounts/acme/teams', { name: 'readers' }).catch(() => undefined);
    await expectOk(dtr.api('PUT', '/api/v0/repositories/acme/web/teamAccess/readers', { accessLevel: 'read-only' }));
    await expectOk(dtr.api('POST', '/api/v0/crons', { action: 'onlinegc', schedule: '0 30 2 * * 3', retries: 2, parameters: {}, deadline: '3h' }));
    await expectOk(dtr.api('POST', '/api/v0/crons', { action: 'tag_pruning', schedule: '0 15 4 1 * *', retries: 0, parameters: { repository: 'acme/web', tagPrefix: 'tmp-' }, deadline: '' }));
    await expectOk(dtr.api('POST', '/api/v0/meta/settings', { scanningEnabled: true, scanningSyncOnline: true, httpsProxy: PROXY, noProxy: dtr.host }));
  }

  async function expectOk(answer: Promise<{ status: number; body: unknown }>): Promise<void> {
    const { status, body } = await answer;
    assert.ok(status < 300, `${status}: ${JSON.stringify(body)}`);
  }

  /** The load balancer asks the replicas in turn; each must be well, and show the new certificate. */
  async function healthy(): Promise<void> {
    let inARow = 0;
    await until(async () => {
      const ping = await crew.dtr.api<{ Healthy: boolean }>('GET', '/_ping').catch(() => undefined);
      inARow = ping?.status === 200 ? inARow + 1 : 0;
      return inARow >= 6 || undefined;
    }, 'the registry', 180);
  }

  const manifest = (): Promise<Manifest> => steps.manifest(backupId);

  function sorted(list: Cron[]): Cron[] {
    return [...list].sort((a, b) => (a.action < b.action ? -1 : 1));
  }

  const ucpNodes = (): string => crew.dtr.on('ucp', "docker node ls --format '{{.Hostname}} {{.Status}}'").stdout;
  const running = (node: NodeName): string => crew.dtr.on(node, 'docker ps --format {{.Names}} --filter name=dtr- | sort').stdout;

  it('is refused while all replicas are healthy, by the command too, with what to do instead', async () => {
    const { code, stdout } = await crew.command('restore', 'lab', '--backup', 'latest', '--json');
    assert.equal(code, EXIT.failed);
    const { error, remedy } = JSON.parse(stdout) as { error: string; remedy: string };
    assert.match(error, /all replicas are healthy/);
    assert.match(remedy, /force/);
  });

  it('is refused to a login that is no administrator, with a wrong password, and with a key that does not open the backup', async () => {
    // A backup under that name, so that the login is what is asked for next.
    await cp(path.join(crew.vault, 'lab'), path.join(crew.vault, 'clerk'), { recursive: true });
    assert.match(await runs.refused({ cluster: 'clerk', backup: backupId }), /^NotPermitted: the UCP user alice is not an administrator.*administrator of UCP/);
    const swapped = async (name: string): Promise<string> => {
      const file = crew.dtr.lab.state.file('passwords', name);
      const content = await readFile(file);
      await writeFile(file, 'not it');
      try {
        return await runs.refused({ force: true });
      } finally {
        await writeFile(file, content);
      }
    };
    assert.match(await swapped('admin'), /^AuthRejected: .*ucp\.(username|password)/i);
    assert.match(await swapped('vault-passphrase'), /none of the keys at hand opens this backup.*encryption/);
  });

  it('is refused without a seal, for another version and for missing owners', async () => {
    const unsealed = await steps.forged(backupId, () => undefined);
    await rm(steps.vaultFile(vaultPaths.manifest('lab', unsealed)));
    assert.match(await runs.refused({ backup: unsealed, force: true }), /^NotFound: .* has no seal.*drydock list/);
    const foreign = await steps.forged(backupId, ({ product: dtr }) => {
      dtr.version = '2.9.5';
      dtr.bootstrapperImage = dtr.bootstrapperImage.replace('2.9.4', '2.9.5');
    }, { notes: [{ kind: 'owner', id: 'not-here', name: 'globex' }] });
    const sentence = await runs.refused({ backup: foreign, force: true });
    assert.match(sentence, /DTR 2\.9\.4 is installed.*the backup is of version 2\.9\.5.*Remedy: restore a backup of version 2\.9\.4/);
    assert.match(sentence, /owners of repositories do not exist on this UCP: globex.*Remedy: .*acceptMissingOwners/);
    // This machine has no way to a registry that would have it.
    assert.match(sentence, /has not the image mirantis\/dtr:2\.9\.5 and cannot pull it.*Remedy: docker pull or docker load/);
  });

  it('waits at its gate through a kill of the server, answers each vote in words, and puts everything back when it is cancelled at the point of no return, although its vaults can only be read', async () => {
    rights.closeFolder(crew.vault);
    await rights.closeBucket();
    const before = NODES.map(running).join('');
    const id = await runs.start({ force: true });
    const { gate } = await runs.gate(id, 'plan');
    assert.match(gate.details, /vault lab takes no record of what this restore changes: .*mounted read-only/);
    assert.match(gate.details, /vault bucket takes no record of what this restore changes: .*AccessDenied/);
    assert.match(gate.details, /no vault of the cluster takes a record: it is kept on node-1, node-2, node-3 and in this worker's stateDir/);
    await server.kill();
    await server.startAgain();
    await assert.rejects(runs.vote(id, 'destroy'), { kind: 'Refused', message: 'gate "destroy" is not open; the run waits at gate "plan"' });
    await assert.rejects(runs.vote(id, 'plan', { planDigest: 'f'.repeat(64) }), { kind: 'Refused', message: /^This vote is for another plan \(ffffffffffff\); the plan shown now is/ });
    await assert.rejects(runs.vote(id, 'plan', { by: ' ' }), { kind: 'Refused', message: /^Nobody is named/ });
    await assert.rejects(runs.vote(id, 'plan', { by: 'mallory' }), { kind: 'Refused', message: '"mallory" is not an approver of this cluster; approvers are operator, second.' });
    await runs.vote(id, 'plan', { planDigest: gate.planDigest });
    const again = await runs.vote(id, 'plan', { planDigest: gate.planDigest });
    assert.equal(again.accepted, true);
    await runs.gate(id, 'destroy');
    assert.equal(NODES.map(running).join(''), '');
    // The login of one of the hosts is not root and uses sudo.
    assert.deepEqual(rights.onHosts(...NODES).map(kindOf), ['stop', 'stop', 'stop']);
    await runs.cancel(id);
    assert.equal((await runs.end(id)).status, 'cancelled');
    assert.equal(NODES.map(running).join(''), before);
    assert.deepEqual(rights.onHosts(...NODES), []);
    await healthy();
    assert.deepEqual(sorted(await crew.crons()), crons);
  });

  it('is refused for a lost minority with the vendor\'s way out, and for a lost majority without a replacement', async () => {
    const ids = crew.dtr.ids;
    await promote(crew.dtr, 'node-1', 'node-3');
    await breakLab(crew.dtr.lab, 'node', ['node-3']);
    await until(async () => /node-3 Down/.test(ucpNodes()) || undefined, 'node-3 Down');
    assert.match(await runs.refused(), new RegExp(`only a minority of the replicas is lost.*remove --replica-ids ${ids[2]}.*join`));
    await breakLab(crew.dtr.lab, 'node', ['node-2']);
    await until(async () => /node-2 Down/.test(ucpNodes()) || undefined, 'node-2 Down');
    const sentence = await runs.refused();
    for (const [node, id] of [['node-2', ids[1]], ['node-3', ids[2]]]) assert.match(sentence, new RegExp(`the node ${node} of replica ${id} is lost .* has no replacement.*Remedy: bring it back.*targets`));
  });

  it('names all at once what speaks against rebuilt hosts: a missing image, a taken port, a volume that is not the mount, and a lost manager of the Swarm, whose remedy can be run as it stands', async () => {
    const [, second, third] = crew.dtr.ids;
    const targets = [];
    for (const [replicaId, node] of [[second!, 'node-2'], [third!, 'node-3']] as const) {
      const { hostKey } = await rebuild(crew.dtr.lab, node, { images: true, trust: false });
      targets.push({ replicaId, node, hostKey });
    }
    await writeFile(crew.dtr.file('targets.json'), JSON.stringify(targets));
    const image = 'mirantis/dtr-garant:2.9.4';
    assert.equal(crew.dtr.on('node-2', `docker tag ${image} kept:1 && docker rmi ${image} && docker volume create dtr-registry-nfs-${second} && /usr/sbin/sshd -p 443 -o PidFile=/run/sshd-443.pid`).code, 0);
    const sentence = await runs.refused({ targets });
    assert.match(sentence, /4 reasons speak against this restore/);
    assert.match(sentence, /the old node-3 is a manager of the Swarm and lost, and Docker removes none that was not demoted/);
    demoteAsTold(crew.dtr, 'node-3', sentence);
    demote(crew.dtr, 'node-1');
    assert.match(sentence, /node-2 has not the image mirantis\/dtr-garant:2\.9\.4 and cannot pull it/);
    assert.match(sentence, /port 443 of node-2 is taken by something that is not this DTR. Remedy: stop what listens there/);
    assert.match(sentence, /the volume dtr-registry-nfs-[0-9a-f]{12} on node-2 is another one than that of the backup: it is not the expected mount: device is ""/);
    const mended = crew.dtr.on('node-2', `docker tag kept:1 ${image} && docker volume rm dtr-registry-nfs-${second} && kill $(cat /run/sshd-443.pid)`);
    assert.equal(mended.code, 0, mended.stderr);
  });

  it('goes on after kill -9 while images are written; asks people when a step fails behind the point of no return, and stops there; and succeeds when it is started again as it was', async () => {
    const targets = JSON.parse(await readFile(crew.dtr.file('targets.json'), 'utf8')) as { replicaId: string; node: string; hostKey: string }[];
    await breakLab(crew.dtr.lab, 'volume', ['node-1']);
    const [restored] = crew.dtr.ids;
    // As it would stand in the backup of a cluster with ports of its own, taken from the replica on node-1 (the load balancer knows no other port).
    const backup = await steps.forged(backupId, ({ product: dtr, images }) => {
      dtr.replica = restored!;
      volumeOf(images)!.name = `dtr-registry-nfs-${restored}`;
      dtr.replicas = dtr.replicas.map((replica) => (replica.node === 'node-3' ? { ...replica, httpPort: 8080, httpsPort: 8443 } : replica));
    });
    const { name } = (await steps.manifest(backup)).artifacts.metadata;
    const archive = path.join(rights.closeFolder(crew.vault).behind, name);
    const first = await runs.start({ backup, targets });
    const plan = await runs.gate(first, 'plan');
    assert.match(plan.gate.details, /vault lab takes no record of what this restore changes: .*mounted read-only.*; it is kept in the other vaults of the cluster/);
    assert.match(plan.gate.details, /the old \*\*node-2\*\*: its entry in the Swarm is down/);
    assert.match(plan.gate.details, /ports 8080 and 8443/);
    await runs.vote(first, 'plan');
    const { gate } = await runs.gate(first, 'destroy');
    assert.match(gate.question, /POINT OF NO RETURN.*switched off and stay off: the old node-2, the old node-3/);
    await rename(archive, `${archive}.away`);
    assert.equal(crew.dtr.on('node-1', `cat > ${HELD_TAR} && chmod 755 ${HELD_TAR}`, Buffer.from(HOLDING_TAR)).code, 0);
    await runs.vote(first, 'destroy');
    await until(async () => crew.dtr.on('node-1', "ps -eo stat=,comm= | grep -q '^T.* tar$'").code === 0 || undefined, 'a blob to be written', 240);
    await crew.killWorker('SIGKILL');
    assert.equal(crew.dtr.on('node-1', `rm ${HELD_TAR} && pkill -CONT -x tar`).code, 0);
    await crew.startWorker();
    const held = await runs.gate(first, 'metadata-failed');
    assert.match(held.gate.question, /metadata[^ ]*\.tar\.gz\.gpg/);
    assert.match(held.gate.details, /The images lie on node-1; the metadata is not restored/);
    await runs.vote(first, 'metadata-failed', { decision: 'reject', reason: 'another night' });
    const failed = await runs.end(first);
    await rename(`${archive}.away`, archive);
    assert.match((await bucket.names(vaultPaths.operations('lab'))).join(), /\/restore-/, 'what the next attempt goes by');
    assert.equal(failed.status, 'failed');
    assert.match(failed.error ?? '', /operator stopped the restore there: another night\. The images lie on node-1/);
    assert.ok((await runs.attempts(first)).get('restoreImages')! > 1);

    const again = await runs.start({ backup, targets });
    assert.match((await runs.gate(again, 'plan')).gate.details, /an earlier restore did not come to its end/);
    await runs.approve(again, 'plan', 'destroy');
    await runs.stage(again, 'join');
    await crew.dtr.api('GET', '/api/v0/meta/settings').then(({ body }) => assert.equal((body as { readOnlyRegistry: boolean }).readOnlyRegistry, true));
    assert.notEqual(crew.dtr.push('secret', 'bob/vaulted:2.0').code, 0, 'nobody pushes before the end');
    await runs.gate(again, 'release');
    assert.deepEqual((await crew.crons()).filter(({ action }) => /gc|prun/.test(action)), [], 'nothing deletes before the release');
    assert.equal(crew.dtr.push('secret', 'bob/vaulted:2.0').code, 0);
    await runs.vote(again, 'release');
    const run = await runs.end(again);
    assert.equal(run.status, 'completed', run.error ?? '');
    const result = run.result as RestoreResult;
    assert.equal(result.counts.blobsWritten, 0, 'what the first attempt wrote is kept');
    assert.deepEqual(result.differences, []);
    assert.match(result.warnings.join(' '), /vulnerability database was not updated/);
    assert.deepEqual(result.replicas.map(({ node }) => node).sort(), ['node-1', 'node-2', 'node-3']);
    for (const id of [first, again]) {
      const history = await runs.history(id);
      assert.ok(history.includes(backup) && !history.includes('proxy-Secret-78'), 'the password of a proxy stands in a history');
    }
    assert.deepEqual([await bucket.names(vaultPaths.operations('lab')), rights.onHosts(...NODES)], [[], []]);
    await crew.dtr.lab.state.trustHostKeys(crew.dtr.lab.names);
  });

  it('has brought back every image, who may see it, the certificate, the ports and the crons', async () => {
    for (const { repository, digest } of [...images.images, { repository: 'bob/vaulted', digest: secret }]) {
      const pulled = crew.dtr.pull(`${repository}@${digest}`, 'pulled');
      assert.equal(pulled.code, 0, `${repository}@${digest}: ${pulled.stderr}`);
    }
    assert.notEqual(crew.dtr.pull(`bob/vaulted@${secret}`, 'pulled', 'alice').code, 0, 'a private image of bob');
    assert.deepEqual(sorted(await crew.crons()), crons);
    const { body } = await crew.dtr.api<{ teamAccessList: { accessLevel: string; team: { name: string } }[] }>('GET', '/api/v0/repositories/acme/web/teamAccess');
    assert.deepEqual(body.teamAccessList.map(({ accessLevel }) => accessLevel), ['read-only']);
    const settings = await crew.dtr.api<{ httpsProxy: string; noProxy: string }>('GET', '/api/v0/meta/settings');
    assert.deepEqual([settings.body.httpsProxy, settings.body.noProxy], [PROXY, crew.dtr.host], 'a proxy with its password');
    assert.match(crew.dtr.on('node-3', `docker port dtr-nginx-${crew.dtr.ids[2]} 443`).stdout, /:8443/);
    assert.equal((await crew.backup()).status, 'complete');
    const [latest] = (await crew.command('list', 'lab', '--json').then(({ stdout }) => JSON.parse(stdout) as { backups: { id: string }[] })).backups.sort((a, b) => (a.id < b.id ? 1 : -1));
    assert.equal((await steps.manifest(latest!.id)).product.settings.certificateFingerprint, fingerprint);
  });

  it('reads a copy when the first vault is gone: destroys nothing while a host answers that was said to be off, and reports one that comes back later without joining it', async () => {
    const [first] = crew.dtr.ids;
    const { lab } = crew.dtr;
    // A cluster of one replica, whose host is lost and replaced; what else stands there is a stranger to this backup.
    const backup = await steps.forged(backupId, ({ product: dtr }) => {
      dtr.replicas = dtr.replicas.filter(({ id }) => id === first);
      dtr.replica = first!;
    });
    await toCopy(backup);
    await rename(crew.vault, lostVault());
    assert.match(await runs.refused({ backup, force: true }), /^NotFound: the vault's directory .* does not exist\..*restore from another vault of this cluster: --vault bucket/);
    await withoutReleaseGate();
    await writeFile(lab.state.file(SCAN_DATABASE), execFileSync('tar', ['-c', '-C', path.join(__dirname), path.basename(__filename)]));
    const input = { backup, vault: 'bucket', force: true, targets: [{ replicaId: first!, node: 'node-2' }] };
    const lose = async (): Promise<void> => {
      await breakLab(lab, 'node', ['node-1']);
      await until(async () => /node-1 Down/.test(ucpNodes()) || undefined, 'node-1 Down');
    };
    await lose();
    const trusting = await runs.start(input);
    await runs.approve(trusting, 'plan');
    const { gate } = await runs.gate(trusting, 'destroy');
    assert.match(gate.question, /switched off and stay off: node-1\./);
    const before = crew.dtr.on('node-2', 'docker volume ls -q').stdout;
    await lab.hosts.start('node-1');
    await lab.swarm.waitReady('node-1');
    await runs.vote(trusting, 'destroy');
    const refused = await runs.end(trusting);
    assert.match(refused.error ?? '', /node-1 was to be off, and answers: nothing was destroyed/);
    assert.equal(crew.dtr.on('node-2', 'docker volume ls -q').stdout, before);
    assert.notEqual(running('node-2'), '');

    await lose();
    const id = await runs.start(input);
    await runs.approve(id, 'plan', 'destroy');
    await runs.stage(id, 'images');
    assert.doesNotMatch(ucpNodes(), /node-1/);
    await lab.hosts.start('node-1');
    const run = await runs.end(id);
    assert.equal(run.status, 'completed', run.error ?? '');
    const { warnings, replicas, stages } = run.result as RestoreResult;
    assert.match(warnings.join('\n'), /node-1 was taken out of the Swarm and is back: its old replica must not run beside the restored cluster/);
    assert.doesNotMatch(warnings.join('\n'), /was not updated/);
    assert.deepEqual(replicas, [{ id: first, node: 'node-2' }]);
    assert.doesNotMatch(ucpNodes(), /node-1/);
    assert.ok(stages.every(({ name }) => name !== 'gate-release'));
    assert.deepEqual(sorted(await crew.crons()), crons);
    const { body } = await crew.dtr.api<{ db_version: number; lastDBUpdateFailed: boolean }>('GET', '/api/v0/imagescan/status');
    assert.ok(body.db_version > 0 && !body.lastDBUpdateFailed);
    assert.ok(!existsSync(crew.vault), 'nothing looked for the first vault');
    assert.ok((await bucket.names(vaultPaths.operations('lab'))).every((name) => !/\/restore-[0-9a-f]+\.1\./.test(name)), 'what stands says that it has ended');
  });

  it('leaves a cluster whose first vault is filled again from the copy, and goes on from there', async () => {
    const refused = await crew.command('copy', 'lab', '--from', 'bucket', '--json');
    assert.match(refused.stderr, /the vault "lab" .* is not there.*vault init lab --new/s, 'a disk that is not mounted looks the same');
    assert.equal((await crew.command('vault', 'init', 'lab', '--new', '--json')).code, 0);
    const { copies } = resultOf<CopyResult>(await crew.command('copy', 'lab', '--from', 'bucket', '--json'), 0);
    assert.deepEqual(copies.map(({ vault, findings, notes }) => [vault, findings, notes]), [['lab', [], []]]);
    const held = async (vault: string): Promise<string[]> => (await crew.vaultFiles(path.join(vault, 'lab', 'segments'))).map((file) => path.basename(file)).sort();
    assert.deepEqual(await held(crew.vault), await held(lostVault()));
    const { backupId: next, counts, status } = await crew.backup();
    assert.equal(status, 'complete');
    assert.equal(counts.newBlobs, 0, 'every blob is in the vault that was filled again');
    await bucket.lockedUntil(vaultPaths.manifest('lab', next));
  });

  const lostVault = (): string => `${crew.vault}.lost`;

  /** By hand, as for a backup that was made while the copy could not be reached. */
  async function toCopy(backup: string): Promise<void> {
    const { copies } = resultOf<CopyResult>(await crew.command('copy', 'lab', '--to', 'bucket', '--backup', backup, '--json'), 0);
    assert.deepEqual(copies.map(({ vault, copied, findings }) => [vault, copied, findings]), [['bucket', [backup], []]]);
  }

  async function withoutReleaseGate(): Promise<void> {
    await editConfig(crew.dtr, ({ clusters: { lab } }) => {
      lab.policy = { ...(lab.policy as object), releaseGate: false };
    });
    await crew.killWorker('SIGTERM');
    await crew.startWorker();
  }
});
