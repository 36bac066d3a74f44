/** What goes wrong around a backup, and other sites than the usual one: one lab, seen through clusters of one configuration that differ in a setting each. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, connect, type AddressInfo, type Server } from 'node:net';
import type { Manifest } from '../../domain/manifest';
import { breakLab } from '../../lab/cli/break';
import { healLab } from '../../lab/cli/heal';
import { TestCa } from '../helpers/pki';
import { historyText, temporal } from '../helpers/temporal';
import { until } from '../workflows/fixtures/harness';
import { Crew, resultOf, type Cron, type SiteConfig } from './crew';
import { storageOf, volumeOf } from '../../domain/manifest-images';

interface Result {
  workflowId: string;
  backupId: string;
  status: string;
  warnings: string[];
  counts: { blobs: number; newBlobs: number; gaps: number; tags: number };
}

const MIB = 24;
const PROXY_PASSWORD = 'proxy-Secret-77';

describe('a backup under faults, and on other sites', function () {
  this.timeout(300_000);
  let crew: Crew;
  let crons: Cron[];
  let otherUcp: TestCa;
  const seen = new Map<string, string>();

  before(async () => {
    crew = await Crew.start('e2e-faults', '2.9.4');
    otherUcp = new TestCa('Another UCP');
    await crew.addClusters(sites);
    await crew.startWorker();
    await crew.push(41, MIB);
    crons = await crew.crons();
  });
  after(async () => {
    otherUcp?.remove();
    await crew?.stop();
  });

  /** One cluster for each setting that differs. */
  function sites(site: SiteConfig): Record<string, object> {
    const { ucp, hosts } = site;
    const file = (name: string, content: string): string => {
      writeFileSync(crew.dtr.file(name), content, { mode: 0o600 });
      return crew.dtr.file(name);
    };
    const stranger = otherUcp.issue([]);
    const bundle = crew.dtr.file('other-bundle');
    mkdirSync(bundle);
    const ours = readFileSync(crew.dtr.lab.ucp.caFile, 'utf8');
    for (const [name, text] of Object.entries({ 'ca.pem': ours, 'cert.pem': stranger.cert, 'key.pem': stranger.key, 'env.sh': `export DOCKER_HOST=tcp://${crew.dtr.lab.names.addresses.ucp}:443\n` })) {
      writeFileSync(`${bundle}/${name}`, text, { mode: 0o600 });
    }
    const known = readFileSync(crew.dtr.lab.state.file('ssh', 'known_hosts'), 'utf8').trim().split('\n');
    const { 'node-1': first, 'node-2': second } = crew.dtr.lab.names.addresses;
    const keyOf = (address: string): string => known.find((line) => line.split(' ')[0]!.split(',').includes(address))!.split(' ').slice(1).join(' ');
    const swapped = `${first} ${keyOf(second)}\n${second} ${keyOf(first)}`;
    return {
      password: { ucp: { ...ucp, password: `file:${file('wrong', 'not-the-password')}` } },
      bundle: { ucp: { ...ucp, bundle } },
      hostkey: { ssh: { knownHosts: file('known_hosts', `${swapped}\n`) } },
      alice: { ucp: { ...ucp, username: 'alice', password: `file:${crew.dtr.lab.state.file('passwords', 'alice')}` } },
      jump: { hosts: { ...hosts, 'node-1': { ...hosts['node-1'], jump: 'node-2' } } },
      readonly: { policy: { freeze: 'readOnly' } },
      external: { images: { external: 'the storage team' } },
      urls: { ucp: { ...ucp, urls: ['https://127.0.0.1:1', ...ucp.urls] } },
      image: { bootstrapper: { image: 'nowhere.invalid/dtr' } },
      pulled: { bootstrapper: { image: `${crew.dtr.host}/infra/dtr` } },
      killed: { policy: { segmentBytes: 1 << 20, bandwidth: [{ mibPerSecond: 4 }] } },
    };
  }

  const secretsOfAll = async (): Promise<string[]> => [...(await crew.secrets()), PROXY_PASSWORD];

  async function remember(workflowId: string, output: string): Promise<void> {
    const { client } = await temporal();
    const history = await historyText(client, workflowId);
    assert.ok(history.includes('"cluster":'), 'the payloads are shown as they are');
    seen.set(`the history of ${workflowId}`, history);
    seen.set(`the output of ${workflowId}`, output);
  }

  async function backup(cluster: string): Promise<Result> {
    const finished = await crew.command('backup', cluster, '--json');
    const result = resultOf<Result>(finished, 0);
    await remember(result.workflowId, finished.stdout + finished.stderr);
    return result;
  }

  /** A backup that must fail: its sentence and remedy; how often the check was tried; and that nothing of it is left. */
  async function refusal(cluster: string, code: number): Promise<{ error: string; remedy: string; attempts: number }> {
    const finished = await crew.command('backup', cluster, '--json');
    const { workflowId, error, remedy } = resultOf<{ workflowId: string; error: string; remedy: string }>(finished, code);
    await remember(workflowId, finished.stdout + finished.stderr);
    const { client } = await temporal();
    const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
    const attempts = Math.max(...(events ?? []).map((event) => event.activityTaskStartedEventAttributes?.attempt ?? 0));
    assert.deepEqual(await crew.crons(), crons, 'crons were changed');
    const left = existsSync(crew.vaultOf(cluster)) ? (await crew.vaultFiles(crew.vaultOf(cluster))).filter((file) => !file.endsWith('vault.json')) : [];
    assert.deepEqual(left, [], 'files were left in the vault');
    assert.ok(!/\n/.test(error) && !/ at .*\.ts/.test(error), error);
    return { error, remedy, attempts };
  }

  const readOnly = async (): Promise<boolean> => (await crew.dtr.api<{ readOnlyRegistry: boolean }>('GET', '/api/v0/meta/settings')).body.readOnlyRegistry;

  it('says that there is no backup yet before there is a vault', async () => {
    const listed = await crew.command('list', 'jump');
    assert.deepEqual([listed.code, listed.stdout], [0, '']);
    assert.match(listed.stderr, /No backups yet/);
    const { clusters } = resultOf<{ clusters: { name: string; vaultError: string | null; vaultNote: string | null }[] }>(await crew.command('status', '--json'), 0);
    const jump = clusters.find(({ name }) => name === 'jump');
    assert.equal(jump?.vaultError, null);
    assert.match(jump?.vaultNote ?? '', /does not exist yet/);
  });

  it('is refused once, in a sentence with a remedy, for a wrong password of UCP', async () => {
    const { error, remedy, attempts } = await refusal('password', 1);
    assert.match(error, /UCP/);
    assert.match(remedy, /ucp\.password/);
    assert.equal(attempts, 1);
    assert.ok(!existsSync(crew.vaultOf('password')), 'the vault was touched before the login');
  });

  it('is refused once for a login that is no administrator', async () => {
    const { error, remedy, attempts } = await refusal('alice', 1);
    assert.match(error, /alice is no administrator/);
    assert.match(remedy, /administrator/);
    assert.equal(attempts, 1);
  });

  it('is refused for the bundle of another UCP, after a few tries and not for ever', async () => {
    const { error, remedy, attempts } = await refusal('bundle', 5);
    assert.match(error, /UCP does not take the client bundle .*other-bundle/);
    assert.match(remedy, /ucp\.bundle/);
    assert.ok(attempts <= 5);
  });

  it('is refused once for a host that shows another key', async () => {
    const { error, remedy, attempts } = await refusal('hostkey', 1);
    assert.match(error, /node-1 .*another host key/);
    assert.match(remedy, /knownHosts/);
    assert.equal(attempts, 1);
  });

  it('asks UCP to pull an image that the node lacks, and is refused once when that fails', async () => {
    const { error, remedy, attempts } = await refusal('image', 1);
    assert.match(error, /node-1 has not the image nowhere\.invalid\/dtr:2\.9\.4, and .*pull/);
    assert.match(remedy, /docker (pull|load)/);
    assert.equal(attempts, 1);
  });

  it('goes through a jump host, and fails after a few tries where the host cannot be reached', async () => {
    const { gateway } = crew.dtr.lab.names;
    const rule = `INPUT -p tcp --dport 22 -s ${gateway} -j REJECT --reject-with tcp-reset`;
    assert.equal(crew.dtr.on('node-1', `iptables -I ${rule}`).code, 0);
    try {
      // Side by side, as two clusters are: the one that is refused only waits between its tries.
      const [through, finished] = await Promise.all([backup('jump'), crew.command('backup', 'urls', '--json')]);
      assert.equal(through.status, 'complete');
      const { error, remedy } = resultOf<{ error: string; remedy: string }>(finished, 5);
      assert.match(error, /node-1 .*cannot be reached over SSH/);
      assert.match(remedy, /sshd/);
    } finally {
      crew.dtr.on('node-1', `iptables -D ${rule}`);
    }
    assert.deepEqual(await crew.crons(), crons);
  });

  it('takes the next address of UCP where the first is dead', async () => {
    assert.equal((await backup('urls')).status, 'complete');
  });

  it('holds no images where they are declared external, and says so', async () => {
    const result = await backup('external');
    assert.match(result.warnings.join(' '), /not in this backup: the storage team/);
    assert.equal(result.counts.blobs, 0);
    assert.ok(!(await crew.vaultFiles(crew.vaultOf('external'))).some((file) => file.includes('/segments/')));
  });

  it('goes on in another worker when its own is killed with -9 while images stream, and loses nothing', async () => {
    const running = crew.launch('backup', 'killed', '--json');
    // The reader on the host is held still, so that the worker surely dies in the middle of the stream.
    await until(async () => (crew.dtr.on('node-1', 'pkill -STOP -x tar').code === 0 ? true : undefined), 'the images to stream', 120);
    await crew.killWorker('SIGKILL');
    crew.dtr.on('node-1', 'pkill -CONT -x tar');
    await crew.startWorker();
    const result = resultOf<Result>(await running.finished, 0);
    await remember(result.workflowId, '');
    assert.equal(result.status, 'complete');
    assert.equal(result.counts.gaps, 0);
    assert.equal(result.counts.newBlobs, result.counts.blobs);
    assert.deepEqual(await crew.crons(), crons);
    await until(async () => (crew.dtr.on('node-1', 'pgrep -x tar').code === 0 ? undefined : true), 'the reader that was left behind to end', 30);
  });

  it('makes the registry read-only during the freeze where the policy says so, and writable again after success', async () => {
    await crew.knobs({ backupTableDelayMs: 150 });
    const running = crew.launch('backup', 'readonly', '--json');
    await until(async () => ((await readOnly()) ? true : undefined), 'read-only mode', 120);
    await crew.knobs({ backupTableDelayMs: 0 });
    const { workflowId, backupId } = resultOf<Result>(await running.finished, 0);
    await remember(workflowId, '');
    assert.equal(await readOnly(), false);
    const manifest = JSON.parse(await readFile(`${crew.vaultOf('readonly')}/readonly/backups/${backupId}/manifest.json`, 'utf8')) as Manifest;
    assert.equal(manifest.product.settings.readOnlyRegistry, false);
    assert.deepEqual(await crew.crons(), crons);
  });

  it('makes the registry writable again after a cancel, and after its worker was killed with -9', async () => {
    await crew.knobs({ backupTableDelayMs: 400 });
    const running = crew.launch('backup', 'readonly', '--json');
    await until(async () => ((await readOnly()) ? true : undefined), 'read-only mode', 120);
    await crew.killWorker('SIGKILL');
    await crew.startWorker();
    const { client } = await temporal();
    for await (const run of client.workflow.list({ query: 'WorkflowType = "backup" AND ExecutionStatus = "Running"' })) await client.workflow.getHandle(run.workflowId).cancel();
    assert.equal((await running.finished).code, 4);
    await crew.knobs({ backupTableDelayMs: 0 });
    assert.equal(await readOnly(), false);
    assert.deepEqual(await crew.crons(), crons);
  });

  it('keeps the credentials of a proxy of the registry out of the manifest and all that stands in clear', async () => {
    const proxy = `http://me:${PROXY_PASSWORD}@proxy.invalid:3128`;
    assert.ok((await crew.dtr.api('POST', '/api/v0/meta/settings', { httpsProxy: proxy })).status < 300);
    try {
      const { backupId } = await backup('external');
      const folder = `${crew.vaultOf('external')}/external/backups/${backupId}`;
      const manifest = JSON.parse(await readFile(`${folder}/manifest.json`, 'utf8')) as Manifest;
      assert.equal(manifest.product.settings.httpsProxy, 'http://***@proxy.invalid:3128');
      mkdirSync(crew.dtr.file('gnupg'), { recursive: true, mode: 0o700 });
      const settings = (await readdir(folder)).find((name) => /^settings-[0-9a-f]{8}\.env\.gz\.gpg$/.test(name))!;
      const { stdout } = spawnSync('gzip', ['-dc'], { input: crew.gpg(`${folder}/${settings}`) });
      assert.equal(stdout.toString(), `DTR_HTTPS_PROXY=${proxy}\n`);
      assert.ok((await readFile(`${folder}/RESTORE.md`, 'utf8')).includes(settings));
    } finally {
      await crew.dtr.api('POST', '/api/v0/meta/settings', { httpsProxy: '' });
    }
  });

  it('goes through HTTPS_PROXY to what NO_PROXY does not name', async () => {
    const { ucp, lb } = crew.dtr.lab.names.addresses;
    const proxy = await connectProxy();
    await crew.killWorker('SIGTERM');
    await crew.startWorker({ HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`, NO_PROXY: lb });
    try {
      assert.equal((await backup('external')).status, 'complete');
    } finally {
      proxy.server.close();
      await crew.killWorker('SIGTERM');
      await crew.startWorker();
    }
    assert.deepEqual([...proxy.targets], [`${ucp}:443`]);
  });

  it('lets UCP pull an image that the node lacks', async () => {
    const { host } = crew.dtr;
    const image = `${host}/infra/dtr:2.9.4`;
    assert.ok((await crew.dtr.api('POST', '/api/v0/repositories/infra', { name: 'dtr', visibility: 'public' })).status < 300);
    const pushed = spawnSync('skopeo', ['copy', '--dest-creds', `admin:${await crew.dtr.lab.state.password('admin')}`, '--dest-cert-dir', crew.dtr.file('certs'), 'docker-daemon:mirantis/dtr:2.9.4', `docker://${image}`]);
    assert.equal(pushed.status, 0, pushed.stderr.toString());
    const certificates = `/etc/docker/certs.d/${host}`;
    assert.equal(crew.dtr.on('node-1', `mkdir -p ${certificates} && cat > ${certificates}/ca.crt`, readFileSync(crew.dtr.file('certs/ca.crt'))).code, 0);
    assert.notEqual(crew.dtr.on('node-1', `docker image inspect ${image}`).code, 0);
    assert.equal((await backup('pulled')).status, 'complete');
    assert.equal(crew.dtr.on('node-1', `docker image inspect ${image}`).code, 0);
  });

  it('fails in a sentence while the host is powered off, and works again when it is back', async () => {
    await breakLab(crew.dtr.lab, 'node', ['node-1']);
    const finished = await crew.command('backup', 'lab', '--json');
    assert.ok(finished.code === 1 || finished.code === 5, `ended with ${finished.code}`);
    const { error, remedy } = JSON.parse(finished.stdout) as { error: string; remedy: string };
    assert.match(error, /node-1|replica|registry/);
    assert.ok(remedy.length > 0 && !/\n| at .*\.ts/.test(error), error);
    await healLab(crew.dtr.lab);
    assert.deepEqual(await crew.crons(), crons);
    assert.equal((await backup('lab')).status, 'complete');
  });

  it('finds the images where they are bound from a path of the host', async () => {
    const [id] = crew.dtr.ids;
    const copied = crew.dtr.on('node-1', `mkdir -p /srv/images && cp -a /var/lib/docker/volumes/dtr-registry-${id}/_data/. /srv/images/`);
    assert.equal(copied.code, 0, copied.stderr);
    const moved = crew.dtr.bootstrapper(['reconfigure', '--existing-replica-id', id!, '--dtr-storage-volume', '/srv/images', '--storage-migrated']);
    assert.equal(moved.code, 0, moved.stderr);
    await until(async () => ((await crew.dtr.api('GET', '/_ping').catch(() => undefined))?.status === 200 ? true : undefined), 'the registry', 120);
    const { status, backupId, counts } = await backup('lab');
    assert.equal(status, 'complete');
    assert.equal(counts.gaps, 0);
    const { images } = JSON.parse(await readFile(`${crew.vault}/lab/backups/${backupId}/manifest.json`, 'utf8')) as Manifest;
    assert.deepEqual(storageOf(images), { kind: 'volume', storageVolume: '/srv/images' });
    assert.deepEqual([volumeOf(images)?.driver, volumeOf(images)?.name], ['bind', '/srv/images']);
  });

  it('leaves no secret in command lines, containers, histories, logs, or what the vaults hold in clear', async () => {
    let watching = true;
    const watch = (async () => {
      // The machine sees the processes of all hosts of the lab.
      for (let lines = ''; watching; seen.set('ps', lines)) {
        lines += spawnSync('ps', ['-eo', 'args='], { maxBuffer: 1 << 24 }).stdout.toString();
        await new Promise((resolve) => setTimeout(resolve, 400));
      }
    })();
    await backup('urls');
    watching = false;
    await watch;
    seen.set('the worker\'s log', await crew.killWorker('SIGTERM'));
    for (const node of ['node-1', 'node-2', 'node-3'] as const) seen.set(`docker inspect on ${node}`, crew.dtr.on(node, 'docker inspect $(docker ps -aq)').stdout);
    for (const cluster of ['lab', 'jump', 'urls', 'external', 'killed', 'readonly']) {
      const files = existsSync(crew.vaultOf(cluster)) ? await crew.vaultFiles(crew.vaultOf(cluster)) : [];
      for (const file of files) if (!file.endsWith('.gpg')) seen.set(file, await readFile(file, 'latin1'));
    }
    assert.ok(seen.size > 20 && (seen.get('ps') ?? '').length > 0);
    for (const secret of await secretsOfAll()) for (const [place, text] of seen) assert.ok(!text.includes(secret), `a secret stands in ${place}`);
  });
});

/** A small CONNECT proxy on loopback that remembers where it was asked to go. */
async function connectProxy(): Promise<{ server: Server; port: number; targets: Set<string> }> {
  const targets = new Set<string>();
  const server = createServer((client) => {
    client.once('data', (head: Buffer) => {
      const target = /^CONNECT (\S+) HTTP/.exec(head.toString('latin1'))?.[1] ?? '';
      targets.add(target);
      const [host = '', port = ''] = target.split(':');
      const upstream = connect({ host, port: Number(port), allowHalfOpen: true }, () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        client.pipe(upstream).pipe(client);
      });
      upstream.on('error', () => client.destroy());
      client.on('error', () => upstream.destroy());
    });
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return { server, port: (server.address() as AddressInfo).port, targets };
}
