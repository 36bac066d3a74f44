/** The steps of a backup. Each file here is one of them, or what two of them share. */
import type { ActivityDeps, Cluster } from '../cluster';
import type { BackupActivities, Step } from '../contract';
import { refuseWithoutLock } from '../lock-guard';
import { checkBackup } from './check';
import { cleanUp } from './clean-up';
import { copyImages } from './copy-images';
import { deletionsSince, freeze, recordFreeze } from './freeze';
import { takeMetadata } from './metadata';
import { inKnownVault, onCluster } from './on-cluster';
import { prove } from './prove';
import { seal } from './seal';
import { thaw } from './thaw';

export function backupActivities(deps: ActivityDeps): BackupActivities {
  /** For a step that changes the registry, or seals: what a run without the lock has seen may be another's doing. */
  async function underLock<T>(bound: typeof onCluster, step: Step, work: (cluster: Cluster, signal: AbortSignal) => Promise<T>): Promise<T> {
    await refuseWithoutLock(deps, step.cluster);
    return bound(deps, step, work);
  }

  return {
    checkBackup: (step) => onCluster(deps, step, (cluster) => checkBackup(cluster, step)),
    copyImages: (step) => inKnownVault(deps, step, (cluster, signal) => copyImages(cluster, step, signal)),
    recordFreeze: (step) => underLock(inKnownVault, step, (cluster) => recordFreeze(cluster, step)),
    freeze: (step) => underLock(onCluster, step, (cluster, signal) => freeze(cluster, step.record, signal)),
    takeMetadata: (step) => inKnownVault(deps, step, (cluster) => takeMetadata(cluster, step)),
    deletionsSince: (step) => onCluster(deps, step, (cluster, signal) => deletionsSince(cluster, step, signal)),
    thaw: (step) => onCluster(deps, step, (cluster) => thaw(cluster, step.record)),
    prove: (step) => onCluster(deps, step, (cluster, signal) => prove(cluster, step, signal)),
    seal: (step) => underLock(inKnownVault, step, (cluster, signal) => seal(cluster, step, signal)),
    cleanUp: (step) => onCluster(deps, step, (cluster) => cleanUp(cluster, step, step)),
  };
}
