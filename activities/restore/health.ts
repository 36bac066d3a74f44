/** Waiting until a replica says of itself that it is well. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DrydockError } from '../../domain/errors';
import type { Replica } from '../../domain/manifest';
import type { Cluster } from '../cluster';
import { pingAt } from './diagnose';
import type { Progress } from './progress';
import { findReplicas } from './replicas';

const LOOK_MS = 2_000;
/** One good answer may come from a moment between two restarts. */
const GOOD_IN_A_ROW = 2;

/** Asks the replica at its own address. Throws Unhealthy with what it said last after policy.healthSeconds. */
export async function waitHealthy(cluster: Cluster, { replica }: { replica: Replica }, progress: Progress): Promise<void> {
  const { healthSeconds } = cluster.config.policy;
  const end = Date.now() + healthSeconds * 1000;
  const replicas = await findReplicas(await cluster.engine());
  let good = 0;
  for (;;) {
    const answer = await pingAt(cluster, replicas, replica);
    good = answer.healthy ? good + 1 : 0;
    if (good >= GOOD_IN_A_ROW) return;
    progress.update({ phase: answer.healthy ? 'healthy' : `not healthy yet: ${answer.error}` });
    if (Date.now() > end) {
      throw new DrydockError('Unhealthy', `replica ${replica.id} on ${replica.node} is not healthy after ${healthSeconds} s: ${answer.error}`, {
        remedy: `look at its containers (docker ps and docker logs of dtr-*-${replica.id}); then start the same restore again`,
      });
    }
    await sleep(LOOK_MS, undefined, cluster.signal === undefined ? {} : { signal: cluster.signal });
  }
}
