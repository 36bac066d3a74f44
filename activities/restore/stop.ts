/** Stage 1, as far as it can be undone. */
import { activityInfo } from '@temporalio/activity';
import { z } from 'zod';
import { DrydockError } from '../../domain/errors';
import type { Cluster } from '../cluster';
import type { Progress } from './progress';
import { findReplicas, partsOf, readyNames, type ReplicaContainer } from './replicas';

const STOP_SECONDS = 20;
/** The front first, so that nobody writes any more; the database last. */
const STOP_ORDER = ['nginx', 'notary-server', 'notary-signer', 'scanningstore', 'jobrunner', 'garant', 'api', 'registry', 'rethinkdb'];

/** Answers which containers ran before, also when an earlier attempt has stopped some of them. */
export async function stopReplica(cluster: Cluster, { id, node }: { id: string; node: string }, progress: Progress): Promise<{ stopped: string[] }> {
  const engine = await cluster.engine();
  const replicas = await findReplicas(engine);
  // A lost node's containers cannot be stopped, and need not be.
  if (!readyNames(replicas.nodes).has(node)) return { stopped: [] };
  const containers = inOrder(partsOf(replicas, id, node).containers);
  const running = containers.filter((container) => container.running).map(({ name }) => name);
  const stopped = [...new Set([...running, ...stoppedBefore(containers, progress)])];
  progress.remember(stopped);
  for (const name of running) await engine.stopContainer(name, STOP_SECONDS);
  return { stopped };
}

/** What an earlier attempt said that it stops; one that was killed before it could say so is taken to have stopped all. */
function stoppedBefore(containers: ReplicaContainer[], progress: Progress): string[] {
  const remembered = z.array(z.string()).safeParse(progress.remembered);
  if (remembered.success) return remembered.data;
  return activityInfo().attempt > 1 ? containers.map(({ name }) => name) : [];
}

/**
 * Starts what was stopped, the database first; with no list (a stop that was broken off) all of the replica, which ran before. A container
 * that is gone is passed over: there is nothing to put back.
 */
export async function startReplica(cluster: Cluster, { id, node, containers }: { id: string; node: string; containers: string[] }): Promise<void> {
  const engine = await cluster.engine();
  const names = containers.length > 0 ? containers : inOrder(partsOf(await findReplicas(engine), id, node).containers).map(({ name }) => name);
  for (const name of [...names].reverse()) {
    try {
      await engine.startContainer(name);
    } catch (error) {
      if (!(error instanceof DrydockError && error.kind === 'NotFound')) throw error;
    }
  }
}

function inOrder(containers: ReplicaContainer[]): ReplicaContainer[] {
  const place = ({ component }: ReplicaContainer): number => {
    const at = STOP_ORDER.indexOf(component);
    return at < 0 ? 0 : at;
  };
  return [...containers].sort((a, b) => place(a) - place(b));
}
