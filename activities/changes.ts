/** The records of changes as a step sees them: in the vaults of its cluster, on its hosts, under its worker's stateDir. */
import { createHash } from 'node:crypto';
import { activityInfo } from '@temporalio/activity';
import type { Change, ChangeKind, ChangeOf } from '../domain/changes';
import type { RestoreTarget } from '../domain/contract';
import { Changes, type ChangesFound } from '../store/changes/changes';
import { hostPlace } from '../store/changes/host-place';
import { installationOf } from '../store/changes/installation';
import type { ChangePlace } from '../store/changes/place';
import { statePlace } from '../store/changes/state-place';
import { vaultPlace } from '../store/changes/vault-place';
import type { Cluster } from './cluster';
import { forCleanUp } from './guard';

/** `targets`: hosts that a restore uses although drydock.yaml has others, or none. */
export function changesOf(cluster: Cluster, targets: readonly RestoreTarget[] = []): Changes {
  const { name, stateDir } = cluster;
  const vaults = [{ name: cluster.vaultName, vault: cluster.vault }, ...cluster.otherVaults()].map((each) => vaultPlace({ ...each, stateDir }, name, forCleanUp(each.vault)));
  const hosts = new Map<string, ChangePlace>();
  if (cluster.config.ssh !== undefined) {
    for (const node of Object.keys(cluster.config.hosts)) hosts.set(node, hostPlace(node, () => cluster.host(node), name));
    for (const { node, host, port, hostKey } of targets) hosts.set(node, hostPlace(node, () => cluster.host(node, { host, port, hostKey }), name));
  }
  return new Changes({ vaults, hosts, worker: statePlace(stateDir, name), workerId: async () => (await installationOf(stateDir)).id });
}

type Head = Pick<Change, 'format' | 'id' | 'cluster' | 'operation' | 'workflowId' | 'runId' | 'backupId' | 'installation' | 'recordedAt' | 'revision' | 'state' | 'onHosts' | 'onWorkers' | 'notEndedIn'>;

interface Owner {
  operation: string;
  backupId?: string | null;
}

/** The first revision of a record of this run. `subject` tells several of one kind apart. */
export async function newChange<K extends ChangeKind>(cluster: Cluster, kind: K, owner: Owner, subject = ''): Promise<Head & { kind: K }> {
  const { workflowId, runId } = runOfStep();
  return {
    format: 1, kind,
    id: changeId(cluster, kind, owner, subject),
    cluster: cluster.name,
    operation: owner.operation,
    workflowId, runId,
    backupId: owner.backupId ?? null,
    installation: await installationOf(cluster.stateDir),
    recordedAt: new Date().toISOString(),
    revision: 1,
    state: 'planned',
    onHosts: [],
    onWorkers: [],
    notEndedIn: [],
  };
}

/** An operation's key alone does not do: a workflow id may be used again. */
export function changeId(cluster: Pick<Cluster, 'name'>, kind: ChangeKind, { operation, backupId = null }: Owner, subject = ''): string {
  const { runId } = runOfStep();
  // The backup of a restore is what is read; that of a freeze tells runs apart.
  const parts = [cluster.name, operation, runId, kind === 'freeze' ? backupId : null, subject];
  return `${kind}-${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16)}`;
}

/** This run's own record, if one stands. */
export function ownChange<K extends ChangeKind>(found: ChangesFound, kind: K, id: string): ChangeOf<K> | undefined {
  return found.changes.find((change): change is ChangeOf<K> => change.kind === kind && change.id === id);
}

/** For warnings: who left a record, and whether that may be one who is still alive. */
export async function whoLeft(cluster: Cluster, change: Change): Promise<string> {
  const { id } = await installationOf(cluster.stateDir);
  const who = `the operation ${change.operation} (run ${change.runId})`;
  return change.installation.id === id ? who : `${who} of another installation of Drydock (on ${change.installation.host}; whether it still runs there cannot be seen from here: let one installation work on a cluster)`;
}

function runOfStep(): { workflowId: string; runId: string } {
  const { workflowExecution } = activityInfo();
  return { workflowId: workflowExecution?.workflowId ?? '', runId: workflowExecution?.runId ?? '' };
}
