/** The state of every cluster: its last backup from the vault, what runs now from Temporal. Either may be silent. */
import { WORKFLOW } from '../domain/contract';
import { unfinishedSentence, unfinishedWayOut } from '../domain/changes';
import { DrydockError } from '../domain/errors';
import { temporalSettings } from '../worker/temporal-settings';
import { explain } from './failures';
import { unfinishedRestores } from './changes';
import { describe, readMemo, type OperationStatus } from './operations';
import { openSession, type LoadedConfig, type Session } from './session';
import { stuckText } from './stuck';
import { latestComplete, listBackups, newVaultNote, type BackupEntry } from './vaults';
import { workerPolls } from './workers';

export interface RunningOperation {
  workflowId: string;
  type: string;
  status: OperationStatus;
  stage: string;
  /** Name of the gate where it waits for people. */
  gate: string | null;
  /** Why no worker can go on with it; null for a run that is well. */
  stuck: string | null;
  startedAt: string;
}

export interface ClusterStatus {
  name: string;
  /** The newest complete backup; null when there is none, or when the vault cannot be read. */
  lastBackup: BackupEntry | null;
  backups: number;
  running: RunningOperation[];
  /** Why the vault could not be read. */
  vaultError: string | null;
  /** A sentence when there is no vault yet. */
  vaultNote: string | null;
  /** Restores behind their point of no return that did not come to their end (one that runs now is among them). */
  unfinished: UnfinishedRestore[];
}

export interface UnfinishedRestore {
  operation: string;
  workflowId: string;
  backupId: string | null;
  recordedAt: string;
  stage: string;
  /** One sentence of what state it has left. */
  what: string;
  remedy: string;
}

export interface Status {
  clusters: ClusterStatus[];
  temporal: { address: string; reachable: boolean; workerListens: boolean; error: string | null };
}

export async function readStatus(local: LoadedConfig): Promise<Status> {
  const [{ temporal, running }, vaults] = await Promise.all([askTemporal(local), Promise.all(Object.keys(local.config.clusters).map((name) => askVault(local, name)))]);
  return { clusters: vaults.map((vault) => ({ ...vault, running: running.filter((entry) => entry.cluster === vault.name).map(({ operation }) => operation) })), temporal };
}

async function askVault(local: LoadedConfig, name: string): Promise<Omit<ClusterStatus, 'running'>> {
  // Side by side: a vault may be far away.
  const [found, unfinished] = await Promise.all([backupsOf(local, name), unfinishedOf(local, name)]);
  return { name, ...found, unfinished };
}

async function backupsOf(local: LoadedConfig, name: string): Promise<Pick<ClusterStatus, 'lastBackup' | 'backups' | 'vaultError' | 'vaultNote'>> {
  try {
    const entries = await listBackups(local, name);
    return { lastBackup: latestComplete(entries) ?? null, backups: entries.length, vaultError: null, vaultNote: entries.length === 0 ? await newVaultNote(local, name) : null };
  } catch (error) {
    return { lastBackup: null, backups: 0, vaultError: explain(error).message, vaultNote: null };
  }
}

async function unfinishedOf(local: LoadedConfig, name: string): Promise<UnfinishedRestore[]> {
  return (await unfinishedRestores(local, name)).map((change) => {
    const { operation, workflowId, backupId, recordedAt, stage } = change;
    return { operation, workflowId, backupId, recordedAt, stage, what: unfinishedSentence(change), remedy: unfinishedWayOut(change) };
  });
}

/** All but the lock, which only says that one of them runs. */
const OPERATIONS = Object.values(WORKFLOW).filter((type) => type !== WORKFLOW.lock);

type Found = { cluster: string; operation: RunningOperation }[];

async function askTemporal(local: LoadedConfig): Promise<{ temporal: Status['temporal']; running: Found }> {
  const { address } = temporalSettings(local.config.temporal);
  try {
    const session = await openSession(local);
    try {
      const [running, workerListens] = await Promise.all([runningOperations(session), workerPolls(session)]);
      return { temporal: { address, reachable: true, workerListens, error: null }, running };
    } finally {
      await session.close();
    }
  } catch (error) {
    if (!(error instanceof DrydockError)) throw error;
    return { temporal: { address, reachable: false, workerListens: false, error: error.message }, running: [] };
  }
}

async function runningOperations(session: Session): Promise<Found> {
  const query = `ExecutionStatus = 'Running' AND WorkflowType IN (${OPERATIONS.map((type) => `'${type}'`).join(', ')})`;
  const found: Found = [];
  await session.call(async (client) => {
    for await (const run of client.workflow.list({ query })) {
      const memo = readMemo(run.memo);
      const cluster = memo?.cluster ?? clusterInId(run.workflowId);
      if (cluster === undefined) continue;
      found.push({
        cluster,
        operation: { workflowId: run.workflowId, type: run.type, status: memo?.gate ? 'waiting' : 'running', stage: memo?.stage ?? 'queued', gate: memo?.gate?.name ?? null, stuck: null, startedAt: run.startTime.toISOString() },
      });
    }
  });
  // The list of runs does not tell: each is asked.
  for (const { operation } of found) operation.stuck = await stuckText(session, await describe(session, operation.workflowId));
  return found;
}

/** A run started from the Temporal UI has no memo before a worker takes it up; its id may still follow our form. */
function clusterInId(workflowId: string): string | undefined {
  const [type = '', cluster, ...rest] = workflowId.split('/');
  return rest.length > 0 && OPERATIONS.some((known) => known === type) ? cluster : undefined;
}
