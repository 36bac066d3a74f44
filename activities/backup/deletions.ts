import { setTimeout as sleep } from 'node:timers/promises';
import type { Dtr, Job } from '../../adapters/dtr/dtr';
import { isDeletion } from '../../domain/deletions';
import { DrydockError } from '../../domain/errors';
import { report } from '../pulse';
import { registryNow } from './replicas';

const LOOK_EVERY_MS = 2_000;
/** The registry's clock is read in whole seconds; a job that was put in just now must not be missed. */
const CLOCK_STEP_MS = 2_000;
/** Migrations move blobs and tags about; a backup in the middle of one holds neither state. */
const MIGRATION = /migration/;

/** Waits until no deletion runs or is due. Returns whether it had to wait. Throws Refused after `maxMs`. */
export async function waitForDeletions(dtr: Dtr, maxMs: number, signal: AbortSignal): Promise<boolean> {
  const end = Date.now() + maxMs;
  for (let waited = false; ; waited = true) {
    const active = await activeDeletions(dtr);
    const [first] = active;
    if (first === undefined) return waited;
    if (Date.now() > end) {
      throw new DrydockError('Refused', `${active.map(sentence).join('; ')}: not ended after ${Math.round(maxMs / 60_000)} minutes`, { remedy: `wait for it, or cancel the job ${first.id} in DTR, then start the backup again` });
    }
    report({ phase: `waiting for ${first.action} to end`, bytesDone: 0, itemsDone: 0, itemsTotal: active.length });
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

/** Deletions that ran or run since a time by the registry's clock. */
export async function deletionsAfter(dtr: Dtr, since: string): Promise<string[]> {
  const from = Date.parse(since);
  const touched = (job: Job): number => Math.max(timeOf(job.lastUpdated), isOver(job) || isActive(job.status) ? timeOf(job.scheduledAt) : 0);
  return (await dtr.jobs({})).filter((job) => isDeletion(job.action) && (isOver(job) || isActive(job.status)) && touched(job) >= from).map(sentence);
}

async function activeDeletions(dtr: Dtr): Promise<Job[]> {
  const now = await registryNow(dtr);
  return (await dtr.jobs({})).filter((job) => (isDeletion(job.action) || MIGRATION.test(job.action)) && (isActive(job.status) || isDue(job, now)));
}

function isActive(status: string): boolean {
  return status === 'running' || status === 'cancel_request' || status === 'worker_resurrection';
}

function isOver({ status }: Job): boolean {
  return status === 'done' || status === 'error' || status === 'cancel' || status === 'worker_dead' || status === 'worker_shutdown';
}

/** Waiting, and its time has come: it starts within seconds. One that is scheduled for later is not in our way. */
function isDue({ status, scheduledAt }: Job, now: number): boolean {
  return status === 'waiting' && timeOf(scheduledAt) <= now + CLOCK_STEP_MS;
}

function timeOf(text: string | undefined): number {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? 0 : time;
}

function sentence({ action, id, status, lastUpdated }: Job): string {
  return `${action} (job ${id}, ${status}${lastUpdated === undefined ? '' : ` at ${lastUpdated}`})`;
}
