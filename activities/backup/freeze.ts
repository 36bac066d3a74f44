import { setTimeout as sleep } from 'node:timers/promises';
import type { Dtr } from '../../adapters/dtr/dtr';
import { isDeletion } from '../../domain/deletions';
import { DrydockError } from '../../domain/errors';
import type { Cluster } from '../cluster';
import type { BackupFacts, FreezeRecord, FreezeRecorded, Step, ThawResult } from '../contract';
import { deletionsAfter, waitForDeletions } from './deletions';
import { readRecords, writeRecord } from './records';
import { registryNow } from './replicas';
import { thaw } from './thaw';

const FREEZE_WAIT_MS = 30 * 60_000;
/** Below the time limit of the step. */
const LATER_WAIT_MS = 10 * 60_000;
/** The registry's clock is read in whole seconds. */
const CLOCK_STEP_MS = 1_500;

/**
 * Step 4a: records the crons that delete, in the vault, before anything is touched. We hold the cluster's lock, so a record of another
 * operation is that of a dead one, and so is one under our name at the first attempt (a workflow id may be used again): it is put back first.
 */
export async function recordFreeze(cluster: Cluster, step: Step, attempt: number): Promise<FreezeRecorded> {
  const warnings: string[] = [];
  for (const left of await readRecords(cluster)) {
    if (left.operation === step.operation && attempt > 1) return { record: left, warnings };
    warnings.push(...leftoverSentences(left, await thaw(cluster, left)));
  }
  const dtr = await cluster.dtr();
  const crons = (await dtr.crons()).filter(({ action }) => isDeletion(action)).map((cron) => ({ ...cron }));
  const readOnlyBefore = cluster.config.policy.freeze === 'readOnly' ? (await dtr.settings()).readOnlyRegistry === true : null;
  const record: FreezeRecord = { operation: step.operation, cluster: cluster.name, recordedAt: new Date().toISOString(), crons, readOnlyBefore };
  await writeRecord(cluster, record);
  return { record, warnings };
}

function leftoverSentences({ operation, recordedAt }: FreezeRecord, { putBack, left }: ThawResult): string[] {
  const restored = putBack.length === 0 ? [] : [`The operation ${operation} had left something switched off since ${recordedAt}; it was put back first: ${putBack.join(', ')}.`];
  return [...restored, ...left];
}

/** Step 4b: disables just the recorded crons, then waits for deletions that run. Returns the registry's time from which on nothing is deleted. */
export async function freeze(cluster: Cluster, record: FreezeRecord, signal: AbortSignal): Promise<{ frozenAt: string }> {
  const dtr = await cluster.dtr();
  for (const { action } of record.crons) await dtr.deleteCron(action);
  if (record.readOnlyBefore === false) await dtr.updateSettings({ readOnlyRegistry: true });
  const waited = await waitForDeletions(dtr, FREEZE_WAIT_MS, signal);
  // Else a job that ended in this very second would be taken for one that ran after it.
  if (waited) await sleep(CLOCK_STEP_MS, undefined, { signal });
  return { frozenAt: new Date(await registryNow(dtr)).toISOString() };
}

/** Deletions that ran since a time, those that still run waited for. */
export async function deletionsSince(cluster: Cluster, { since, facts }: { since: string; facts: Pick<BackupFacts, 'version'> }, signal: AbortSignal): Promise<{ jobs: string[] }> {
  const dtr = await cluster.dtr();
  await refuseUpgraded(dtr, facts.version);
  await waitForDeletions(dtr, LATER_WAIT_MS, signal);
  return { jobs: await deletionsAfter(dtr, since) };
}

/** An upgrade in between would leave metadata of one version beside settings and images of another. */
async function refuseUpgraded(dtr: Dtr, checked: string): Promise<void> {
  const now = /\d+\.\d+\.\d+/.exec(await dtr.version())?.[0];
  if (now === undefined || now === checked) return;
  throw new DrydockError('VersionMismatch', `DTR was ${checked} when the backup began and is ${now} now`, { remedy: 'start the backup again; what it stored of the images is kept' });
}
