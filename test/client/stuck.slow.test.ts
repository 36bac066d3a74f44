import assert from 'node:assert/strict';
import { follow } from '../../client/follow';
import { describeOperation, type OperationSummary } from '../../client/operations';
import type { Status } from '../../client/status';
import { Doors, until } from './fixtures/doors';

/** The SDK's own words, as the server has them. */
const WORDS = /Nondeterminism/;

describe('a run with which the worker of a later build cannot go on', function () {
  this.timeout(120_000);
  let doors: Doors;

  before(async () => {
    doors = await Doors.open();
    await doors.startWorker();
  });
  after(() => doors.close());

  it('is named by approve, show, status and watch, with the server\'s words and the way out', async () => {
    const id = await doors.waitingRestore();
    await doors.stopWorker();
    await doors.startWorker(true);
    const vote = await doors.run('approve', id, '--gate', 'plan', '--plan-digest', 'd'.repeat(64), '--by', 'operator', '--json');
    const { via, accepted, message } = JSON.parse(vote.stdout) as { via: string; accepted: boolean | null; message: string };
    assert.deepEqual([via, accepted], ['signal', null]);
    assert.match(message, /^a worker listens, but cannot go on with this run \(.*Nondeterminism.*\); the vote was left with the run/);
    // The vote asks the worker for a decision, which fails, and is asked for again after ten seconds.
    await until(async () => (await describeOperation(doors.session, id)).stuck !== null);
    const [shown, json, status] = [await doors.run('show', id), await doors.run('show', id, '--json'), await doors.run('status', '--json')];
    assert.match(shown.stdout, /no worker can go on with this run: .*Nondeterminism/);
    assert.ok(shown.stdout.includes(`temporal workflow terminate --workflow-id ${id}`) && shown.stdout.includes('drydock reconcile lab'), shown.stdout);
    assert.match((JSON.parse(json.stdout) as OperationSummary).stuck ?? '', WORDS);
    const { running } = (JSON.parse(status.stdout) as Status).clusters[0]!;
    assert.match(running.find(({ workflowId }) => workflowId === id)?.stuck ?? '', WORDS);
    const stop = new AbortController();
    const notices: string[] = [];
    await follow(doors.session, id, { signal: stop.signal, onNotice: (text) => (notices.push(text), stop.abort()) });
    assert.match(notices[0] ?? '', /^no worker can go on with this run: .*Nondeterminism.*drydock reconcile lab/);
  });
});
