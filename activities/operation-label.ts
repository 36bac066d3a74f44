/** What is on every container that Drydock starts, so that what a killed attempt or a dead operation left is found. */
import type { ContainerSummary, Engine } from '../adapters/docker/engine';

/** Its value is the operation. */
export const OPERATION_LABEL = 'drydock.operation';
/** Its value is the cluster. */
export const CLUSTER_LABEL = 'drydock.cluster';

export function labelsOf(cluster: { name: string }, operation: string): Record<string, string> {
  return { [OPERATION_LABEL]: operation, [CLUSTER_LABEL]: cluster.name };
}

/** Ends what attempts of one operation left that were killed: its containers carry the operation's id. */
export async function removeDeadAttempts(engine: Engine, operation: string): Promise<void> {
  for (const { id } of await engine.containers({ labels: [`${OPERATION_LABEL}=${operation}`] })) await engine.removeContainer(id, { force: true });
}

/**
 * Ends every container of ours of one cluster. Only for who holds the cluster's lock and has none at work: whatever else there is belongs to attempts and
 * operations that are dead, and may hold the volumes that are needed now. Returns what was removed.
 */
export async function removeDeadContainers(engine: Engine, cluster: { name: string }): Promise<ContainerSummary[]> {
  const dead = await engine.containers({ labels: [OPERATION_LABEL, `${CLUSTER_LABEL}=${cluster.name}`] });
  for (const { id } of dead) await engine.removeContainer(id, { force: true });
  return dead;
}
