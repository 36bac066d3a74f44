/** The steps of `reconcile`. */
import { Context } from '@temporalio/activity';
import { onCluster } from '../backup/on-cluster';
import { changesOf } from '../changes';
import type { ActivityDeps } from '../cluster';
import type { ReconcileActivities } from '../contract';
import { freeLock } from '../free-lock';
import { refuseWithoutLock } from '../lock-guard';
import { endRestore } from './end-restore';
import { listChanges, putBack } from './put-back';
import { sweepContainers } from './sweep';

export function reconcileActivities(deps: ActivityDeps): ReconcileActivities {
  return {
    freeLock: async (step) => ({ isFree: await freeLock(deps, step.lock) }),
    listChanges: (step) => onCluster(deps, step, (cluster) => listChanges(cluster)),
    putBack: async (step) => {
      await refuseWithoutLock(deps, step.cluster);
      return onCluster(deps, step, (cluster) => putBack(cluster, step.change));
    },
    sweepContainers: async (step) => {
      await refuseWithoutLock(deps, step.cluster);
      return onCluster(deps, step, async (cluster) => {
        const swept = await sweepContainers(cluster, Context.current().cancellationSignal);
        await changesOf(cluster).tidy({ hosts: true });
        return swept;
      });
    },
    endRestore: async (step) => {
      await refuseWithoutLock(deps, step.cluster);
      return onCluster(deps, step, (cluster) => endRestore(cluster, step.restore));
    },
  };
}
