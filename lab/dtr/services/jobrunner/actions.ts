import { fetchUrl } from '../../common/http';
import { allJobs, deleteJob, type Action } from '../../common/jobs';
import { now, type JobRow, type TagRow } from '../../common/rows';
import { replicaSettings } from '../../common/settings';
import { readKnob } from '../api/lab';
import { SCAN_OUTCOME_KEY, type ScanOutcome } from '../api/imagescan';
import { address, type Context } from '../context';
import { collectBlobs, collectMetadata } from './collect-by-id';
import { collectByDigest } from './collect-by-digest';
import { withCollectorLock } from './lock';

export interface JobContext {
  context: Context;
  job: JobRow;
  log: (line: string) => Promise<void>;
  /** Throws Canceled when somebody asked the job to stop. */
  checkCanceled: () => Promise<void>;
}

type Work = (job: JobContext) => Promise<void>;

/** What each action does. Those that need other products (mirrors, scanners, licences) find nothing to do. */
export const ACTION_WORK: Record<Action, Work> = {
  gc: collectAll,
  onlinegc: collectAll,
  onlinegc_metadata: (job) => withCollectorLock(job.context, () => collectMetadata(job)),
  onlinegc_blobs: (job) => withCollectorLock(job.context, () => collectBlobs(job)),
  onlinegc_joblogs: pruneJobs,
  onlinegc_events: nothingToDo,
  metadatastoremigration: nothingToDo,
  tagmigration: nothingToDo,
  ro_registry: readOnly,
  update_vuln_db: updateVulnerabilities,
  license_update: nothingToDo,
  scan_check: nothingToDo,
  scan_check_single: nothingToDo,
  scan_check_all: nothingToDo,
  poll_mirror: nothingToDo,
  push_mirror_tag: nothingToDo,
  tag_pruning: pruneTags,
  webhook: nothingToDo,
};

async function nothingToDo({ log }: JobContext): Promise<void> {
  await log('nothing to do');
}

/** The whole collection: by id in 2.6 and later, else the sweep that puts the registry into read-only mode. */
async function collectAll(job: JobContext): Promise<void> {
  await withCollectorLock(job.context, async () => {
    if (!job.context.blobsById) return collectByDigest(job);
    await collectMetadata(job);
    await job.checkCanceled();
    await collectBlobs(job);
  });
}

async function readOnly({ context, job }: JobContext): Promise<void> {
  await context.store.setProperties({ readOnlyRegistry: job.parameters?.readOnly !== 'false' });
}

const DAY_MS = 86_400_000;

async function pruneJobs({ context, log }: JobContext): Promise<void> {
  const old = (await allJobs(context.store)).filter((job) => ['done', 'error', 'canceled'].includes(job.status) && Date.now() - Date.parse(job.lastUpdated) > 30 * DAY_MS);
  for (const job of old) await deleteJob(context.store, job.id);
  await log(`removed ${old.length} jobs`);
}

/** Online update of every replica's database; how it ended is what `imagescan/status` shows. */
async function updateVulnerabilities({ context, log }: JobContext): Promise<void> {
  const outcome: ScanOutcome = { failed: false, message: '', at: now() };
  try {
    if ((await readKnob(context, 'failOnlineUpdate')) !== 0) throw new Error('dial tcp: lookup dss-cve-updates.docker.com: no such host');
    for (const id of Object.keys(await replicaSettings(context.store))) {
      const answer = await fetchUrl(`${address('scanningstore', id)}/online`, { method: 'POST', timeoutMs: 5000 }).catch(() => null);
      if (answer?.status !== 200 && id === context.replicaId) throw new Error('the scanning store does not answer');
    }
    await log('the vulnerability database is up to date');
  } catch (error) {
    outcome.failed = true;
    outcome.message = error instanceof Error ? error.message : String(error);
    throw error;
  } finally {
    await context.store.etcd.put(SCAN_OUTCOME_KEY, JSON.stringify(outcome));
  }
}

/** Deletes the tags that the job's parameters name: `repository`, and `tagPrefix` or all. */
async function pruneTags({ context, job, log }: JobContext): Promise<void> {
  const repository = job.parameters?.repository;
  if (!repository) return log('no repository is named: nothing to prune');
  const prefix = job.parameters?.tagPrefix ?? '';
  let removed = 0;
  for (const tag of await context.store.all<TagRow>('tags', `${repository}:${prefix}`)) {
    if (!context.blobsById) await fetchUrl(`${address('registry', context.replicaId)}/internal/tags/${repository}/${tag.name}`, { method: 'DELETE' });
    await context.store.delete('tags', tag.pk);
    removed += 1;
  }
  return log(`pruned ${removed} tags`);
}
