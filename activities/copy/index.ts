/** Copies of backups in further vaults, bound to this worker's configuration. */
import { Context } from '@temporalio/activity';
import { withCluster, type ActivityDeps } from '../cluster';
import type { CopyActivities } from '../contract';
import { Progress } from '../restore/progress';
import { copyBackups } from './copy';

export function copyActivities(deps: ActivityDeps): CopyActivities {
  return {
    copyBackups: (step) => {
      const progress = new Progress('looking at both vaults');
      const signal = Context.current().cancellationSignal;
      return withCluster(deps, step.cluster, signal, (from) => withCluster(deps, step.cluster, signal, (to) => copyBackups(from, to, step, progress), step.to), step.from);
    },
  };
}
