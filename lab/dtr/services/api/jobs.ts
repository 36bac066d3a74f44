import { randomUUID } from 'node:crypto';
import { nextRun } from '../../common/cron';
import { HttpError, readJson, sendJson, type Router } from '../../common/http';
import { allJobs, changeJob, deleteJob, findJob, isAction, jobLog, newJob, type Action } from '../../common/jobs';
import { messageOf } from '../../common/log';
import type { CronRow, JobRow } from '../../common/rows';
import type { Access } from '../access';
import type { Context } from '../context';
import { parsePositive } from './paging';

/** Crons and jobs; administrators only. */
export function jobRoutes(router: Router, context: Context, access: Access): void {
  const { store } = context;
  router.on('GET', '/api/v0/crons', async ({ request, response }) => {
    await access.authenticateAdmin(request);
    sendJson(response, 200, { crons: await store.all<CronRow>('crons') });
  });
  router.on('POST', '/api/v0/crons', async ({ request, response }) => {
    await access.authenticateAdmin(request);
    const row = cronFrom(await readJson(request));
    const stored = await store.update<CronRow>('crons', row.action, (before) => ({ ...row, id: before?.id ?? row.id }));
    sendJson(response, 202, stored);
  });
  router.on('GET', '/api/v0/crons/:action', async ({ request, response, params }) => {
    await access.authenticateAdmin(request);
    sendJson(response, 200, await requireCron(context, params.action!));
  });
  router.on('DELETE', '/api/v0/crons/:action', async ({ request, response, params }) => {
    await access.authenticateAdmin(request);
    await requireCron(context, params.action!);
    await store.delete('crons', params.action!);
    response.writeHead(204);
    response.end();
  });

  router.on('GET', '/api/v0/jobs', async ({ request, response, url }) => {
    await access.authenticateAdmin(request);
    const query = url.searchParams;
    const start = parsePositive(query.get('start') ?? '0', 'start');
    const limit = parsePositive(query.get('limit') ?? '10', 'limit');
    const wanted = (await allJobs(store)).filter((job) => matches(job, query));
    sendJson(response, 200, { jobs: wanted.slice(start, start + limit) }, start + limit < wanted.length ? { 'x-next-page-start': String(start + limit) } : {});
  });
  router.on('POST', '/api/v0/jobs', async ({ request, response }) => {
    await access.authenticateAdmin(request);
    const body = await readJson(request);
    const job = await newJob(store, {
      action: actionOf(body),
      parameters: parametersOf(body),
      retries: numberOf(body, 'retries'),
      deadline: textOf(body, 'deadline'),
      stopTimeout: textOf(body, 'stopTimeout'),
      ...(textOf(body, 'scheduledAt') === '' ? {} : { scheduledAt: textOf(body, 'scheduledAt') }),
    });
    sendJson(response, 202, job);
  });
  router.on('GET', '/api/v0/jobs/:id', async ({ request, response, params }) => {
    await access.authenticateAdmin(request);
    sendJson(response, 200, await requireJob(context, params.id!));
  });
  router.on('GET', '/api/v0/jobs/:id/logs', async ({ request, response, params }) => {
    await access.authenticateAdmin(request);
    await requireJob(context, params.id!);
    sendJson(response, 200, await jobLog(store, params.id!));
  });
  router.on('POST', '/api/v0/jobs/:id/cancel', async ({ request, response, params }) => {
    await access.authenticateAdmin(request);
    await requireJob(context, params.id!);
    await changeJob(store, params.id!, (job) => {
      if (job.status === 'waiting') return { ...job, status: 'canceled' };
      return job.status === 'running' ? { ...job, status: 'cancel_request' } : null;
    });
    response.writeHead(202);
    response.end();
  });
  router.on('DELETE', '/api/v0/jobs/:id', async ({ request, response, params }) => {
    await access.authenticateAdmin(request);
    const job = await requireJob(context, params.id!);
    if (job.status === 'running') throw new HttpError(400, 'JOB_RUNNING', 'A running job cannot be deleted');
    await deleteJob(store, job.id);
    response.writeHead(204);
    response.end();
  });
}

function matches(job: JobRow, query: URLSearchParams): boolean {
  const action = query.get('action') ?? 'any';
  const worker = query.get('worker') ?? 'any';
  const running = query.get('running') ?? 'any';
  const isRunning = job.status === 'running' || job.status === 'cancel_request';
  return (action === 'any' || job.action === action) && (worker === 'any' || job.workerID === worker) && (running === 'any' || isRunning === (running === 'true'));
}

async function requireCron(context: Context, action: string): Promise<CronRow> {
  const row = await context.store.get<CronRow>('crons', action);
  if (!row) throw new HttpError(404, 'NO_SUCH_CRON', `A cron with the action ${action} does not exist`);
  return row;
}

async function requireJob(context: Context, id: string): Promise<JobRow> {
  const row = await findJob(context.store, id);
  if (!row) throw new HttpError(404, 'NO_SUCH_JOB', `A job with the ID ${id} does not exist`);
  return row;
}

function cronFrom(body: Record<string, unknown>): CronRow {
  const action = actionOf(body);
  const schedule = textOf(body, 'schedule');
  try {
    const capacityMap = typeof body.capacityMap === 'object' && body.capacityMap !== null ? (body.capacityMap as Record<string, number>) : {};
    return {
      id: randomUUID(), action, schedule, retries: numberOf(body, 'retries'), capacityMap, parameters: parametersOf(body), deadline: textOf(body, 'deadline'),
      stopTimeout: textOf(body, 'stopTimeout'), nextRun: nextRun(schedule, new Date()).toISOString(),
    };
  } catch (error) {
    if (error instanceof HttpError) throw error;
    throw new HttpError(400, 'INVALID_CRON_SCHEDULE', `The schedule "${schedule}" is invalid: ${messageOf(error)}`);
  }
}

function actionOf(body: Record<string, unknown>): Action {
  if (!isAction(body.action)) throw new HttpError(400, 'INVALID_JOB_ACTION', `${String(body.action)} is not an action`);
  return body.action;
}

function parametersOf(body: Record<string, unknown>): Record<string, string> | null {
  const value = body.parameters;
  if (value === undefined || value === null) return null;
  if (typeof value !== 'object' || Array.isArray(value)) throw new HttpError(400, 'INVALID_PARAMETERS', 'parameters must be an object');
  return value as Record<string, string>;
}

function textOf(body: Record<string, unknown>, name: string): string {
  const value = body[name];
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw new HttpError(400, 'INVALID_PARAMETERS', `${name} must be a string`);
  return value;
}

function numberOf(body: Record<string, unknown>, name: string): number {
  const value = body[name];
  if (value === undefined || value === null) return 0;
  if (typeof value !== 'number') throw new HttpError(400, 'INVALID_PARAMETERS', `${name} must be a number`);
  return parsePositive(String(value), name);
}
