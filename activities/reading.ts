/** How gently a registry's host is read, and how gently copies are filled. */
import { RateLimit } from '../adapters/stream/rate-limit';
import { bandwidthAt } from '../domain/bandwidth';
import type { ClusterConfig } from '../domain/config';

/** Options for reading images, by the cluster's policy. */
export function readingOf(policy: ClusterConfig['policy']): { stallMs: number; priority: string[]; limit?: RateLimit } {
  const { nice, ionice, stallSeconds } = policy;
  const limit = limitOf(policy);
  const priority = [...(ionice === 'none' ? [] : ['ionice', '-c', ionice === 'idle' ? '3' : '2', ...(ionice === 'idle' ? [] : ['-n', '7'])]), ...(nice === 0 ? [] : ['nice', '-n', String(nice)])];
  return { stallMs: stallSeconds * 1000, priority, ...(limit === undefined ? {} : { limit }) };
}

/** How fast bytes may pass, all streams that share it together; undefined where the policy sets no bounds. */
export function limitOf({ bandwidth }: Pick<ClusterConfig['policy'], 'bandwidth'>): RateLimit | undefined {
  return bandwidth.length === 0 ? undefined : new RateLimit(() => bandwidthAt(bandwidth, Date.now()));
}
