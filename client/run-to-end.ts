/** What `backup`, `restore`, `reconcile` and `watch` share: watch a run to its end, and say how to come back. */
import { EXIT, type BackupResult, type ReconcileResult, type RestoreResult } from '../domain/contract';
import { stopSignal } from '../worker/stop-signal';
import type { Console } from './console';
import { follow, type Snapshot } from './follow';
import type { OperationSummary, Started } from './operations';
import { createProgress, type Progress } from './progress';
import type { VerifyResult } from '../domain/verify';
import type { PruneResult } from '../domain/prune-result';
import type { CopyResult } from '../domain/copy';
import type { ForgetResult } from '../domain/forget';
import { backupReport, copyReport, forgetReport, pruneReport, reconcileReport, restoreReport, verifyReport } from './reports';
import type { Session } from './session';

export interface RunToEndOptions {
  json: boolean;
  /** Called after each look; may ask a person. */
  onSnapshot?: (snapshot: Snapshot, progress: Progress) => Promise<void>;
  /** What `--json` prints; default: the summary with the result's own fields on top. */
  printed?: (run: OperationSummary) => unknown;
}

/** Returns the exit code. Ctrl-C ends the watching only. */
export async function runToEnd(session: Session, workflowId: string, screen: Console, options: RunToEndOptions): Promise<number> {
  const progress = createProgress(screen);
  const { signal, release } = stopSignal(() => undefined);
  try {
    const run = await follow(session, workflowId, {
      signal,
      onNotice: (text) => progress.note(text),
      onSnapshot: async (snapshot) => {
        progress.update(snapshot);
        await options.onSnapshot?.(snapshot, progress);
      },
    });
    progress.end();
    if (!run) {
      screen.say(`The run goes on without you. Come back with \`drydock watch ${workflowId}\`, stop it with \`drydock cancel ${workflowId}\`.`);
      return EXIT.interrupted;
    }
    if (options.json) screen.json((options.printed ?? resultObject)(run));
    sayEnd(run, screen);
    return run.exitCode;
  } finally {
    progress.end();
    release();
  }
}

/** Prints where a new run is; then watches it, or with `detach` says how to come back. */
export async function afterStart(session: Session, started: Started, screen: Console, options: AfterStartOptions): Promise<number> {
  if (options.detach) {
    if (options.json) screen.json({ ...started, status: 'running' });
    else screen.out(started.workflowId);
    screen.say(`Follow it with \`drydock watch ${started.workflowId}\`${started.url === null ? '' : `, or at ${started.url}`}`);
    return EXIT.ok;
  }
  screen.say(`${started.workflowId}${started.url === null ? '' : `, also at ${started.url}`}`);
  return runToEnd(session, started.workflowId, screen, { json: options.json ?? false, onSnapshot: options.onSnapshot });
}

export interface AfterStartOptions {
  json?: boolean;
  detach?: boolean;
  onSnapshot?: RunToEndOptions['onSnapshot'];
}

/** `{"workflowId","status",...result}`; a run without a result gives its summary, where `error` says why. */
export function resultObject(run: OperationSummary): unknown {
  if (typeof run.result !== 'object' || run.result === null) return run;
  return { workflowId: run.workflowId, runId: run.runId, url: run.url, ...run.result };
}

function sayEnd(run: OperationSummary, screen: Console): void {
  if (run.status === 'completed') {
    for (const line of reportOf(run)) screen.out(line);
    return;
  }
  for (const line of `${screen.colors.red(`${run.workflowId} ${run.status}`)}: ${run.error ?? 'no reason is known'}`.split('\n')) screen.say(line);
  if (run.remedy) screen.say(`  ${run.remedy}`);
  screen.say(`  details: drydock show ${run.workflowId}${run.url === null ? '' : `, or ${run.url}`}`);
}

export function reportOf(run: OperationSummary): string[] {
  switch (run.type) {
    case 'backup':
      return backupReport(run.result as BackupResult);
    case 'restore':
      return restoreReport(run.result as RestoreResult);
    case 'prune':
      return pruneReport(run.result as PruneResult);
    case 'copy':
      return copyReport(run.result as CopyResult);
    case 'forget':
      return forgetReport(run.result as ForgetResult);
    case 'verify':
      return verifyReport(run.result as VerifyResult);
    case 'reconcile':
      return reconcileReport(run.result as ReconcileResult);
    default:
      return [`${run.workflowId} is completed.`];
  }
}
