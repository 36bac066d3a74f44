/** Before people agree: where this restore will keep what it changes, when a vault does not take it. A restore needs nothing of a vault but to read it. */
import type { RestoreDecisions } from '../../domain/plan';
import { changesOf } from '../changes';
import type { Cluster } from '../cluster';

/** Sentences for the plan. Each vault is tried with a probe that is removed again. */
export async function warnOfRecords(cluster: Cluster, decisions: RestoreDecisions): Promise<string[]> {
  const nodes = [...new Set([...decisions.stops, ...decisions.destroys, decisions.first, ...decisions.joins].map(({ node }) => node))].sort();
  const { refused, isInVaults, onHosts } = await changesOf(cluster, decisions.targets).tryOut(nodes);
  const without = refused.map(({ place, why }) => `${place} takes no record of what this restore changes: ${why}`);
  if (isInVaults || without.length === 0) return without.map((sentence) => `${sentence}; it is kept in the other vaults of the cluster`);
  const where = onHosts.length === 0 ? 'in this worker\'s stateDir alone, so that `drydock reconcile` needs this worker' : `on ${onHosts.join(', ')} and in this worker's stateDir`;
  return [...without, `no vault of the cluster takes a record: it is kept ${where}`];
}
