import { backupActivities } from './backup';
import type { ActivityDeps } from './cluster';
import type { Activities } from './contract';
import { copyActivities } from './copy';
import { classified } from './failures';
import { policyActivities } from './policy';
import { reconcileActivities } from './reconcile';
import { restoreActivities } from './restore';
import { retentionActivities } from './retention';
import { verifyActivities } from './verify';

/** All activities, bound to this worker's configuration. */
export function createActivities(deps: ActivityDeps): Activities {
  return classified({ ...backupActivities(deps), ...restoreActivities(deps), ...policyActivities(deps), ...verifyActivities(deps), ...retentionActivities(deps), ...copyActivities(deps), ...reconcileActivities(deps) });
}
