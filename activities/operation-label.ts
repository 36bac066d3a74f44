/** What is on every container that Drydock starts, so that what a killed attempt left is found. */
import type { Engine } from '../adapters/docker/engine';

/** Its value is the operation. */
export const OPERATION_LABEL = 'drydock.operation';

/** Ends what an attempt left that was killed: its containers carry the operation's id. */
export async function removeDeadAttempts(engine: Engine, operation: string): Promise<void> {
  for (const { id } of await engine.containers({ labels: [`${OPERATION_LABEL}=${operation}`] })) await engine.removeContainer(id, { force: true });
}
