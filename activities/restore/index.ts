/** The steps of a restore, bound to this worker's configuration. */
import { Context } from '@temporalio/activity';
import { withCluster, type ActivityDeps, type Cluster } from '../cluster';
import type { RestoreActivities, Step } from '../contract';
import { confirmRestore } from './confirm';
import { destroyReplica } from './destroy';
import { diagnose } from './diagnose';
import { waitHealthy } from './health';
import { restoreImages } from './images';
import { joinReplica, restoreMetadata } from './metadata';
import { planRestore } from './plan';
import { Progress } from './progress';
import { holdDeletions, restoreCrons, setReadOnly } from './settings';
import { fenceNode, refuseReturned, reportReturned } from './fence';
import { startReplica, stopReplica } from './stop';
import { markFinished, markUnfinished } from './unfinished';
import { updateVulnerabilityDatabase } from './vulnerabilities';

export function restoreActivities(deps: ActivityDeps): RestoreActivities {
  /** One step: its own connections, its progress, and the cancellation as the signal of every call. */
  function run<T>(step: Step, phase: string, work: (cluster: Cluster, progress: Progress) => Promise<T>): Promise<T> {
    const progress = new Progress(phase);
    return withCluster(deps, step.cluster, Context.current().cancellationSignal, (cluster) => work(cluster, progress), step.vault);
  }

  return {
    diagnose: (step) => run(step, 'looking at the cluster', (cluster) => diagnose(cluster, step)),
    planRestore: (step) => run(step, 'planning', (cluster, progress) => planRestore(cluster, step, progress)),
    stopReplica: (step) => run(step, 'stopping containers', (cluster, progress) => stopReplica(cluster, step, progress)),
    startReplica: (step) => run(step, 'starting containers', (cluster) => startReplica(cluster, step)),
    markUnfinished: (step) => run(step, 'marking', (cluster) => markUnfinished(cluster, step)),
    markFinished: (step) => run(step, 'marking', (cluster) => markFinished(cluster)),
    refuseReturned: (step) => run(step, 'fenced hosts', (cluster) => refuseReturned(cluster, step.decisions)),
    fenceNode: (step) => run(step, 'fencing', (cluster) => fenceNode(cluster, step)),
    destroyReplica: (step) => run(step, 'destroying', (cluster) => destroyReplica(cluster, step)),
    restoreImages: (step) => run(step, 'reading the list of blobs', (cluster, progress) => restoreImages(cluster, step, progress)),
    restoreMetadata: (step) => run(step, 'metadata', (cluster, progress) => restoreMetadata(cluster, step, progress)),
    waitHealthy: (step) => run(step, 'waiting for health', (cluster, progress) => waitHealthy(cluster, step, progress)),
    setReadOnly: (step) => run(step, 'read-only mode', (cluster) => setReadOnly(cluster, step)),
    holdDeletions: (step) => run(step, 'crons', (cluster, progress) => holdDeletions(cluster, progress)),
    updateVulnerabilityDatabase: (step) => run(step, 'vulnerability database', (cluster, progress) => updateVulnerabilityDatabase(cluster, step, progress)),
    confirmRestore: (step) => run(step, 'confirming', (cluster, progress) => confirmRestore(cluster, step, progress)),
    joinReplica: (step) => run(step, 'joining', (cluster, progress) => joinReplica(cluster, step, progress)),
    restoreCrons: (step) => run(step, 'crons', (cluster) => restoreCrons(cluster, step)),
    reportReturned: (step) => run(step, 'fenced hosts', (cluster) => reportReturned(cluster, step.decisions)),
  };
}
