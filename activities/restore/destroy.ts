/** The point of no return: containers and volumes of one replica. */
import type { Engine } from '../../adapters/docker/engine';
import { destroyFlags } from '../../domain/bootstrapper-flags';
import { DrydockError } from '../../domain/errors';
import type { RestoreDecisions } from '../../domain/plan';
import { runBootstrapper, settle } from '../bootstrapper';
import type { Cluster } from '../cluster';
import { findReplicas, isRegistryVolume, partsOf, readyNames } from './replicas';
import { passNoReturn } from './unfinished';

/**
 * The vendor's `destroy`, then whatever it left. Returns the names of what is gone. Throws HostUnreachable for a node that was there when the plan
 * was made: passed over, its replica would come back with it.
 */
export async function destroyReplica(cluster: Cluster, step: { operation: string; decisions: RestoreDecisions; id: string; node: string }): Promise<{ removed: string[] }> {
  const { operation, decisions, id, node } = step;
  const engine = await cluster.engine();
  await settle(cluster);
  const before = await findReplicas(engine);
  if (!readyNames(before.nodes).has(node)) {
    throw new DrydockError('HostUnreachable', `${node} does not answer any more, and replica ${id} on it is to be destroyed`, { remedy: `bring ${node} back; or start the restore again: it will be planned without this host` });
  }
  const parts = partsOf(before, id, node);
  const names = [...parts.containers.map(({ name }) => name), ...parts.volumes];
  if (names.length === 0) return { removed: [] };
  await passNoReturn(cluster, step);
  await vendorsDestroy(cluster, { operation, decisions, id, node });
  await removeLeftovers(engine, id, node, { keepImages: false });
  return { removed: names };
}

async function vendorsDestroy(cluster: Cluster, { operation, decisions, id, node }: { operation: string; decisions: RestoreDecisions; id: string; node: string }): Promise<void> {
  try {
    await runBootstrapper(cluster, { image: decisions.bootstrapperImage, command: 'destroy', args: destroyFlags(id), node, operation });
  } catch (error) {
    // It removes containers and volumes and does no more; what it leaves is removed next, one by one.
    if (!(error instanceof DrydockError && error.kind === 'BootstrapperFailed')) throw error;
  }
}

/**
 * Removes containers, then volumes of a replica on one node. With `keepImages` the registry volume stays: the vendor's own `destroy`
 * would delete the images that have just been put there.
 */
export async function removeLeftovers(engine: Engine, id: string, node: string, options: { keepImages: boolean }): Promise<string[]> {
  const parts = partsOf(await findReplicas(engine), id, node);
  const volumes = parts.volumes.filter((name) => !(options.keepImages && isRegistryVolume(name)));
  for (const { name } of parts.containers) await engine.removeContainer(name, { force: true });
  for (const name of volumes) await engine.removeVolume(name);
  return [...parts.containers.map(({ name }) => name), ...volumes];
}
