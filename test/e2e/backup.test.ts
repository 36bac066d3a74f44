import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Manifest } from '../../domain/manifest';
import { historyText, temporal } from '../helpers/temporal';
import { until } from '../workflows/fixtures/harness';
import { Crew, resultOf, type Cron } from './crew';
import { RestoreRuns } from './restore-runs';

const BLOBS_OF_ID = '/var/lib/docker/volumes/dtr-registry-*/_data/docker/registry/v2/blobs/id';

describe('a backup of DTR 2.9.4', function () {
  this.timeout(300_000);
  let crew: Crew;
  let crons: Cron[];

  before(async () => {
    crew = await Crew.start('e2e-backup', '2.9.4');
    await crew.push(1);
    crons = await crew.crons();
  });
  after(async () => crew?.stop());

  async function history(workflowId: string): Promise<string> {
    const { client } = await temporal();
    return historyText(client, workflowId);
  }

  it('is complete although images are pushed all the time, and leaves the crons as they were', async () => {
    let pushing = true;
    let pushed = 0;
    const pushes = (async () => {
      for (let seed = 100; pushing; seed += 1) {
        await crew.push(seed, 2);
        pushed += 1;
      }
    })();
    const commandLines = new Set<string>();
    const watch = setInterval(() => spawnSync('ps', ['-eo', 'args='], { maxBuffer: 1 << 24 }).stdout.toString().split('\n').forEach((line) => commandLines.add(line)), 300);
    try {
      const result = await crew.backup();
      assert.equal(result.status, 'complete');
      assert.equal(result.counts.gaps, 0);
      assert.ok(result.counts.tags > 0 && result.counts.blobs > 0);
      const kept = await history(result.workflowId);
      assert.ok(kept.includes(result.backupId), 'the payloads are shown as they are');
      const places: [string, string][] = [['a history', kept], ['ps', [...commandLines].join('\n')]];
      const clear = (await crew.vaultFiles()).filter((file) => !file.endsWith('.gpg'));
      for (const file of clear) places.push([file, await readFile(file, 'utf8')]);
      for (const secret of await crew.secrets()) {
        for (const [place, text] of places) assert.ok(!text.includes(secret), `a secret stands in ${place}`);
      }
    } finally {
      pushing = false;
      clearInterval(watch);
      await pushes;
    }
    assert.ok(pushed > 0);
    assert.deepEqual(await crew.crons(), crons);
  });

  it('moves only what is new the second time', async () => {
    await crew.backup();
    const again = await crew.backup();
    assert.equal(again.counts.newBlobs, 0);
    assert.equal(again.bytes.moved, 0);
    await crew.push(7, 4);
    const more = await crew.backup();
    assert.ok(more.counts.newBlobs > 0 && more.bytes.moved < more.bytes.images);
  });

  it('is opened by gpg and tar alone, every artifact and segment of it', async () => {
    mkdirSync(crew.dtr.file('gnupg'), { recursive: true, mode: 0o700 });
    const files = (await crew.vaultFiles()).filter((file) => file.endsWith('.gpg'));
    assert.ok(files.some((file) => file.includes('/segments/')));
    for (const file of files) {
      const plain = crew.gpg(file);
      const name = path.basename(file);
      const [program, args] = name.endsWith('.jsonl.gz.gpg') ? ['gzip', ['-t']] : ['tar', [name.endsWith('.tar.gz.gpg') ? '-tzf' : '-tf', '-']];
      const { status, stderr } = spawnSync(program, args, { input: plain, maxBuffer: 1 << 28 });
      assert.equal(status, 0, `${name}: ${stderr.toString()}`);
    }
    const sums = (await crew.vaultFiles()).filter((file) => file.endsWith('SHA256SUMS'));
    for (const file of sums) assert.equal(spawnSync('sha256sum', ['-c', '--quiet', path.basename(file)], { cwd: path.dirname(file) }).status, 0);
  });

  it('says in its manifest what a restore on bare machines needs', async () => {
    const { backupId } = await crew.backup();
    const manifest = JSON.parse(await readFile(path.join(crew.vault, 'lab', 'backups', backupId, 'manifest.json'), 'utf8')) as Manifest;
    assert.equal(manifest.product.version, '2.9.4');
    assert.equal(manifest.product.bootstrapperImage, 'mirantis/dtr:2.9.4');
    assert.deepEqual(manifest.images.in === 'volume' && [manifest.images.layouts, manifest.images.storage.kind], [['id'], 'local']);
    assert.equal(manifest.product.replicas[0]!.node, 'node-1');
    assert.ok(manifest.product.crons.some((cron) => cron.action === 'onlinegc'));
    assert.ok(manifest.artifacts.notes.plainBytes > 0, 'owners of repositories');
  });

  it('goes on in another worker when its own is killed with -9 while metadata streams', async () => {
    await crew.knobs({ backupTableDelayMs: 700 });
    const running = crew.launch('backup', 'lab', '--json');
    await until(async () => (spawnSync('docker', ['exec', crew.dtr.lab.names.container('node-1'), 'docker', 'ps', '--format', '{{.Names}}']).stdout.toString().includes('dtr-phase2') ? true : undefined), 'the metadata to stream', 120);
    assert.ok((await crew.crons()).every((cron) => cron.action !== 'onlinegc'), 'nothing was frozen');
    await sleep(1500);
    await crew.killWorker('SIGKILL');
    await crew.knobs({ backupTableDelayMs: 0 });
    await crew.startWorker();
    const result = resultOf<{ status: string }>(await running.finished, 0);
    assert.equal(result.status, 'complete');
    assert.deepEqual(await crew.crons(), crons);
  });

  it('does metadata and second pass again when someone starts a collection by hand', async () => {
    await crew.knobs({ backupTableDelayMs: 300 });
    const running = crew.launch('backup', 'lab', '--json');
    await until(async () => ((await crew.crons()).some((cron) => cron.action === 'onlinegc') ? undefined : true), 'the freeze', 120);
    await sleep(2000);
    const { status } = await crew.dtr.api('POST', '/api/v0/jobs', { action: 'onlinegc_blobs' });
    assert.equal(status, 202);
    await crew.knobs({ backupTableDelayMs: 0 });
    const result = resultOf<{ status: string; warnings: string[] }>(await running.finished, 0);
    assert.match(result.warnings.join(' '), /collection ran during the freeze/);
    assert.deepEqual(await crew.crons(), crons);
  });

  it('lets a cron stand that someone set during the freeze, and says so', async () => {
    await crew.knobs({ backupTableDelayMs: 200 });
    const running = crew.launch('backup', 'lab', '--json');
    await until(async () => ((await crew.crons()).some((cron) => cron.action === 'onlinegc') ? undefined : true), 'the freeze', 120);
    const mine = { action: 'onlinegc', schedule: '0 30 4 * * *', retries: 1, deadline: '1h', parameters: {} };
    await crew.dtr.api('POST', '/api/v0/crons', mine);
    await crew.knobs({ backupTableDelayMs: 0 });
    const result = resultOf<{ warnings: string[] }>(await running.finished, 0);
    assert.match(result.warnings.join(' '), /onlinegc/);
    assert.equal((await crew.crons()).find((cron) => cron.action === 'onlinegc')?.schedule, mine.schedule);
    await crew.dtr.api('POST', '/api/v0/crons', crons.find((cron) => cron.action === 'onlinegc'));
    assert.deepEqual((await crew.crons()).map((cron) => cron.schedule).sort(), crons.map((cron) => cron.schedule).sort());
  });

  it('puts the crons back by reconcile after it was terminated', async () => {
    await crew.knobs({ backupTableDelayMs: 300 });
    const running = crew.launch('backup', 'lab', '--json');
    await until(async () => ((await crew.crons()).some((cron) => cron.action === 'onlinegc') ? undefined : true), 'the freeze', 120);
    const { client } = await temporal();
    for await (const run of client.workflow.list({ query: 'WorkflowType = "backup" AND ExecutionStatus = "Running"' })) await client.workflow.getHandle(run.workflowId).terminate();
    await running.finished;
    await crew.knobs({ backupTableDelayMs: 0 });
    assert.ok((await crew.crons()).every((cron) => cron.action !== 'onlinegc'));
    const reconciled = await crew.command('reconcile', 'lab', '--json');
    const { putBack } = resultOf<{ putBack: string[] }>(reconciled, 0);
    assert.equal(putBack[0], 'onlinegc');
    assert.ok(putBack.slice(1).every((text) => /^the container .* was removed$/.test(text)), putBack.join());
    assert.deepEqual((await crew.crons()).map((cron) => cron.action).sort(), crons.map((cron) => cron.action).sort());
  });

  for (const step of ['freeze', 'seal'] as const) {
    it(`that is cancelled in the step ${step} leaves crons, containers and vault as its report says`, async () => {
      const runs = await RestoreRuns.open(crew.env.DRYDOCK_CONFIG!, crew.env.TEMPORAL_ADDRESS!);
      try {
        const before = await outside();
        const { workflowId } = resultOf<{ workflowId: string }>(await crew.command('backup', 'lab', '--detach', '--json'), 0);
        await runs.stage(workflowId, step);
        await runs.cancel(workflowId);
        const { status, error } = await runs.end(workflowId);
        const after = await outside();
        // The seal may have been through when it heard of the cancel; then the backup stands.
        assert.ok(status === 'cancelled' || (step === 'seal' && status === 'completed'), `${status}: ${error}`);
        assert.deepEqual([after.crons, after.containers], [before.crons, before.containers]);
        const { backups } = resultOf<{ backups: { id: string; status: string }[] }>(await crew.command('list', 'lab', '--json'), 0);
        const added = after.backups.filter((id) => !before.backups.includes(id));
        assert.ok(added.every((id) => backups.some((backup) => backup.id === id && backup.status === 'complete')), `half a backup lies in the vault: ${added.join()}`);
        if (status === 'completed') assert.equal(added.length, 1);
      } finally {
        await runs.close();
      }
    });
  }

  /** What a backup may touch. */
  async function outside(): Promise<{ crons: Cron[]; containers: string; backups: string[] }> {
    const names = (await crew.vaultFiles()).map((file) => /\/backups\/([^/]+)\//.exec(file)?.[1]).filter((id) => id !== undefined);
    return { crons: await crew.crons(), containers: crew.dtr.on('node-1', "docker ps -a --format '{{.Names}} {{.State}}' | sort").stdout, backups: [...new Set(names)] };
  }

  it('is sealed as incomplete, with the image named, when a blob has been broken for long', async () => {
    // All large ones: which of them no image needs any more is not for a test to guess.
    const broken = crew.dtr.on('node-1', `cd ${BLOBS_OF_ID} && find . -name data -size +20k > /tmp/broken && tar -cf /tmp/kept.tar -T /tmp/broken && xargs -I{} sh -c 'head -c 64 /dev/urandom | dd of={} bs=1 seek=100 conv=notrunc status=none' < /tmp/broken && cat /tmp/broken`);
    assert.match(broken.stdout, /data/);
    // A blob that the vault holds whole is no gap, so this vault forgets what it knew.
    const fresh = await crew.command('list', 'lab', '--json');
    assert.equal(fresh.code, 0);
    const kept = `${crew.vault}.kept`;
    spawnSync('mv', [crew.vault, kept]);
    const isNew = async (): Promise<void> => assert.equal((await crew.command('vault', 'init', 'lab', '--new')).code, 0);
    try {
      await isNew();
      const result = await crew.backup(3);
      assert.equal(result.status, 'incomplete');
      assert.ok(result.gaps.length > 0);
      assert.match(result.gaps[0]!.image, /^[a-z]+\/[^:]+:.+/);
    } finally {
      spawnSync('rm', ['-rf', crew.vault]);
      spawnSync('mv', [kept, crew.vault]);
      await isNew();
      crew.dtr.on('node-1', `tar -C ${BLOBS_OF_ID} -xpf /tmp/kept.tar`);
    }
  });

  it('of an unknown cluster is refused in one sentence, with exit code 10', async () => {
    const { code, stderr } = await crew.command('backup', 'nowhere');
    assert.equal(code, 10);
    assert.match(stderr, /nowhere/);
  });
});
