/** How gently a registry's host is read. */
import { RateLimit } from '../adapters/stream/rate-limit';
import { bandwidthAt } from '../domain/bandwidth';
import type { ClusterConfig } from '../domain/config';

/** Options for reading images, by the cluster's policy. */
export function readingOf(policy: ClusterConfig['policy']): { stallMs: number; priority: string[]; limit?: RateLimit } {
  const { nice, ionice, bandwidth, stallSeconds } = policy;
  const priority = [...(ionice === 'none' ? [] : ['ionice', '-c', ionice === 'idle' ? '3' : '2', ...(ionice === 'idle' ? [] : ['-n', '7'])]), ...(nice === 0 ? [] : ['nice', '-n', String(nice)])];
  return { stallMs: stallSeconds * 1000, priority, ...(bandwidth.length === 0 ? {} : { limit: new RateLimit(() => bandwidthAt(bandwidth, Date.now())) }) };
}
