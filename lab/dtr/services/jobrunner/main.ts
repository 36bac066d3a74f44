import { nextRun } from '../../common/cron';
import { sleep } from '../../common/http';
import { allJobs, changeJob, findJob, jobFromCron, jobOp, logJob } from '../../common/jobs';
import { messageOf, serviceLog } from '../../common/log';
import type { CronRow, JobRow } from '../../common/rows';
import { rowKey } from '../../common/store';
import type { Context } from '../context';
import { readKnob } from '../api/lab';
import { ACTION_WORK, type JobContext } from './actions';

const TICK_MS = 1000;

/** A job was asked to stop. */
export class Canceled extends Error {
  override readonly name = 'Canceled';
}

/** One worker of the cluster: starts due crons, takes waiting jobs one at a time. All replicas' workers share the work. */
export async function startJobrunner(context: Context): Promise<never> {
  let first = true;
  for (;;) {
    try {
      if (first) await buryOldJobs(context);
      first = false;
      await startDueCrons(context);
      await takeJobs(context);
    } catch (error) {
      serviceLog(`no work now: ${messageOf(error)}`);
    }
    await sleep(TICK_MS);
  }
}

/** Jobs that this worker had when it died will not go on. */
async function buryOldJobs(context: Context): Promise<void> {
  for (const job of await allJobs(context.store)) {
    if (job.workerID !== context.replicaId || (job.status !== 'running' && job.status !== 'cancel_request')) continue;
    await changeJob(context.store, job.id, (row) => ({ ...row, status: 'error' }));
    await logJob(context.store, job.id, 'worker_dead: the worker was started again while the job was running');
  }
}

/** The next run and the job are written at once, so that only one worker starts a cron. */
async function startDueCrons(context: Context): Promise<void> {
  const { store } = context;
  for await (const kv of store.etcd.scan(rowKey('crons', ''))) {
    const cron = JSON.parse(kv.value) as CronRow;
    if (Date.parse(cron.nextRun) > Date.now()) continue;
    const next: CronRow = { ...cron, nextRun: nextRun(cron.schedule, new Date()).toISOString() };
    const started = await store.etcd.transact([{ key: kv.key, revision: kv.revision }], [{ put: { key: kv.key, value: JSON.stringify(next) } }, jobOp(jobFromCron(cron))]);
    if (started) serviceLog(`cron ${cron.action} is due`);
  }
}

async function takeJobs(context: Context): Promise<void> {
  const due = (await allJobs(context.store)).filter((job) => job.status === 'waiting' && Date.parse(job.scheduledAt) <= Date.now()).reverse();
  for (const { id } of due) {
    const taken = await changeJob(context.store, id, (row) => (row.status === 'waiting' ? { ...row, status: 'running', workerID: context.replicaId } : null));
    if (taken) await run(context, taken);
  }
}

async function run(context: Context, job: JobRow): Promise<void> {
  const log = (line: string): Promise<void> => logJob(context.store, job.id, line);
  const checkCanceled = async (): Promise<void> => {
    if ((await findJob(context.store, job.id))?.status === 'cancel_request') throw new Canceled('the job was canceled');
  };
  const jobContext: JobContext = { context, job, log, checkCanceled };
  try {
    await log(`running ${job.action}`);
    await linger(jobContext);
    await ACTION_WORK[job.action as keyof typeof ACTION_WORK](jobContext);
    await changeJob(context.store, job.id, (row) => ({ ...row, status: 'done' }));
  } catch (error) {
    await log(`${error instanceof Canceled ? 'canceled' : 'error'}: ${messageOf(error)}`);
    const again = job.retriesLeft > 0 && !(error instanceof Canceled);
    await changeJob(context.store, job.id, (row) => ({ ...row, status: again ? 'waiting' : error instanceof Canceled ? 'canceled' : 'error', retriesLeft: Math.max(row.retriesLeft - 1, 0) }));
  }
}

/** Tests ask for jobs that take their time. */
async function linger({ context, checkCanceled }: JobContext): Promise<void> {
  const until = Date.now() + (await readKnob(context, 'jobDelayMs'));
  while (Date.now() < until) {
    await checkCanceled();
    await sleep(200);
  }
}
