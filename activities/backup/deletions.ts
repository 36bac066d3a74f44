import { setTimeout as sleep } from 'node:timers/promises';
import type { Dtr, Job } from '../../adapters/dtr/dtr';
import { DELETIONS, isDeletion } from '../../domain/deletions';
import { DrydockError } from '../../domain/errors';
import { report } from '../pulse';
import { registryNow } from './replicas';

const LOOK_EVERY_MS = 2_000;
/** The registry's clock is read in whole seconds; a job that was put in just now must not be missed. */
const CLOCK_STEP_MS = 2_000;
/** Migrations move blobs and tags about; a backup in the middle of one holds neither state. */
const MIGRATION = /migration/;
const MIGRATIONS = ['tagmigration', 'metadatastoremigration'];
/** In which order the registry lists them is not said, so all of an action are read; collections run some times a day. */
const JOBS_OF_AN_ACTION = 10_000;
/** To learn of names of actions. */
const RECENT = 200;

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
  return (await jobsOf(dtr, isDeletion)).filter((job) => (isOver(job) || isActive(job.status)) && touched(job) >= from).map(sentence);
}

async function activeDeletions(dtr: Dtr): Promise<Job[]> {
  const now = await registryNow(dtr);
  return (await jobsOf(dtr, (action) => isDeletion(action) || MIGRATION.test(action))).filter((job) => isActive(job.status) || isDue(job, now));
}

/**
 * The jobs that we look for, however many others there are: scans and webhooks make thousands a day. Asked for by action, of those that are known, and of those that
 * run now, or ran lately, under a name that only a later version knows.
 */
async function jobsOf(dtr: Dtr, matches: (action: string) => boolean): Promise<Job[]> {
  const [running, recent] = [await dtr.jobs({ running: true }), await dtr.jobs({ limit: RECENT })];
  const actions = new Set([...DELETIONS, ...MIGRATIONS, ...[...running, ...recent].map(({ action }) => action)].filter(matches));
  const found = new Map([...running, ...recent].filter(({ action }) => matches(action)).map((job) => [job.id, job]));
  for (const action of actions) for (const job of await dtr.jobs({ action, limit: JOBS_OF_AN_ACTION })) found.set(job.id, job);
  return [...found.values()];
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
