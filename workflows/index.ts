/** What Temporal may start: the operations by their names, and the lock that they hold. */
import { backup as backupRun } from './backup';
import { copy as copyRun } from './copy';
import { inOwnWords } from './failures';
import { forget as forgetRun } from './forget';
import { prune as pruneRun } from './prune';
import { reconcile as reconcileRun } from './reconcile';
import { restore as restoreRun } from './restore';
import { verify as verifyRun } from './verify';

export const backup = inOwnWords(backupRun);
export const restore = inOwnWords(restoreRun);
export const verify = inOwnWords(verifyRun);
export const prune = inOwnWords(pruneRun);
export const copy = inOwnWords(copyRun);
export const forget = inOwnWords(forgetRun);
export const reconcile = inOwnWords(reconcileRun);
export { lock } from './lock';
