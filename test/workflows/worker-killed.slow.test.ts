import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { temporal, unique } from '../helpers/temporal';
import { until } from './fixtures/harness';

const BACKUP_STEPS = ['checkBackup', 'copyImages', 'recordFreeze', 'freeze', 'takeMetadata', 'deletionsSince', 'thaw', 'prove', 'seal', 'cleanUp'];
const RESTORE_STEPS = ['diagnose', 'planRestore', 'stopReplica', 'fenceNode', 'destroyReplica', 'restoreImages', 'restoreMetadata', 'waitHealthy', 'setReadOnly', 'confirmRestore', 'joinReplica', 'restoreCrons'];

describe('a worker that is killed with -9', function () {
  this.timeout(240_000);
  const children: ChildProcess[] = [];

  async function worker(queue: string, hang: boolean): Promise<ChildProcess> {
    const { connection } = await temporal();
    const program = path.join(__dirname, 'fixtures', 'crashing-worker.ts');
    const child = spawn(process.execPath, ['--import', 'tsx', program, connection.options.address, queue], {
      env: { ...process.env, DRYDOCK_HANG: hang ? '1' : '0' }, stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    return child;
  }

  after(() => children.forEach((child) => child.kill('SIGKILL')));

  it('is replaced by the next one, whichever step it died in', async () => {
    const { client } = await temporal();
    const queue = unique('killed');
    const first = await worker(queue, true);
    const hanging = new Set<string>();
    first.stdout!.on('data', (text: Buffer) => {
      for (const [, name] of text.toString().matchAll(/hangs in (\w+)/g)) hanging.add(name!);
    });
    const steps = [...BACKUP_STEPS.map((step) => ['backup', step] as const), ...RESTORE_STEPS.map((step) => ['restore', step] as const)];
    const runs = await Promise.all(
      steps.map(async ([type, step]) => {
        const handle = await client.workflow.start(type, { workflowId: unique(`${type}-${step}`), taskQueue: queue, args: [{ cluster: `hang-${step.toLowerCase()}` }] });
        return { type, step, handle };
      }),
    );
    const approvals = runs.filter((run) => run.type === 'restore').map(async ({ handle }) => {
      for (const gate of ['plan', 'destroy', 'release']) {
        await until(async () => {
          const memo = (await handle.describe()).memo?.drydock as { gate?: { name: string } } | undefined;
          return memo?.gate?.name === gate || undefined;
        }, `${gate} of ${handle.workflowId}`, 200);
        await handle.signal('decide', { gate, decision: 'approve', by: 'operator', planDigest: 'd'.repeat(64) });
      }
    });
    await until(async () => (hanging.size === steps.length ? true : undefined), `all steps to hang (${[...hanging].join(', ')})`, 90);
    first.kill('SIGKILL');
    await once(first, 'exit');
    await worker(queue, false);
    await Promise.all(approvals);
    const results = await Promise.all(runs.map((run) => run.handle.result() as Promise<{ status: string }>));
    assert.deepEqual([...new Set(results.map((result) => result.status))].sort(), ['complete', 'restored']);
  });
});
