/** From the states of replicas to the verdict: is a restore even right? */
import type { ReplicaState, Verdict } from './plan';

/** Replicas that must be healthy for the metadata store to work. */
export function quorumOf(replicas: number): number {
  return Math.floor(replicas / 2) + 1;
}

/**
 * `healthy`: every replica is; `minorityLost`: the rest still has quorum; `quorumLost`: it has not, but something of a replica can be
 * reached; `allLost`: nothing is left.
 */
export function verdictOf(replicas: ReplicaState[]): Verdict {
  const healthy = replicas.filter((replica) => replica.healthy).length;
  if (replicas.length > 0 && healthy === replicas.length) return 'healthy';
  if (healthy >= quorumOf(replicas.length)) return 'minorityLost';
  return replicas.some((replica) => replica.present && replica.nodeReachable) ? 'quorumLost' : 'allLost';
}

const ADVICE: Record<Verdict, string> = {
  healthy: 'nothing needs to be restored',
  minorityLost: 'the cluster works: remove the lost replicas and join new ones instead of restoring',
  quorumLost: 'the cluster does not work; what is running can be repaired (emergency-repair) or replaced by the backup',
  allLost: 'nothing is left to repair: restore from the backup',
};

/** One sentence for people: counts, names of what is lost, and what it means. */
export function summaryOf(replicas: ReplicaState[], lostNodes: string[]): string {
  const verdict = verdictOf(replicas);
  if (replicas.length === 0) return `No replica is known: ${ADVICE[verdict]}.`;
  const healthy = replicas.filter((replica) => replica.healthy).length;
  const sick = replicas.filter((replica) => !replica.healthy).map((replica) => `${replica.id} on ${replica.node}`);
  const parts = [
    `${healthy} of ${replicas.length} replicas ${healthy === 1 ? 'is' : 'are'} healthy (quorum is ${quorumOf(replicas.length)})`,
    ...(sick.length > 0 ? [`not healthy: ${sick.join(', ')}`] : []),
    ...(lostNodes.length > 0 ? [`nodes that do not answer: ${lostNodes.join(', ')}`] : []),
  ];
  return `${parts.join('; ')}; ${ADVICE[verdict]}.`;
}
