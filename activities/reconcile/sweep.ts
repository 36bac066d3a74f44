/** Containers that dead operations left: they hold volumes that the next one needs. */
import { DrydockError } from '../../domain/errors';
import type { Cluster } from '../cluster';
import type { ThawResult } from '../contract';
import { OPERATION_LABEL, removeDeadContainers } from '../operation-label';

/** A cluster whose engine cannot be reached is no reason to leave crons off: it is said. */
export async function sweepContainers(cluster: Cluster, signal: AbortSignal): Promise<ThawResult> {
  try {
    const removed = await removeDeadContainers(await cluster.engine(), cluster);
    return { putBack: removed.map(({ names, labels }) => `the container ${names[0] ?? ''} of ${labels[OPERATION_LABEL] ?? 'an operation'} was removed`), left: [] };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof DrydockError)) throw error;
    return { putBack: [], left: [`Whether containers of Drydock are left is not known: ${error.message}.`] };
  }
}
