import type { ActivityDeps } from '../cluster';
import { onCluster } from '../backup/on-cluster';
import type { RetentionActivities } from '../contract';
import { prune } from './prune';

export function retentionActivities(deps: ActivityDeps): RetentionActivities {
  return { prune: (step) => onCluster(deps, step, (cluster, signal) => prune(cluster, step, signal)) };
}
