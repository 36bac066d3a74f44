import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { EXIT } from '../../domain/contract';
import { EXIT_CODES } from '../../domain/exit-codes';
import { follow } from '../../client/follow';
import { describeOperation, startOperation, type OperationSummary } from '../../client/operations';
import type { Session } from '../../client/session';
import type { Status } from '../../client/status';
import { castVote } from '../../client/votes';
import { temporal } from '../helpers/temporal';
import { Doors, until } from './fixtures/doors';
import { drydock, start, type Place } from './fixtures/drydock';

describe('the drydock command', function () {
  this.timeout(120_000);

  let doors: Doors;
  let here: Place;
  let session: Session;

  before(async () => {
    doors = await Doors.open();
    ({ here, session } = doors);
    await mkdir(here.vault);
    await doors.startWorker();
  });
  afterEach(() => doors.endRuns());
  after(() => doors.close());

  const run: Doors['run'] = (...args) => doors.run(...args);

  it('lists every exit code in its help', async () => {
    const { stdout, code } = await drydock(['--help']);
    assert.equal(code, 0);
    const unfolded = stdout.replace(/\n {7}/g, ' ');
    for (const { code: number, meaning } of Object.values(EXIT_CODES)) assert.ok(unfolded.includes(`${String(number).padStart(5)}  ${meaning}\n`), meaning);
  });

  it('loads neither the AWS SDK nor ssh2 where no vault of that kind is opened', async () => {
    const hook = path.join(__dirname, 'fixtures/loaded.cjs');
    const { code, stderr } = await drydock(['list', '--config', here.config], { NODE_OPTIONS: `--require ${hook}` });
    assert.equal(code, 0, stderr);
    const packages = /^loaded: (.*)$/m.exec(stderr)![1]!.split(' ');
    assert.ok(packages.includes('zod'), stderr);
    assert.deepEqual(packages.filter((name) => name.startsWith('@aws-sdk/') || name === 'ssh2'), []);
  });

  it('is not upset when nobody reads on', async () => {
    const unread = start(['--help']);
    unread.child.stdout?.destroy();
    const { code, stderr } = await unread.finished;
    assert.deepEqual([code, stderr], [0, '']);
  });

  it('answers wrong usage with exit code 2', async () => {
    const [missing, unknown, port, digest] = await Promise.all([
      drydock(['restore', 'lab']), drydock(['bakup', 'lab']), drydock(['up', '--port', 'x']), run('restore', 'lab', '--backup', 'yesterday'),
    ]);
    assert.deepEqual([missing.code, unknown.code, port.code, digest.code], [2, 2, 2, 2]);
    assert.match(unknown.stderr, /Did you mean backup/);
    assert.match(digest.stderr, /^drydock: backup: expected an id like/);
  });

  it('waits for a backup and prints its result as one object', async () => {
    const { code, stdout } = await run('backup', 'lab', '--json');
    assert.equal(code, EXIT.ok);
    const result = JSON.parse(stdout) as { backupId: string; workflowId: string; status: string };
    assert.equal(result.backupId, '20261123T020000Z-1a2b3c');
    assert.equal(result.status, 'complete');
    assert.match(result.workflowId, /^backup\/lab\/\d{8}T\d{6}Z-[0-9a-f]{6}$/);
    const shown = await describeOperation(session, result.workflowId);
    assert.deepEqual([shown.status, shown.type, shown.cluster, shown.gate, shown.error], ['completed', 'backup', 'lab', null, null]);
  });

  it('ends with 3 when the backup is incomplete, and names the gap', async () => {
    const { code, stdout } = await run('backup', 'lab', '--reason', 'incomplete');
    assert.equal(code, EXIT.incomplete);
    assert.match(stdout, /acme\/old:1: layer is missing/);
  });

  it('prints the failure that was made for people, its remedy, and no stack trace', async () => {
    const { code, stdout, stderr } = await run('backup', 'lab', '--reason', 'fail', '--json');
    assert.equal(code, EXIT.failed);
    const summary = JSON.parse(stdout) as OperationSummary;
    assert.deepEqual([summary.status, summary.error, summary.remedy], ['failed', 'UCP does not take the password of "admin"', 'correct ucp.password']);
    assert.match(stderr, /UCP does not take the password of "admin"\n {2}correct ucp\.password/);
    assert.doesNotMatch(stderr, /\n\s+at |outer/);
  });

  it('refuses a second operation on the cluster and says who holds it', async () => {
    const first = await doors.heldBackup();
    const second = await run('backup', 'lab', '--json');
    assert.equal(second.code, EXIT.locked);
    assert.ok(second.stderr.startsWith(`drydock: ${first} holds the cluster lab`), second.stderr);
    const cancelled = await run('cancel', first);
    assert.equal(cancelled.code, EXIT.ok, cancelled.stderr);
    const watched = await run('watch', first, '--json');
    assert.equal(watched.code, EXIT.rejected);
    assert.equal((JSON.parse(watched.stdout) as OperationSummary).status, 'cancelled');
  });

  it('refuses an unknown cluster by naming the known ones', async () => {
    const { code, stderr } = await run('backup', 'lba');
    assert.equal(code, EXIT.notFound);
    assert.match(stderr, /^drydock: there is no cluster "lba" in .*drydock\.yaml, did you mean "lab"\?/);
  });

  it('answers an unknown run and an unknown backup with 10', async () => {
    const [workflow, backup] = await Promise.all([run('show', 'backup/lab/none'), run('show', '20260101T000000Z-000000')]);
    assert.deepEqual([workflow.code, backup.code], [EXIT.notFound, EXIT.notFound]);
    assert.match(workflow.stderr, /there is no workflow "backup\/lab\/none"/);
    assert.match(backup.stderr, /there is no backup "20260101T000000Z-000000"/);
  });

  it('approves through the update: prints what it approves, then the answer of the run', async () => {
    const id = await doors.waitingRestore();
    const shown = JSON.parse((await run('show', id, '--json')).stdout) as OperationSummary;
    assert.deepEqual([shown.status, shown.stage, shown.gate?.name, shown.gate?.planDigest], ['waiting', 'plan', 'plan', 'd'.repeat(64)]);
    const vote = await run('approve', id, '--gate', 'plan', '--plan-digest', 'd'.repeat(64), '--by', 'operator', '--reason', 'drill');
    assert.equal(vote.code, EXIT.ok, vote.stderr);
    assert.match(vote.stdout, /Destroy replica 5eb9459a7832[^]*1 \| stop[^]*Plan digest d{64}\napprove by operator counts at gate plan/);
    const again = await castVote(session, { workflowId: id, gate: 'plan', decision: 'approve', by: 'operator' });
    assert.equal(again.via, 'earlier');
    const end = await run('watch', id);
    assert.equal(end.code, EXIT.ok);
    assert.match(end.stdout, /lab is restored from backup/);
  });

  it('sends no vote without a terminal for a plan that nobody has named, and prints lines that name it', async () => {
    const id = await doors.waitingRestore();
    const vote = await run('approve', id, '--gate', 'plan', '--by', 'operator');
    assert.equal(vote.code, EXIT.usage);
    assert.match(vote.stderr, /^drydock: a vote without a terminal needs --plan-digest: [^]*read it with `drydock show restore\/lab\//);
    assert.equal((await describeOperation(session, id)).status, 'waiting');
    const shown = await run('show', id);
    for (const verb of ['approve', 'reject ']) assert.ok(shown.stdout.includes(`drydock ${verb} ${id} --gate plan --plan-digest ${'d'.repeat(64)} --by NAME --reason TEXT`), shown.stdout);
  });

  it('prints why a run does not take a vote, and ends with 4', async () => {
    const id = await doors.waitingRestore();
    const [stranger, noReason] = await Promise.all([run('approve', id, '--gate', 'plan', '--plan-digest', 'd'.repeat(64), '--by', 'mallory'), run('reject', id, '--gate', 'plan', '--by', 'operator')]);
    assert.deepEqual([stranger.code, noReason.code], [EXIT.rejected, EXIT.usage]);
    assert.match(stranger.stderr, /^drydock: "mallory" is not an approver/);
    await assert.rejects(castVote(session, { workflowId: id, gate: 'destroy', decision: 'approve', by: 'operator' }), {
      kind: 'Refused', message: 'gate "destroy" is not open; the run waits at gate "plan"',
    });
    await castVote(session, { workflowId: id, gate: 'plan', decision: 'reject', by: 'operator', reason: 'wrong backup' });
    assert.equal((await follow(session, id))?.error, 'rejected by operator: wrong backup');
    await assert.rejects(castVote(session, { workflowId: id, gate: 'plan', decision: 'approve', by: 'operator' }), { kind: 'Refused', message: `${id} is over (failed): there is nothing to decide` });
  });

  it('ends a restore with codes of their own when something differs, and when a person has accepted that', async () => {
    for (const [reason, code, line] of [['differs', EXIT.differs, /differs from the backup: the repository acme\/old is not there/], ['accepted', EXIT.accepted, /accepted so by second at 2026-11-23 03:00:00Z: INC-4711/]] as const) {
      const { workflowId } = await startOperation(session, { type: 'restore', input: { cluster: 'lab', backup: 'latest', reason } });
      await until(async () => (await describeOperation(session, workflowId)).gate !== null);
      await castVote(session, { workflowId, gate: 'plan', decision: 'approve', by: 'operator' });
      const watched = await run('watch', workflowId);
      assert.equal(watched.code, code);
      assert.match(watched.stdout, line);
    }
  });

  it('leaves the run going when watching is interrupted, and says how to come back', async () => {
    const workflowId = await doors.heldBackup();
    const watching = start(['watch', workflowId, '--config', here.config]);
    await watching.said('Images, first pass ...');
    watching.child.kill('SIGINT');
    const { code, stderr } = await watching.finished;
    assert.equal(code, EXIT.interrupted);
    assert.ok(stderr.includes(`drydock watch ${workflowId}`), stderr);
    assert.equal((await describeOperation(session, workflowId)).status, 'running');
  });

  it('passes targets on, with the host key from a file', async () => {
    const key = path.join(here.directory, 'node-4.pub');
    await writeFile(key, 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA root@node-4\n');
    const [good, bad] = await Promise.all([
      run('restore', 'lab', '--backup', 'latest', '--target', `5eb9459a7832=node-4,host=10.0.0.14,port=2222,key=${key}`, '--detach', '--json'),
      run('restore', 'lab', '--backup', 'latest', '--target', '5eb9=node-4'),
    ]);
    assert.equal(bad.code, EXIT.usage);
    assert.match(bad.stderr, /^drydock: --target 5eb9=node-4: replicaId: expected 12 hexadecimal digits/);
    const { client } = await temporal();
    const { workflowId } = JSON.parse(good.stdout) as { workflowId: string };
    const history = await client.workflow.getHandle(workflowId).fetchHistory();
    const input = JSON.parse(Buffer.from(history.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0]?.data ?? []).toString()) as { targets: unknown };
    assert.deepEqual(input.targets, [{ replicaId: '5eb9459a7832', node: 'node-4', host: '10.0.0.14', port: 2222, hostKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA' }]);
  });

  it('reconciles and tells what it has put back', async () => {
    const { code, stdout } = await run('reconcile', 'lab');
    assert.equal(code, EXIT.ok);
    assert.match(stdout, /put right: cron gc/);
  });

  it('copies to another vault, ends with 6 when something is damaged, and refuses a vault that is not configured', async () => {
    const good = await run('copy', 'lab', '--to', 'main', '--json');
    assert.deepEqual([good.code, (JSON.parse(good.stdout) as { copies: { vault: string }[] }).copies[0]?.vault], [EXIT.ok, 'main']);
    const bad = await run('copy', 'lab', '--reason', 'damaged');
    assert.equal(bad.code, EXIT.findings);
    assert.match(bad.stdout, /FINDING main, backup 20261123T020000Z-1a2b3c: it is damaged \(lab\/segments\/s1\.tar\.gpg\); intact in offsite/);
    const wrong = await run('copy', 'lab', '--to', 'moon');
    assert.deepEqual([wrong.code, /there is no vault "moon"/.test(wrong.stderr)], [EXIT.usage, true]);
  });

  it('forgets a backup that is in a vault, and takes it back', async () => {
    const id = '20261120T020000Z-0f0f0f';
    const folder = path.join(here.vault, 'lab/backups', id);
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'manifest.json'), '{}');
    const given = await run('forget', id);
    assert.equal(given.code, EXIT.ok);
    assert.match(given.stdout, /in main it is given up; a prune after 2026-11-30 02:00:00Z removes it, until then `drydock forget 20261120T020000Z-0f0f0f --undo` takes that back/);
    const back = JSON.parse((await run('forget', id, '--undo', '--json')).stdout) as { undo: boolean; vaults: { state: string }[] };
    assert.deepEqual([back.undo, back.vaults[0]?.state], [true, 'lifted']);
    assert.equal((await run('forget', '20261120T020000Z-ffffff')).code, EXIT.notFound);
    await rm(folder, { recursive: true });
  });

  it('shows what runs and who is waited for in the status', async () => {
    const id = await doors.waitingRestore();
    const { workflowId: forgetting } = await startOperation(session, { type: 'forget', input: { cluster: 'lab', backup: '20261120T020000Z-0f0f0f', reason: 'hold' } });
    let status: Status | undefined;
    const shows = (workflowId: string, gate: string | null): boolean => status?.clusters[0]?.running.some((entry) => entry.workflowId === workflowId && entry.gate === gate) ?? false;
    for (let i = 0; i < 20 && !(shows(id, 'plan') && shows(forgetting, null)); i++) {
      status = JSON.parse((await run('status', '--json')).stdout) as Status;
    }
    const [cluster] = status?.clusters ?? [];
    assert.equal(cluster?.name, 'lab');
    assert.equal(cluster?.lastBackup, null);
    assert.ok(cluster?.running.some((entry) => entry.workflowId === id && entry.status === 'waiting' && entry.gate === 'plan'), JSON.stringify(status));
    assert.ok(shows(forgetting, null), 'every kind of operation is shown');
    assert.equal(status?.temporal.workerListens, true);
  });
});
