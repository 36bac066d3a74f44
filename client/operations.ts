/** Operations as programs see them: start, describe, cancel. The commands, the demo and the tests stand on this. */
import { randomBytes } from 'node:crypto';
import { userInfo } from 'node:os';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { WorkflowNotFoundError, type WorkflowExecutionDescription } from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import {
  backupInput, lockId, MEMO_KEY, reconcileInput, restoreInput, WORKFLOW,
  type BackupInput, type Gate, type OperationMemo, type OperationType, type ReconcileInput, type RestoreInput,
} from '../domain/contract';
import { DrydockError, noSuch, type ErrorKind } from '../domain/errors';
import { copyInput, type CopyInput } from '../domain/copy';
import { forgetInput, type ForgetInput } from '../domain/forget';
import { pruneInput, type PruneInput } from '../domain/prune-result';
import { verifyInput, type VerifyInput } from '../domain/verify-input';
import { mistakesInWords } from '../domain/mistakes';
import { workflowUrl } from '../worker/temporal-settings';
import { EXIT } from '../domain/exit-codes';
import { exitCodeOfResult, explain } from './failures';
import { count } from './format';
import type { Session } from './session';
import { stuckText } from './stuck';

export type OperationStatus = 'running' | 'waiting' | 'completed' | 'failed' | 'cancelled';

/** What `drydock show WORKFLOW_ID --json` prints. Readable without a worker. */
export interface OperationSummary {
  workflowId: string;
  runId: string;
  type: string;
  cluster: string | null;
  backupId: string | null;
  /** `waiting`: at a gate, for people. */
  status: OperationStatus;
  stage: string;
  gate: Gate | null;
  /** One sentence; null unless the run failed or was cancelled. */
  error: string | null;
  remedy: string | null;
  errorKind: ErrorKind | null;
  /** With which a command ends that has watched the run; 0 while it goes on. */
  exitCode: number;
  /** Why no worker can go on with it, in the server's words; null for a run that is well. */
  stuck: string | null;
  startedAt: string;
  endedAt: string | null;
  /** In the Temporal UI; null where it is not known where that is. */
  url: string | null;
  /** Of a completed run: BackupResult, RestoreResult or ReconcileResult. */
  result: unknown;
}

export type OperationInput = { type: 'backup'; input: BackupInput } | { type: 'restore'; input: RestoreInput } | { type: 'verify'; input: VerifyInput } | { type: 'prune'; input: PruneInput } | { type: 'copy'; input: CopyInput } | { type: 'forget'; input: ForgetInput } | { type: 'reconcile'; input: ReconcileInput };

export interface Started {
  workflowId: string;
  runId: string;
  url: string | null;
}

const SCHEMAS = { backup: backupInput, restore: restoreInput, verify: verifyInput, prune: pruneInput, copy: copyInput, forget: forgetInput, reconcile: reconcileInput } as const;
const STAGE_BEFORE_START = 'queued';

/**
 * Starts one operation. Throws InvalidInput for a wrong input, Locked when another operation holds the cluster (naming it),
 * TemporalUnavailable. The workflow refuses a second operation as well; looking first only spares a failed run in the list.
 */
export async function startOperation(session: Session, operation: OperationInput): Promise<Started> {
  const { type } = operation;
  const parsed = SCHEMAS[type].safeParse({ startedBy: currentUser(), ...operation.input });
  if (!parsed.success) throw inputError(type, parsed.error);
  const { cluster } = parsed.data;
  if (type === 'backup' || type === 'restore' || (type === 'prune' && !(parsed.data as PruneInput).dryRun)) await refuseWhenLocked(session, cluster);
  const workflowId = operationId(type, cluster, new Date());
  const memo: OperationMemo = { type, cluster, stage: STAGE_BEFORE_START, gate: null };
  try {
    const handle = await session.call((client) =>
      client.workflow.start(WORKFLOW[type], {
        workflowId,
        taskQueue: session.settings.taskQueue,
        args: [parsed.data],
        memo: { [MEMO_KEY]: memo },
        staticSummary: `${type} of ${cluster}`,
      }),
    );
    return { workflowId, runId: handle.firstExecutionRunId, url: workflowUrl(session.settings, workflowId, handle.firstExecutionRunId) };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) throw new DrydockError('Conflict', `a run with the id ${workflowId} exists already`, { cause: error });
    throw error;
  }
}

/** `backup/prod/20261123T020000Z-1a2b3c`: sorts by time in the UI's list, and two starts in one second do not meet. */
export function operationId(type: OperationType, cluster: string, now: Date): string {
  const time = now.toISOString().replace(/[-:]/g, '').replace(/\.\d+/, '');
  return `${type}/${cluster}/${time}-${randomBytes(3).toString('hex')}`;
}

/** The run that holds the cluster now; undefined when it is free, or when its holder is over (then the next operation ends the lock). */
export async function lockHolder(session: Session, cluster: string): Promise<string | undefined> {
  const lock = await describeIfThere(session, lockId(cluster));
  if (lock?.status.name !== 'RUNNING') return undefined;
  const holder = lock.parentExecution;
  if (!holder?.workflowId) return lock.workflowId;
  const run = await describeIfThere(session, holder.workflowId, holder.runId ?? undefined);
  return run?.status.name === 'RUNNING' || run?.status.name === 'PAUSED' ? holder.workflowId : undefined;
}

/** The server frees a lock some 0.2 s after its run has closed, so "held" is asked twice. */
const LOCK_SETTLES_MS = 1000;

async function refuseWhenLocked(session: Session, cluster: string): Promise<void> {
  if ((await lockHolder(session, cluster)) === undefined) return;
  await sleep(LOCK_SETTLES_MS);
  const holder = await lockHolder(session, cluster);
  if (holder === undefined) return;
  throw new DrydockError('Locked', `${holder} holds the cluster ${cluster}: one operation at a time`, {
    remedy: `follow it with \`drydock watch ${holder}\`, or stop it with \`drydock cancel ${holder}\``,
    details: { holder },
  });
}

/** One run as it stands. Throws NotFound. */
export async function describeOperation(session: Session, workflowId: string): Promise<OperationSummary> {
  try {
    return await summarize(session, await describe(session, workflowId));
  } catch (error) {
    if (!(error instanceof DrydockError) || !(error.cause instanceof WorkflowNotFoundError)) throw error;
    const days = await retentionDays(session).catch(() => undefined);
    if (days === undefined) throw error;
    throw noSuch(error.message, { remedy: `see \`drydock status\` for what runs; this server keeps runs that are over for ${count(days, 'day')} (what backups and verdicts say stays in the vault: \`drydock list\`)`, cause: error.cause });
  }
}

/** How long the namespace keeps runs that are over. */
async function retentionDays(session: Session): Promise<number | undefined> {
  const { config } = await session.call((client) => client.workflowService.describeNamespace({ namespace: session.settings.namespace }));
  const seconds = Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0);
  return seconds > 0 ? Math.round(seconds / 8640) / 10 : undefined;
}

export async function describe(session: Session, workflowId: string, runId?: string): Promise<WorkflowExecutionDescription> {
  return session.call((client) => client.workflow.getHandle(workflowId, runId).describe());
}

async function describeIfThere(session: Session, workflowId: string, runId?: string): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await describe(session, workflowId, runId);
  } catch (error) {
    if (error instanceof DrydockError && error.cause instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

export async function summarize(session: Session, run: WorkflowExecutionDescription): Promise<OperationSummary> {
  const memo = readMemo(run.memo);
  const status = statusOf(run.status.name, memo);
  const running = status === 'running' || status === 'waiting';
  const outcome = running ? NO_OUTCOME : await outcomeOf(session, run);
  return {
    workflowId: run.workflowId,
    runId: run.runId,
    type: run.type,
    cluster: memo?.cluster ?? null,
    backupId: memo?.backupId ?? null,
    status,
    stage: memo?.stage ?? STAGE_BEFORE_START,
    gate: running ? (memo?.gate ?? null) : null,
    error: outcome.error,
    remedy: outcome.remedy,
    errorKind: outcome.errorKind,
    exitCode: status === 'completed' ? exitCodeOfResult(run.type, outcome.result) : outcome.exitCode,
    stuck: running ? await stuckText(session, run) : null,
    startedAt: run.startTime.toISOString(),
    endedAt: run.closeTime?.toISOString() ?? null,
    url: workflowUrl(session.settings, run.workflowId, run.runId),
    result: outcome.result,
  };
}

type Outcome = Pick<OperationSummary, 'result' | 'error' | 'remedy' | 'errorKind' | 'exitCode'>;
const NO_OUTCOME: Outcome = { result: null, error: null, remedy: null, errorKind: null, exitCode: EXIT.ok };

async function outcomeOf(session: Session, run: WorkflowExecutionDescription): Promise<Outcome> {
  try {
    const result: unknown = await session.call((client) => client.workflow.getHandle(run.workflowId, run.runId).result());
    return { ...NO_OUTCOME, result };
  } catch (error) {
    if (error instanceof DrydockError && error.kind === 'TemporalUnavailable') throw error;
    const { message, remedy, kind, exitCode } = explain(error);
    return { result: null, error: message, remedy: remedy ?? null, errorKind: kind ?? null, exitCode };
  }
}

function statusOf(name: string, memo: OperationMemo | undefined): OperationStatus {
  switch (name) {
    case 'RUNNING':
    case 'PAUSED':
    case 'CONTINUED_AS_NEW':
      return memo?.gate ? 'waiting' : 'running';
    case 'COMPLETED':
      return 'completed';
    case 'CANCELLED':
      return 'cancelled';
    default:
      // Failed, timed out, or terminated: the last two ran no undo, so they are no mere cancellation.
      return 'failed';
  }
}

const gateSchema = z.object({
  name: z.string(), planDigest: z.string(), question: z.string(), details: z.string(), openedAt: z.string(), approvers: z.array(z.string()),
  choices: z.array(z.object({ decision: z.enum(['approve', 'reject', 'retry']), means: z.string() })),
});
const memoSchema = z.object({
  type: z.enum(['backup', 'restore', 'verify', 'prune', 'copy', 'forget', 'reconcile']), cluster: z.string(), backupId: z.string().optional(), stage: z.string(), gate: gateSchema.nullable(),
});

/** The operation's memo; undefined for a run that has none (not ours, or started elsewhere and not yet taken up). */
export function readMemo(memo: Record<string, unknown> | undefined): OperationMemo | undefined {
  const parsed = memoSchema.safeParse(memo?.[MEMO_KEY]);
  return parsed.success ? parsed.data : undefined;
}

/** Asks a run to stop and to undo what it had changed. Throws NotFound, Refused when it is over. */
export async function cancelOperation(session: Session, workflowId: string): Promise<void> {
  const { status } = await describeOperation(session, workflowId);
  if (status !== 'running' && status !== 'waiting') throw new DrydockError('Refused', `${workflowId} is over already (${status})`);
  await session.call((client) => client.workflow.getHandle(workflowId).cancel());
}

/** Who starts or votes, when nobody is named. */
export function currentUser(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run under a number that has no name.
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}

function inputError(type: OperationType, error: z.ZodError): DrydockError {
  return new DrydockError('InvalidInput', mistakesInWords(error, SCHEMAS[type]), { remedy: `see \`drydock ${type} --help\`` });
}
