import { setTimeout as sleep } from 'node:timers/promises';
import type { Dtr } from '../../adapters/dtr/dtr';
import type { FreezeChange } from '../../domain/changes';
import { isDeletion } from '../../domain/deletions';
import { DrydockError } from '../../domain/errors';
import { changeId, changesOf, newChange, ownChange, whoLeft } from '../changes';
import type { Cluster } from '../cluster';
import type { BackupFacts, BackupStep, FreezeRecord, FreezeRecorded } from '../contract';
import { deletionsAfter, waitForDeletions } from './deletions';
import { registryNow } from './replicas';
import { thaw } from './thaw';

const FREEZE_WAIT_MS = 30 * 60_000;
/** Below the time limit of the step. */
const LATER_WAIT_MS = 10 * 60_000;
/** The registry's clock is read in whole seconds. */
const CLOCK_STEP_MS = 1_500;

/**
 * Step 4a: records the crons that delete before anything is touched. We hold the cluster's lock, so a record of another run or backup is that of a dead one,
 * whatever its workflow id: it is put back first. What cannot be put back is taken over, so that this backup puts it back.
 */
export async function recordFreeze(cluster: Cluster, step: BackupStep): Promise<FreezeRecorded> {
  const changes = changesOf(cluster);
  const found = await changes.read();
  const warnings = found.damaged.map(({ place, name }) => `The record ${name} (${place}) of what an operation had switched off cannot be read: compare the crons of DTR with what they should be, then remove it.`);
  const own = ownChange(found, 'freeze', changeId(cluster, 'freeze', step));
  // An earlier attempt of this step wrote it, and what it found is what counts.
  if (own) return { record: own, warnings };
  const inherited: FreezeChange[] = [];
  for (const left of found.changes) {
    if (left.kind === 'freeze') warnings.push(...(await putBackLeftover(cluster, left, inherited)));
  }
  await changes.tidy();
  const dtr = await cluster.dtr();
  const present = (await dtr.crons()).filter(({ action }) => isDeletion(action)).map((cron) => ({ ...cron }));
  const missing = inherited.flatMap(({ crons }) => crons).filter(({ action }, at, all) => !present.some((cron) => cron.action === action) && all.findIndex((cron) => cron.action === action) === at);
  const readOnlyNow = cluster.config.policy.freeze === 'readOnly' || inherited.some(({ readOnlyBefore }) => readOnlyBefore !== null) ? (await dtr.settings()).readOnlyRegistry === true : null;
  const readOnlyBefore = inherited.some((left) => left.readOnlyBefore === false) ? false : readOnlyNow;
  const { change: record } = await changes.write({ ...(await newChange(cluster, 'freeze', step)), crons: [...present, ...missing], readOnlyBefore });
  for (const left of inherited) warnings.push(...(await changes.end(left)));
  return { record, warnings };
}

/** Sentences. What was recorded and never begun changes nothing: somebody may have changed the crons since, on purpose. */
async function putBackLeftover(cluster: Cluster, left: FreezeChange, inherited: FreezeChange[]): Promise<string[]> {
  const { recordedAt } = left;
  const who = await whoLeft(cluster, left);
  try {
    const { putBack, left: stays } = await thaw(cluster, left);
    const restored = putBack.length === 0 ? [] : [`Something was switched off since ${recordedAt} by ${who}; it was put back first: ${putBack.join(', ')}.`];
    return [...restored, ...stays];
  } catch (error) {
    if (!(error instanceof DrydockError)) throw error;
    inherited.push(left);
    return [`Something is switched off since ${recordedAt} by ${who}, and could not be put back now (${error.message}); this backup puts it back at its end.`];
  }
}

/** Step 4b: disables just the recorded crons, then waits for deletions that run. Returns the registry's time from which on nothing is deleted. */
export async function freeze(cluster: Cluster, record: FreezeRecord, signal: AbortSignal): Promise<{ frozenAt: string }> {
  const dtr = await cluster.dtr();
  await begin(cluster, record);
  for (const { action } of record.crons) {
    signal.throwIfAborted();
    await dtr.deleteCron(action);
  }
  signal.throwIfAborted();
  if (record.readOnlyBefore === false) await dtr.updateSettings({ readOnlyRegistry: true });
  const waited = await waitForDeletions(dtr, FREEZE_WAIT_MS, signal);
  // Else a job that ended in this very second would be taken for one that ran after it.
  if (waited) await sleep(CLOCK_STEP_MS, undefined, { signal });
  return { frozenAt: new Date(await registryNow(dtr)).toISOString() };
}

/** A record that never began is no reason to change anything; so it says so before the first cron goes. */
async function begin(cluster: Cluster, record: FreezeRecord): Promise<void> {
  const changes = changesOf(cluster);
  const standing = ownChange(await changes.read(), 'freeze', record.id) ?? record;
  if (standing.state === 'planned') await changes.update(standing, { state: 'begun' });
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
