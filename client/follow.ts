/** Watching one run until it is over, through restarts of worker and server. */
import { setTimeout as sleep } from 'node:timers/promises';
import { defaultPayloadConverter } from '@temporalio/common';
import type { WorkflowExecutionDescription } from '@temporalio/client';
import { z } from 'zod';
import type { Heartbeat, OperationView } from '../domain/contract';
import { DrydockError } from '../domain/errors';
import { describe, summarize, type OperationSummary } from './operations';
import { wayOut } from './stuck';
import { queryView, workerPolls } from './workers';
import type { Session } from './session';

/** A step's activity that is under way now. */
export interface ActivityView {
  id: string;
  type: string;
  attempt: number;
  /** Why the attempt before this one failed; one line. */
  lastFailure?: string;
  progress?: Heartbeat;
}

export interface Snapshot {
  run: OperationSummary;
  /** Steps, votes and warnings; absent while no worker answers. */
  view?: OperationView;
  activities: ActivityView[];
}

export interface FollowOptions {
  /** Ends the watching, not the run. */
  signal?: AbortSignal;
  onSnapshot?: (snapshot: Snapshot) => void | Promise<void>;
  /** Something a person should know: no worker listens, the server does not answer. Once each time it begins or ends. */
  onNotice?: (text: string) => void;
}

const POLL_MS = 1000;
const WAITING_POLL_MS = 2000;
const WORKER_CHECK_MS = 5000;

/** Returns the closed run; undefined when `signal` aborted first. Throws NotFound. */
export async function follow(session: Session, workflowId: string, options: FollowOptions = {}): Promise<OperationSummary | undefined> {
  const watcher = new Watcher(session, workflowId, options);
  while (!options.signal?.aborted) {
    const snapshot = await watcher.look();
    if (snapshot) {
      await options.onSnapshot?.(snapshot);
      if (snapshot.run.endedAt !== null) return snapshot.run;
    }
    const pause = snapshot?.run.status === 'waiting' ? WAITING_POLL_MS : POLL_MS;
    await sleep(pause, undefined, { signal: options.signal }).catch(() => undefined);
  }
  return undefined;
}

/** Remembers between two looks who was silent, so that each notice is given once. */
class Watcher {
  private serverSilent = false;
  private workerListens = false;
  private workerMissed = false;
  private stuck = false;
  private nextWorkerCheck = 0;
  /** A worker that is just starting is not missed yet. */
  private readonly patientUntil = Date.now() + WORKER_CHECK_MS;

  constructor(
    private readonly session: Session,
    private readonly workflowId: string,
    private readonly options: FollowOptions,
  ) {}

  /** Undefined while the server does not answer. */
  async look(): Promise<Snapshot | undefined> {
    try {
      const description = await describe(this.session, this.workflowId);
      const run = await summarize(this.session, description);
      if (this.serverSilent) this.notice('Temporal answers again');
      this.serverSilent = false;
      await this.checkWorker();
      // A query without a worker would only run into its deadline.
      const { view, failure } = this.workerListens ? await queryView(this.session, this.workflowId) : { view: undefined, failure: null };
      this.checkStuck(run.endedAt === null ? (run.stuck ?? failure) : null, run.cluster);
      return { run, view, activities: activitiesOf(description) };
    } catch (error) {
      if (!(error instanceof DrydockError) || error.kind !== 'TemporalUnavailable') throw error;
      if (!this.serverSilent) this.notice(`${error.message}; the run itself is not lost, trying again`);
      this.serverSilent = true;
      return undefined;
    }
  }

  private checkStuck(words: string | null, cluster: string | null): void {
    const isStuck = words !== null;
    if (isStuck === this.stuck) return;
    this.stuck = isStuck;
    this.notice(isStuck ? `no worker can go on with this run: ${words}. ${wayOut(this.workflowId, cluster ?? undefined)}` : 'a worker goes on with this run again');
  }

  private async checkWorker(): Promise<void> {
    if (Date.now() < this.nextWorkerCheck) return;
    this.workerListens = await workerPolls(this.session);
    // Nothing happens without a worker, so its arrival is worth asking for more often than its absence.
    this.nextWorkerCheck = Date.now() + (this.workerListens ? WORKER_CHECK_MS : 0);
    const missed = !this.workerListens && Date.now() >= this.patientUntil;
    if (missed === this.workerMissed) return;
    this.workerMissed = missed;
    const { taskQueue, address } = this.session.settings;
    this.notice(missed ? `no worker listens on task queue "${taskQueue}" at ${address}, so the run waits; start one with \`drydock worker\`` : 'a worker listens again');
  }

  private notice(text: string): void {
    this.options.onNotice?.(text);
  }
}

const heartbeatSchema = z.object({
  phase: z.string(), bytesDone: z.number(), bytesTotal: z.number().optional(), itemsDone: z.number().optional(), itemsTotal: z.number().optional(),
});

function activitiesOf(description: WorkflowExecutionDescription): ActivityView[] {
  return (description.raw.pendingActivities ?? []).map((pending) => ({
    id: pending.activityId ?? '',
    type: pending.activityType?.name ?? '',
    attempt: pending.attempt ?? 1,
    lastFailure: pending.lastFailure?.message?.split('\n', 1)[0],
    progress: readHeartbeat(pending.heartbeatDetails?.payloads?.[0]),
  }));
}

function readHeartbeat(payload: Parameters<typeof defaultPayloadConverter.fromPayload>[0] | undefined): Heartbeat | undefined {
  if (!payload) return undefined;
  try {
    const parsed = heartbeatSchema.safeParse(defaultPayloadConverter.fromPayload(payload));
    return parsed.success ? parsed.data : undefined;
  } catch {
    // Encoded by a codec that this command does not have: no bar, but all else still shows.
    return undefined;
  }
}
