/** Stage 4: the vulnerability database is in no backup. What goes wrong here is a warning: it holds nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dtr, ImagescanStatus, Job } from '../../adapters/dtr/dtr';
import { DrydockError } from '../../domain/errors';
import type { RestoreDecisions } from '../../domain/plan';
import type { Cluster } from '../cluster';
import type { Progress } from './progress';

const ACTION = 'update_vuln_db';
const LOOK_MS = 2_000;
const LONGEST_MS = 30 * 60_000;
const JOBS = 20;

interface Outcome {
  warnings: string[];
  note: string;
}

export async function updateVulnerabilityDatabase(cluster: Cluster, { decisions }: { decisions: RestoreDecisions }, progress: Progress): Promise<Outcome> {
  if (decisions.scanning === 'off') return { warnings: [], note: 'scanning is off' };
  try {
    return await update(cluster, decisions, progress);
  } catch (error) {
    cluster.signal?.throwIfAborted();
    if (!(error instanceof DrydockError)) throw error;
    return failed(error.message);
  }
}

async function update(cluster: Cluster, { scanning }: RestoreDecisions, progress: Progress): Promise<Outcome> {
  const dtr = await cluster.dtr();
  const before = await dtr.imagescanStatus();
  if (before === null) return { warnings: [], note: 'scanning is not enabled in DTR' };
  const file = cluster.config.policy.vulnerabilityDatabaseFile;
  if (scanning === 'file' && file === undefined) return failed('policy.vulnerabilityDatabaseFile is not set any more');
  const earlier = new Set((await updateJobs(dtr)).map(({ id }) => id));
  await dtr.updateVulnerabilityDatabase(scanning === 'file' ? { file: file! } : { online: true });
  const end = Date.now() + LONGEST_MS;
  for (;;) {
    const status = await dtr.imagescanStatus();
    const ended = outcomeOf((await updateJobs(dtr)).filter(({ id }) => !earlier.has(id)));
    // A database that was up to date already keeps its date.
    if (isNewer(status, before) || (ended === 'done' && status?.lastDbUpdateFailed === false)) return { warnings: [], note: `vulnerability database version ${status?.dbVersion ?? '?'} of ${status?.dbUpdatedAt ?? '?'}` };
    if (ended === 'failed') return failed('the update job ended with an error');
    if (status?.lastDbUpdateFailed === true && !before.lastDbUpdateFailed) return failed('DTR says that the update failed');
    if (Date.now() > end) return failed(`it did not end within ${LONGEST_MS / 60_000} minutes`);
    progress.update({ phase: 'waiting for the vulnerability database' });
    await sleep(LOOK_MS, undefined, cluster.signal === undefined ? {} : { signal: cluster.signal });
  }
}

function isNewer(status: ImagescanStatus | null, before: ImagescanStatus): boolean {
  if (status === null || status.lastDbUpdateFailed || status.dbUpdatedAt === null) return false;
  const at = Date.parse(status.dbUpdatedAt);
  // The date's own clock decides: DTR and this machine need not agree on the time.
  return Number.isFinite(at) && at > (before.dbUpdatedAt === null ? 0 : Date.parse(before.dbUpdatedAt));
}

function updateJobs(dtr: Dtr): Promise<Job[]> {
  return dtr.jobs({ action: ACTION, limit: JOBS });
}

/** How the jobs that came since ended; undefined while none has. */
function outcomeOf(jobs: Job[]): 'done' | 'failed' | undefined {
  if (jobs.some(({ status }) => status === 'error')) return 'failed';
  return jobs.some(({ status }) => status === 'done') ? 'done' : undefined;
}

function failed(why: string): Outcome {
  return { warnings: [`The vulnerability database was not updated: ${why}. Load it by hand; images can be pulled and pushed without it.`], note: 'not updated' };
}
