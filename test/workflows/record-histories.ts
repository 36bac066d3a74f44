/**
 * Records the histories that replay.test.ts replays: one for each branch of the runbooks, from a real server. Run it by hand after a change of
 * workflow code that is patched or has no running executions: `npx mocha --spec test/workflows/record-histories.ts`.
 */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Activities } from '../../activities/contract';
import { failure, playActivities, untilCancelled } from './fixtures/activities';
import { until, withRun, type Run } from './fixtures/harness';
import { temporal, temporalCli } from '../helpers/temporal';

const DIRECTORY = path.join(__dirname, 'histories');

async function historyOf(workflowId: string): Promise<string> {
  const { connection } = await temporal();
  const args = ['workflow', 'show', '--workflow-id', workflowId, '--output', 'json', '--address', connection.options.address];
  const { stdout } = await promisify(execFile)(temporalCli(), args, { maxBuffer: 1 << 26 });
  const history = JSON.parse(stdout) as unknown;
  // Names of this machine do not belong into the repository.
  return `${JSON.stringify(history, (key, value: unknown) => (key === 'identity' ? 'recorded' : key === 'stackTrace' ? '' : value))}\n`;
}

describe('recording of histories', function () {
  this.timeout(120_000);

  async function record(name: string, type: string, changes: Partial<Activities>, play: (run: Run, calls: string[]) => Promise<void>): Promise<void> {
    const { activities, calls } = playActivities(changes);
    await withRun(type, activities, async (run) => {
      await play(run, calls);
      await run.handle.result().catch(() => undefined);
      await mkdir(DIRECTORY, { recursive: true });
      await writeFile(path.join(DIRECTORY, `${name}.json`), await historyOf(run.handle.workflowId));
    });
  }

  async function approve(run: Run, ...gates: string[]): Promise<void> {
    for (const gate of gates) {
      await run.gate(gate);
      await run.decide({});
    }
  }

  it('writes one file for each branch', async () => {
    const nothing = async (): Promise<void> => undefined;
    let asked = 0;
    await record('backup', 'backup', {}, nothing);
    await record('backup-collection', 'backup', { deletionsSince: async () => ({ jobs: (asked += 1) === 1 ? ['onlinegc'] : [] }) }, nothing);
    await record('backup-failed', 'backup', { takeMetadata: async () => { throw failure('BootstrapperFailed', 'no quorum'); } }, nothing);
    await record('backup-cancelled', 'backup', { takeMetadata: untilCancelled }, async (run, calls) => {
      await until(async () => calls.includes('takeMetadata') || undefined, 'metadata');
      await run.handle.cancel();
    });
    await record('restore', 'restore', {}, (run) => approve(run, 'plan', 'destroy', 'release'));
    await record('restore-rejected', 'restore', {}, async (run) => {
      await approve(run, 'plan');
      await run.gate('destroy');
      await run.decide({ decision: 'reject', reason: 'not yet' });
    });
    await record('restore-signalled', 'restore', {}, async (run) => {
      for (const name of ['plan', 'destroy', 'release']) {
        const gate = await run.gate(name);
        await run.handle.signal('decide', { gate: name, decision: 'approve', by: 'second', planDigest: gate.planDigest });
      }
    });
    await record('reconcile', 'reconcile', {}, nothing);
  });
});
