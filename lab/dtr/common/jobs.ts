import { randomUUID } from 'node:crypto';
import { now, type CronRow, type JobRow } from './rows';
import type { Store } from './store';

/** Jobs and their logs are not part of an archive, so they stand beside the tables. */
const JOBS = '/dtr/jobs/';
const LOGS = '/dtr/joblogs/';

/** Everything that a cron or a job may be told to do. */
export const ACTIONS = [
  'gc', 'onlinegc', 'onlinegc_metadata', 'onlinegc_blobs', 'onlinegc_joblogs', 'onlinegc_events', 'metadatastoremigration', 'tagmigration', 'ro_registry', 'update_vuln_db', 'license_update',
  'scan_check', 'scan_check_single', 'scan_check_all', 'poll_mirror', 'push_mirror_tag', 'tag_pruning', 'webhook',
] as const;
export type Action = (typeof ACTIONS)[number];

export function isAction(action: unknown): action is Action {
  return (ACTIONS as readonly unknown[]).includes(action);
}

export interface NewJob {
  action: Action;
  parameters?: Record<string, string> | null;
  retries?: number;
  deadline?: string;
  stopTimeout?: string;
  scheduledAt?: string;
  cronID?: string;
}

export function jobRow(job: NewJob): JobRow {
  const at = now();
  return {
    id: randomUUID(),
    action: job.action,
    status: 'waiting',
    retriesLeft: job.retries ?? 0,
    workerID: '',
    cronID: job.cronID ?? '',
    scheduledAt: job.scheduledAt ?? at,
    lastUpdated: at,
    parameters: job.parameters ?? null,
    deadline: job.deadline ?? '',
    stopTimeout: job.stopTimeout ?? '',
  };
}

export function jobFromCron(cron: CronRow): JobRow {
  return jobRow({ action: cron.action as Action, parameters: cron.parameters, retries: cron.retries, deadline: cron.deadline, stopTimeout: cron.stopTimeout, cronID: cron.id });
}

export function jobOp(row: JobRow): { put: { key: string; value: string } } {
  return { put: { key: JOBS + row.id, value: JSON.stringify(row) } };
}

export async function newJob(store: Store, job: NewJob): Promise<JobRow> {
  const row = jobRow(job);
  await store.etcd.transact([], [jobOp(row)]);
  return row;
}

export async function findJob(store: Store, id: string): Promise<JobRow | null> {
  const kv = await store.etcd.get(JOBS + id);
  return kv ? (JSON.parse(kv.value) as JobRow) : null;
}

/** Newest first. */
export async function allJobs(store: Store): Promise<JobRow[]> {
  const jobs: JobRow[] = [];
  for await (const kv of store.etcd.scan(JOBS)) jobs.push(JSON.parse(kv.value) as JobRow);
  return jobs.sort((a, b) => b.scheduledAt.localeCompare(a.scheduledAt));
}

/** Compare-and-swap; `change` gives null to leave the job alone. Answers the new row, or null. */
export async function changeJob(store: Store, id: string, change: (row: JobRow) => JobRow | null): Promise<JobRow | null> {
  for (;;) {
    const kv = await store.etcd.get(JOBS + id);
    const next = kv ? change(JSON.parse(kv.value) as JobRow) : null;
    if (!kv || !next) return null;
    const row = { ...next, lastUpdated: now() };
    if (await store.etcd.transact([{ key: kv.key, revision: kv.revision }], [jobOp(row)])) return row;
  }
}

export async function deleteJob(store: Store, id: string): Promise<void> {
  await store.etcd.delete(JOBS + id);
  await store.etcd.deletePrefix(`${LOGS}${id}/`);
}

export async function logJob(store: Store, id: string, line: string): Promise<void> {
  await store.etcd.put(`${LOGS}${id}/${now()}-${randomUUID().slice(0, 8)}`, JSON.stringify({ Data: line, LineNum: 0 }));
}

export async function jobLog(store: Store, id: string): Promise<unknown[]> {
  const lines: unknown[] = [];
  for await (const kv of store.etcd.scan(`${LOGS}${id}/`)) lines.push({ ...(JSON.parse(kv.value) as object), LineNum: lines.length });
  return lines;
}
