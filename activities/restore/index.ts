/** The steps of a restore, bound to this worker's configuration. */
import { Context } from '@temporalio/activity';
import { withCluster, type ActivityDeps, type Cluster } from '../cluster';
import type { RestoreActivities, Step } from '../contract';
import { refuseWithoutLock } from '../lock-guard';
import { confirmRestore } from './confirm';
import { destroyReplica } from './destroy';
import { diagnose } from './diagnose';
import { waitHealthy } from './health';
import { restoreImages } from './images';
import { joinReplica, restoreMetadata } from './metadata';
import { planRestore } from './plan';
import { Progress } from './progress';
import { holdDeletions, recordHold, restoreCrons, setReadOnly } from './settings';
import { fenceNode, refuseReturned, reportReturned } from './fence';
import { startReplica, stopReplica } from './stop';
import { atStage, hasPassedNoReturn, markFinished, markUnfinished, passNoReturn, unmarkUnfinished } from './unfinished';
import { updateVulnerabilityDatabase } from './vulnerabilities';

export function restoreActivities(deps: ActivityDeps): RestoreActivities {
  /** One step: its own connections, its progress, and the cancellation as the signal of every call. */
  function run<T>(step: Step, phase: string, work: (cluster: Cluster, progress: Progress) => Promise<T>): Promise<T> {
    const progress = new Progress(phase);
    return withCluster(deps, step.cluster, Context.current().cancellationSignal, (cluster) => work(cluster, progress), step.vault);
  }

  /** The same for a step that changes something outside. */
  async function change<T>(step: Step, phase: string, work: (cluster: Cluster, progress: Progress) => Promise<T>): Promise<T> {
    await refuseWithoutLock(deps, step.cluster);
    return run(step, phase, work);
  }

  return {
    diagnose: (step) => run(step, 'looking at the cluster', (cluster) => diagnose(cluster, step)),
    planRestore: (step) => run(step, 'planning', (cluster, progress) => planRestore(cluster, step, progress)),
    stopReplica: (step) => change(step, 'stopping containers', (cluster) => stopReplica(cluster, step)),
    startReplica: (step) => run(step, 'starting containers', (cluster) => startReplica(cluster, step)),
    markUnfinished: (step) => change(step, 'marking', (cluster) => markUnfinished(cluster, step)),
    unmarkUnfinished: (step) => run(step, 'marking', (cluster) => unmarkUnfinished(cluster, step)),
    passNoReturn: (step) => change(step, 'marking', (cluster) => passNoReturn(cluster, step)),
    hasPassedNoReturn: (step) => run(step, 'looking at the record', (cluster) => hasPassedNoReturn(cluster, step)),
    markFinished: (step) => change(step, 'marking', (cluster) => markFinished(cluster, step)),
    refuseReturned: (step) => run(step, 'fenced hosts', (cluster) => refuseReturned(cluster, step.decisions)),
    fenceNode: (step) => change(step, 'fencing', (cluster) => fenceNode(cluster, step)),
    destroyReplica: (step) => change(step, 'destroying', (cluster) => destroyReplica(cluster, step)),
    restoreImages: (step) => change(step, 'reading the list of blobs', async (cluster, progress) => {
      await atStage(cluster, step, 'images');
      return restoreImages(cluster, step, progress);
    }),
    restoreMetadata: (step) => change(step, 'metadata', async (cluster, progress) => {
      await atStage(cluster, step, 'metadata');
      return restoreMetadata(cluster, step, progress);
    }),
    waitHealthy: (step) => run(step, 'waiting for health', (cluster, progress) => waitHealthy(cluster, step, progress)),
    setReadOnly: (step) => change(step, 'read-only mode', (cluster) => setReadOnly(cluster, step)),
    recordHold: (step) => change(step, 'crons', (cluster) => recordHold(cluster, step)),
    holdDeletions: (step) => change(step, 'crons', (cluster) => holdDeletions(cluster, step)),
    updateVulnerabilityDatabase: (step) => change(step, 'vulnerability database', (cluster, progress) => updateVulnerabilityDatabase(cluster, step, progress)),
    confirmRestore: (step) => run(step, 'confirming', async (cluster, progress) => {
      await atStage(cluster, step, 'confirm');
      return confirmRestore(cluster, step, progress);
    }),
    joinReplica: (step) => change(step, 'joining', async (cluster, progress) => {
      await atStage(cluster, step, 'join');
      return joinReplica(cluster, step, progress);
    }),
    restoreCrons: (step) => change(step, 'crons', async (cluster) => {
      await atStage(cluster, step, 'release');
      return restoreCrons(cluster, step);
    }),
    reportReturned: (step) => run(step, 'fenced hosts', (cluster) => reportReturned(cluster, step.decisions)),
  };
}
