/**
 * Records the histories that replay.test.ts replays: one for each branch of the runbooks, from a real server. Run it by hand, for a new branch by its
 * name: `npx mocha --spec test/workflows/record-histories.ts --grep backup-copies`. What was recorded before a change that is patched stays as it is;
 * record the new branch under another name.
 */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Activities } from '../../activities/contract';
import { failure, playActivities, POLICY, untilCancelled } from './fixtures/activities';
import { until, withRun, type Run } from './fixtures/harness';
import { temporal, temporalCli, unique } from '../helpers/temporal';

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

  async function record(name: string, type: string, changes: Partial<Activities>, play: (run: Run, calls: string[]) => Promise<void>, input: Record<string, unknown> = {}): Promise<void> {
    const { activities, calls } = playActivities(changes);
    await withRun(type, activities, async (run) => {
      await play(run, calls);
      await run.handle.result().catch(() => undefined);
      await mkdir(DIRECTORY, { recursive: true });
      await writeFile(path.join(DIRECTORY, `${name}.json`), await historyOf(run.handle.workflowId));
    }, input);
  }

  async function approve(run: Run, ...gates: string[]): Promise<void> {
    for (const gate of gates) {
      await run.gate(gate);
      await run.decide({});
    }
  }

  const nothing = async (): Promise<void> => undefined;
  const withCopies = async (): ReturnType<Activities['readPolicy']> => ({ ...POLICY, approvers: ['operator', 'second'], verify: 'L2', prunes: true, vault: 'main', copies: ['mirror', 'tape'] });

  it('backup', () => record('backup', 'backup', {}, nothing));

  it('backup-collection', async () => {
    let asked = 0;
    await record('backup-collection', 'backup', { deletionsSince: async () => ({ jobs: (asked += 1) === 1 ? ['onlinegc'] : [] }) }, nothing);
  });

  it('backup-failed', () => record('backup-failed', 'backup', { takeMetadata: async () => { throw failure('BootstrapperFailed', 'no quorum'); } }, nothing));

  it('backup-cancelled', () => record('backup-cancelled', 'backup', { takeMetadata: untilCancelled }, async (run, calls) => {
    await until(async () => calls.includes('takeMetadata') || undefined, 'metadata');
    await run.handle.cancel();
  }));

  it('backup-copies', () => record('backup-copies', 'backup', { readPolicy: withCopies }, nothing));

  it('backup-copies-beside-another', async () => {
    let copiesEnd = (): void => undefined;
    const ended = new Promise<void>((resolve) => (copiesEnd = resolve));
    const usual = playActivities().activities;
    const copyBackups: Activities['copyBackups'] = async (step) => {
      await ended;
      return usual.copyBackups(step);
    };
    await record('backup-copies-beside-another', 'backup', { readPolicy: withCopies, copyBackups }, async (run, calls) => {
      await until(async () => calls.includes('copyBackups') || undefined, 'the copy');
      const { client } = await temporal();
      // A restore at its gate holds the cluster by the time the copies end.
      const other = await client.workflow.start('restore', { workflowId: unique('restore'), taskQueue: run.queue, args: [{ cluster: run.cluster }] });
      await until(async () => calls.includes('planRestore') || undefined, 'the other operation');
      copiesEnd();
      await run.handle.result();
      await other.terminate();
    });
  });

  it('backup-copy-unreachable', () => record('backup-copy-unreachable', 'backup', {
    readPolicy: withCopies,
    copyBackups: async ({ to }) => {
      if (to === 'mirror') throw failure('VaultUnavailable', 'mirror does not answer');
      return { vault: to, copied: [], already: 0, leftOut: [], objects: 0, bytes: 0, findingCount: 1, findings: [{ backupId: null, segment: 's', file: 'f', vault: 'main', what: 'f is gone', intactIn: 'tape' }], notes: [] };
    },
  }, nothing));

  it('copy', () => record('copy', 'copy', { readPolicy: withCopies }, nothing));

  it('prune-copies', () => record('prune-copies', 'prune', { readPolicy: withCopies }, nothing));

  it('verify', () => record('verify', 'verify', {}, nothing));

  it('forget', () => record('forget', 'forget', {
    readPolicy: withCopies,
    planForget: async ({ backup }) => ({ backupId: backup, gate: 'it is the last verified one', details: '## Forget', digest: 'f'.repeat(64) }),
  }, (run) => approve(run, 'forget'), { backup: '20261123T020000Z-1a2b3c' }));

  it('restore', () => record('restore', 'restore', {}, (run) => approve(run, 'plan', 'destroy', 'release')));

  it('backup-thaw-failing', async () => {
    let isBack = false;
    await record('backup-thaw-failing', 'backup', {
      readPolicy: async () => ({ ...POLICY, putBack: { warnAfter: 1, giveUpAfter: 3600 } }),
      thaw: async () => {
        if (!isBack) throw failure('AuthRejected', 'DTR does not accept the login');
        return { putBack: ['onlinegc'], left: [] };
      },
    }, async (_run, calls) => {
      await until(async () => calls.includes('verifyBackup') || undefined, 'the verification');
      isBack = true;
    });
  });

  it('backup-work-lost', async () => {
    let asked = 0;
    const usual = playActivities().activities;
    const prove: Activities['prove'] = async (step) => {
      if ((asked += 1) === 1) throw failure('WorkLost', 'gone');
      return usual.prove(step);
    };
    await record('backup-work-lost', 'backup', { prove }, nothing);
  });

  it('restore-cancelled', () => record('restore-cancelled', 'restore', { stopReplica: untilCancelled }, async (run, calls) => {
    await approve(run, 'plan');
    await until(async () => calls.includes('stopReplica') || undefined, 'the stop');
    await run.handle.cancel();
  }));

  it('restore-cancelled-behind', () => record('restore-cancelled-behind', 'restore', { restoreImages: untilCancelled }, async (run, calls) => {
    await approve(run, 'plan', 'destroy');
    await until(async () => calls.includes('restoreImages') || undefined, 'the images');
    await run.handle.cancel();
  }));

  it('restore-step-failed', async () => {
    let tries = 0;
    const usual = playActivities().activities;
    const restoreImages: Activities['restoreImages'] = async (step) => {
      if ((tries += 1) === 1) throw failure('NoSpace', 'node-1 has no room for the images.');
      return usual.restoreImages(step);
    };
    await record('restore-step-failed', 'restore', { restoreImages }, async (run) => {
      await approve(run, 'plan', 'destroy');
      await run.gate('images-failed');
      await run.decide({ decision: 'retry' });
      await approve(run, 'release');
    });
  });

  it('restore-differences-accepted', async () => {
    const usual = playActivities().activities;
    const confirmRestore: Activities['confirmRestore'] = async (step) => ({ ...(await usual.confirmRestore(step)), differences: ['the setting log level differs'], differenceCount: 1 });
    await record('restore-differences-accepted', 'restore', { confirmRestore }, (run) => approve(run, 'plan', 'destroy', 'confirm', 'release'));
  });

  it('restore-not-destroyed', () => record('restore-not-destroyed', 'restore', {
    destroyReplica: async () => { throw failure('HostUnreachable', 'node-1 does not answer'); },
    hasPassedNoReturn: async () => false,
  }, (run) => approve(run, 'plan', 'destroy')));

  it('restore-copy', () => record('restore-copy', 'restore', {}, (run) => approve(run, 'plan', 'destroy', 'release'), { vault: 'mirror' }));

  it('restore-rejected', () => record('restore-rejected', 'restore', {}, async (run) => {
    await approve(run, 'plan');
    await run.gate('destroy');
    await run.decide({ decision: 'reject', reason: 'not yet' });
  }));

  it('restore-signalled', () => record('restore-signalled', 'restore', {}, async (run) => {
    for (const name of ['plan', 'destroy', 'release']) {
      const gate = await run.gate(name);
      await run.handle.signal('decide', { gate: name, decision: 'approve', by: 'second', planDigest: gate.planDigest });
    }
  }));

  it('reconcile', () => record('reconcile', 'reconcile', {}, nothing));
});
