import assert from 'node:assert/strict';
import { EXIT } from '../../domain/contract';
import { describeOperation } from '../../client/operations';
import { Doors, until } from './fixtures/doors';
import { start, startOnTerminal, type Running } from './fixtures/drydock';

const CTRL_C = '\u0003';
const ESCAPE = '\u001b[';

describe('the drydock command on a terminal', function () {
  this.timeout(180_000);
  let doors: Doors;

  before(async () => {
    doors = await Doors.open();
    await doors.startWorker();
  });
  afterEach(() => doors.endRuns());
  after(() => doors.close());

  const onTerminal = (args: string[], env?: NodeJS.ProcessEnv): Running => startOnTerminal([...args, '--config', doors.here.config], env);

  function workflowIdIn(running: Running): string {
    return /(restore\/lab\/\S+),/.exec(running.output().stdout)?.[1] ?? '';
  }

  it('asks the approver at the gate and goes on with the answer', async () => {
    const running = onTerminal(['restore', 'lab', '--backup', 'latest', '--approve-as', 'second']);
    await running.said('second, what do you decide at gate "plan"?');
    running.child.stdin?.write('approve\n');
    await running.said('Reason: ');
    running.child.stdin?.write('INC-4711\n');
    const { code, stdout } = await running.finished;
    assert.equal(code, EXIT.ok, stdout);
    assert.match(stdout, /approve by second counts at gate plan/);
    assert.match(stdout, /lab is restored from backup/);
  });

  it('leaves the gate open when the answer is Enter, and the run going on Ctrl-C', async () => {
    const running = onTerminal(['restore', 'lab', '--backup', 'latest', '--approve-as', 'operator']);
    await running.said('operator, what do you decide at gate "plan"?');
    running.child.stdin?.write('\n');
    await running.said('Left open: the run waits.');
    running.child.stdin?.write(CTRL_C);
    const { code, stdout } = await running.finished;
    assert.equal(code, EXIT.interrupted, stdout);
    const id = workflowIdIn(running);
    assert.ok(stdout.includes(`Come back with \`drydock watch ${id}\``), stdout);
    assert.equal((await describeOperation(doors.session, id)).status, 'waiting');
  });

  it('ends the watching on Ctrl-C at the question itself', async () => {
    const running = onTerminal(['restore', 'lab', '--backup', 'latest', '--approve-as', 'operator']);
    await running.said('operator, what do you decide at gate "plan"?');
    running.child.stdin?.write(CTRL_C);
    const { code, stdout } = await running.finished;
    assert.equal(code, EXIT.interrupted, stdout);
    assert.equal((await describeOperation(doors.session, workflowIdIn(running))).status, 'waiting');
  });

  it('shows the plan and asks before it sends a vote without a digest, and sends none for any other answer than yes', async () => {
    const id = await doors.waitingRestore();
    for (const [answer, code, status] of [['y', EXIT.rejected, 'waiting'], ['yes', EXIT.ok, 'completed']] as const) {
      const voting = onTerminal(['approve', id, '--gate', 'plan', '--by', 'operator']);
      await voting.said('Is this the plan that you have read?');
      assert.match(voting.output().stdout, /Destroy replica 5eb9459a7832[^]*Plan digest d{64}/);
      voting.child.stdin?.write(`${answer}\n`);
      assert.equal((await voting.finished).code, code);
      await until(async () => (await describeOperation(doors.session, id)).status === status);
    }
  });

  it('draws bars for what moves, and plain lines where nobody sits', async () => {
    const running = onTerminal(['backup', 'lab', '--reason', 'move']);
    const { code, stdout } = await running.finished;
    assert.equal(code, EXIT.ok, stdout);
    assert.match(stdout, /█{6}░{18} images 10\.0 MiB of 40\.0 MiB \(25 %\), 3\/12 items/);
    const plain = await start(['backup', 'lab', '--reason', 'move', '--config', doors.here.config]).finished;
    assert.equal(plain.code, EXIT.ok);
    assert.match(plain.stderr, /^\d\d:\d\d:\d\d {2}Images, first pass \.\.\.$/m);
    assert.doesNotMatch(plain.stdout + plain.stderr, /[█░\u001b]/);
  });

  it('paints only where NO_COLOR does not forbid it', async () => {
    const [painted, plain] = await Promise.all([onTerminal(['status']).finished, onTerminal(['status'], { NO_COLOR: '1' }).finished]);
    assert.deepEqual([painted.stdout.includes(ESCAPE), plain.stdout.includes(ESCAPE)], [true, false]);
  });

  it('paints nothing in a pipe, whatever the environment says of colours', async () => {
    for (const env of [{ CI: 'true' }, { FORCE_COLOR: '1' }]) {
      const { stdout, stderr } = await start(['status', '--config', doors.here.config], { NO_COLOR: '', ...env }).finished;
      assert.match(stdout, /Temporal at/);
      assert.doesNotMatch(stdout + stderr, /\u001b|\\x1b/);
    }
  });
});
