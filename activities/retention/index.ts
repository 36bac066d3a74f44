import type { ActivityDeps } from '../cluster';
import { onCluster } from '../backup/on-cluster';
import type { RetentionActivities } from '../contract';
import { forgetBackup, planForget, rememberBackup } from './forget';
import { prune } from './prune';

export function retentionActivities(deps: ActivityDeps): RetentionActivities {
  return {
    prune: (step) => onCluster(deps, step, (cluster, signal) => prune(cluster, step, signal)),
    planForget: (step) => onCluster(deps, step, (cluster) => planForget(cluster, step)),
    forgetBackup: (step) => onCluster(deps, step, (cluster) => forgetBackup(cluster, step)),
    rememberBackup: (step) => onCluster(deps, step, (cluster) => rememberBackup(cluster, step)),
  };
}
