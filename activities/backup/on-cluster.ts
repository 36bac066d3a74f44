import { Context } from '@temporalio/activity';
import { withCluster, type ActivityDeps, type Cluster } from '../cluster';
import type { Step } from '../contract';

/** Runs one step on its cluster; the cluster's connections end with it, and its signal fires when the activity is cancelled. */
export function onCluster<T>(deps: ActivityDeps, step: Step, work: (cluster: Cluster, signal: AbortSignal) => Promise<T>): Promise<T> {
  const signal = Context.current().cancellationSignal;
  return withCluster(deps, step.cluster, signal, (cluster) => work(cluster, signal), step.vault);
}

/** The same for a step that writes or removes in the vault. A vault can go, or be exchanged, between any two steps. */
export function inKnownVault<T>(deps: ActivityDeps, step: Step, work: (cluster: Cluster, signal: AbortSignal) => Promise<T>): Promise<T> {
  return onCluster(deps, step, async (cluster, signal) => {
    await cluster.refuseOtherVault();
    return work(cluster, signal);
  });
}
