/** The steps of a backup. Each file here is one of them, or what two of them share. */
import { Context } from '@temporalio/activity';
import type { ActivityDeps } from '../cluster';
import type { BackupActivities } from '../contract';
import { checkBackup } from './check';
import { cleanUp } from './clean-up';
import { copyImages } from './copy-images';
import { deletionsSince, freeze, recordFreeze } from './freeze';
import { takeMetadata } from './metadata';
import { inKnownVault, onCluster } from './on-cluster';
import { prove } from './prove';
import { readRecords } from './records';
import { seal } from './seal';
import { thaw } from './thaw';

export function backupActivities(deps: ActivityDeps): BackupActivities {
  return {
    checkBackup: (step) => onCluster(deps, step, (cluster) => checkBackup(cluster, step)),
    copyImages: (step) => inKnownVault(deps, step, (cluster, signal) => copyImages(cluster, step, signal)),
    recordFreeze: (step) => inKnownVault(deps, step, (cluster) => recordFreeze(cluster, step, Context.current().info.attempt)),
    freeze: (step) => onCluster(deps, step, (cluster, signal) => freeze(cluster, step.record, signal)),
    takeMetadata: (step) => inKnownVault(deps, step, (cluster) => takeMetadata(cluster, step)),
    deletionsSince: (step) => onCluster(deps, step, (cluster, signal) => deletionsSince(cluster, step, signal)),
    thaw: (step) => onCluster(deps, step, (cluster) => thaw(cluster, step.record)),
    prove: (step) => onCluster(deps, step, (cluster, signal) => prove(cluster, step, signal)),
    seal: (step) => inKnownVault(deps, step, (cluster, signal) => seal(cluster, step, signal)),
    cleanUp: (step) => onCluster(deps, step, (cluster) => cleanUp(cluster, step, step.abandoned)),
    listFreezeRecords: (step) => onCluster(deps, step, (cluster) => readRecords(cluster)),
  };
}
