import type { ActivityDeps } from '../cluster';
import { inKnownVault } from '../backup/on-cluster';
import type { RetentionActivities } from '../contract';
import { refuseWithoutLock } from '../lock-guard';
import { forgetBackup, planForget, rememberBackup } from './forget';
import { prune } from './prune';

export function retentionActivities(deps: ActivityDeps): RetentionActivities {
  return {
    prune: async (step) => {
      if (!step.dryRun) await refuseWithoutLock(deps, step.cluster);
      return inKnownVault(deps, step, (cluster, signal) => prune(cluster, step, signal));
    },
    planForget: (step) => inKnownVault(deps, step, (cluster) => planForget(cluster, step)),
    forgetBackup: (step) => inKnownVault(deps, step, (cluster) => forgetBackup(cluster, step)),
    rememberBackup: (step) => inKnownVault(deps, step, (cluster) => rememberBackup(cluster, step)),
  };
}
