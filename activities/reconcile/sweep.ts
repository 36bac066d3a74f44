/** Containers that dead operations left: they hold volumes that the next one needs. */
import type { Engine } from '../../adapters/docker/engine';
import { DrydockError } from '../../domain/errors';
import type { Cluster } from '../cluster';
import type { ThawResult } from '../contract';
import { OPERATION_LABEL, removeDeadContainers } from '../operation-label';

/** The plan of a restore tries a mount under such a name. */
const PROBE_VOLUME = /(^|\/)drydock-probe-[0-9a-f]{12}$/;

/** A cluster whose engine cannot be reached is no reason to leave crons off: it is said. */
export async function sweepContainers(cluster: Cluster, signal: AbortSignal): Promise<ThawResult> {
  try {
    const engine = await cluster.engine();
    const removed = await removeDeadContainers(engine, cluster);
    const containers = removed.map(({ names, labels }) => `the container ${names[0] ?? ''} of ${labels[OPERATION_LABEL] ?? 'an operation'} was removed`);
    return { putBack: [...containers, ...(await removeProbes(engine))], left: [] };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof DrydockError)) throw error;
    return { putBack: [], left: [`Whether containers of Drydock are left is not known: ${error.message}.`] };
  }
}

async function removeProbes(engine: Engine): Promise<string[]> {
  const done: string[] = [];
  for (const { name } of await engine.volumes()) {
    if (!PROBE_VOLUME.test(name)) continue;
    try {
      await engine.removeVolume(name);
      done.push(`the volume ${name}, with which a mount was tried, was removed`);
    } catch (error) {
      // The plan of another cluster on the same UCP uses it now.
      if (!(error instanceof DrydockError && error.kind === 'Conflict')) throw error;
    }
  }
  return done;
}
