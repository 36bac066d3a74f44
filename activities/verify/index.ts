/** Verification of backups, bound to this worker's configuration. */
import { Context } from '@temporalio/activity';
import { withCluster, type ActivityDeps } from '../cluster';
import type { VerifyActivities } from '../contract';
import { Progress } from '../restore/progress';
import { verifyBackup } from './verify';

export function verifyActivities(deps: ActivityDeps): VerifyActivities {
  return {
    verifyBackup: (step) => {
      const progress = new Progress('reading the lists');
      return withCluster(deps, step.cluster, Context.current().cancellationSignal, (cluster) => verifyBackup(cluster, step, progress), step.vault);
    },
  };
}
