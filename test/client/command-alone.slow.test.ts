import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { EXIT } from '../../domain/contract';
import { follow } from '../../client/follow';
import type { Status } from '../../client/status';
import { castVote, type VoteOutcome } from '../../client/votes';
import { Doors } from './fixtures/doors';
import { drydock, place, start, type Place } from './fixtures/drydock';

describe('the drydock command while no worker is up', function () {
  this.timeout(180_000);
  let doors: Doors;

  beforeEach(async () => {
    doors = await Doors.open();
  });
  afterEach(() => doors.close());

  it('leaves a vote as a signal while no worker is up, and refuses what would not count', async () => {
    await doors.startWorker();
    const id = await doors.waitingRestore();
    await doors.stopWorker();
    const vote = { workflowId: id, gate: 'plan', decision: 'approve', by: 'second' } as const;
    await Promise.all([
      assert.rejects(castVote(doors.session, { ...vote, by: 'mallory' }), { kind: 'Refused', message: /^"mallory" is not an approver/ }),
      assert.rejects(castVote(doors.session, { ...vote, planDigest: 'e'.repeat(64) }), { kind: 'Refused', message: /^This vote is for another plan/ }),
    ]);
    const sent = await doors.run('approve', id, '--gate', 'plan', '--plan-digest', 'd'.repeat(64), '--by', 'second', '--json');
    assert.equal(sent.code, EXIT.ok, sent.stderr);
    const outcome = JSON.parse(sent.stdout) as VoteOutcome;
    assert.deepEqual([outcome.via, outcome.accepted], ['signal', null]);
    await doors.startWorker();
    assert.equal((await follow(doors.session, id))?.status, 'completed');
  });

  it('says so when no worker listens, and goes on waiting', async () => {
    const running = start(['backup', 'lab', '--json', '--config', doors.here.config]);
    await running.said('no worker listens on task queue');
    await doors.startWorker();
    const { code, stdout } = await running.finished;
    assert.equal(code, EXIT.ok);
    assert.equal((JSON.parse(stdout) as { status: string }).status, 'complete');
  });
});

describe('the drydock command without a Temporal server', function () {
  this.timeout(180_000);
  let here: Place;

  before(async () => {
    here = await place({ address: '127.0.0.1:1' });
    await mkdir(here.vault);
  });
  after(() => here.remove());

  it('still shows the status of the vault, and says that Temporal is silent', async () => {
    const { code, stdout } = await drydock(['status', '--json', '--config', here.config]);
    const status = JSON.parse(stdout) as Status;
    assert.equal(code, EXIT.ok);
    assert.deepEqual([status.temporal.reachable, status.clusters[0]?.name, status.clusters[0]?.vaultError], [false, 'lab', null]);
  });

  it('still lists backups', async () => {
    const { code, stdout } = await drydock(['list', 'lab', '--json', '--config', here.config]);
    assert.equal(code, EXIT.ok);
    assert.deepEqual(JSON.parse(stdout), { backups: [] });
  });

  it('makes a vault once, checks it, and tells what it holds', async () => {
    const vault = (...args: string[]) => drydock(['vault', ...args, '--json', '--config', here.config]);
    const early = await vault('check');
    assert.deepEqual([early.code, /is no vault: it has no vault\.json/.test(early.stderr)], [EXIT.unreachable, true]);
    const init = async () => (JSON.parse((await vault('init', 'main')).stdout) as { vaults: { id: string; isNew: boolean }[] }).vaults[0]!;
    const [made, again] = [await init(), await init()];
    assert.deepEqual([made.isNew, again.isNew, again.id], [true, false, made.id]);
    assert.equal((await vault('check', 'main')).code, EXIT.ok);
    await writeFile(path.join(here.vault, 'notes.txt'), 'foreign');
    const foreign = await vault('check');
    assert.equal(foreign.code, EXIT.findings);
    assert.deepEqual((JSON.parse(foreign.stdout) as { vaults: { findings: { name: string }[] }[] }).vaults[0]!.findings.map(({ name }) => name), ['notes.txt']);
    assert.equal((JSON.parse((await vault('stats', 'lab')).stdout) as { vaults: { names: number }[] }).vaults[0]!.names, 2);
  });

  it('says where it looked for Temporal and how to start one', async () => {
    const { code, stdout, stderr } = await drydock(['backup', 'lab', '--json', '--config', here.config]);
    assert.equal(code, EXIT.unreachable);
    assert.equal(stdout, '');
    assert.match(stderr, /^drydock: no Temporal server answers at 127\.0\.0\.1:1 \(connection refused\)\n {2}start one with `drydock up`/);
  });
});
