/** Stage 1, as far as it can be undone. */
import { activityInfo } from '@temporalio/activity';
import type { ChangeOf } from '../../domain/changes';
import { DrydockError } from '../../domain/errors';
import { changeId, changesOf, newChange, ownChange } from '../changes';
import type { Cluster } from '../cluster';
import { findReplicas, partsOf, readyNames, type ReplicaContainer } from './replicas';

const STOP_SECONDS = 20;
/** The front first, so that nobody writes any more; the database last. */
const STOP_ORDER = ['nginx', 'notary-server', 'notary-signer', 'scanningstore', 'jobrunner', 'garant', 'api', 'registry', 'rethinkdb'];

interface ReplicaStep {
  operation: string;
  id: string;
  node: string;
}

/** Records which containers run before the first is stopped; an attempt that comes later goes by that record. Answers which ran. */
export async function stopReplica(cluster: Cluster, step: ReplicaStep): Promise<{ stopped: string[] }> {
  const { id, node } = step;
  const engine = await cluster.engine();
  const replicas = await findReplicas(engine);
  // A lost node's containers cannot be stopped, and need not be.
  if (!readyNames(replicas.nodes).has(node)) return { stopped: [] };
  const containers = inOrder(partsOf(replicas, id, node).containers);
  const running = containers.filter((container) => container.running).map(({ name }) => name);
  const { stopped } = await recordStop(cluster, step, containers);
  for (const name of running) {
    cluster.signal?.throwIfAborted();
    await engine.stopContainer(name, STOP_SECONDS);
  }
  return { stopped };
}

async function recordStop(cluster: Cluster, step: ReplicaStep, containers: ReplicaContainer[]): Promise<{ stopped: string[] }> {
  const changes = changesOf(cluster);
  const isRepeated = activityInfo().attempt > 1;
  const found = await changes.read({ hosts: isRepeated });
  const before = ownChange(found, 'stop', stopId(cluster, step));
  if (before) return { stopped: before.containers };
  // What the attempt before recorded may lie where nobody can look now: it is taken to have stopped all.
  const isUnknown = isRepeated && found.unread.length > 0;
  const stopped = containers.filter(({ running }) => running || isUnknown).map(({ name }) => name);
  if (stopped.length === 0) return { stopped };
  const { operation, id, node } = step;
  const record: ChangeOf<'stop'> = { ...(await newChange(cluster, 'stop', { operation }, subject(step))), state: 'begun', replica: { id, node }, containers: stopped };
  await changes.write(record, { hosts: [node], onWorker: true });
  return { stopped };
}

/**
 * Starts what the record of this run says was stopped, the database first, and ends the record. No record is no stop, as it stands before the first container
 * is stopped; where a place cannot be read that may hold one, `containers` are started, or with none all of the replica.
 */
export async function startReplica(cluster: Cluster, step: ReplicaStep & { containers: string[] }): Promise<void> {
  const changes = changesOf(cluster);
  const found = await changes.read({ hosts: true });
  const record = ownChange(found, 'stop', stopId(cluster, step));
  if (record) return startStopped(cluster, record);
  if (found.unread.length === 0 && step.containers.length === 0) return;
  const all = async (): Promise<string[]> => inOrder(partsOf(await findReplicas(await cluster.engine()), step.id, step.node).containers).map(({ name }) => name);
  await startContainers(cluster, step.containers.length > 0 ? step.containers : await all());
}

/** For `reconcile` as well. */
export async function startStopped(cluster: Cluster, record: ChangeOf<'stop'>): Promise<void> {
  await startContainers(cluster, record.containers);
  await changesOf(cluster).end(record);
}

/** A container that is gone is passed over: there is nothing to put back. */
async function startContainers(cluster: Cluster, stopped: readonly string[]): Promise<void> {
  const engine = await cluster.engine();
  for (const name of [...stopped].reverse()) {
    try {
      await engine.startContainer(name);
    } catch (error) {
      if (!(error instanceof DrydockError && error.kind === 'NotFound')) throw error;
    }
  }
}

function stopId(cluster: Cluster, step: ReplicaStep): string {
  return changeId(cluster, 'stop', { operation: step.operation }, subject(step));
}

function subject({ id, node }: ReplicaStep): string {
  return `${node}/${id}`;
}

function inOrder(containers: ReplicaContainer[]): ReplicaContainer[] {
  const place = ({ component }: ReplicaContainer): number => {
    const at = STOP_ORDER.indexOf(component);
    return at < 0 ? 0 : at;
  };
  return [...containers].sort((a, b) => place(a) - place(b));
}
