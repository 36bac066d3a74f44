/** What the backup froze, and what stays closed until the restore is confirmed. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cron } from '../../adapters/dtr/dtr';
import { DrydockError } from '../../domain/errors';
import { canonicalJson, type RestoreDecisions } from '../../domain/plan';
import type { Cluster } from '../cluster';
import type { ThawResult } from '../contract';
import { readDecided } from './backup';

const LOOKS = 20;
const LOOK_MS = 1_500;

/** Sets it and reads it back. A version without this setting has no such mode: nothing to do there. */
export async function setReadOnly(cluster: Cluster, { readOnly }: { readOnly: boolean }): Promise<void> {
  const dtr = await cluster.dtr();
  if (!('readOnlyRegistry' in (await dtr.settings()))) return;
  await dtr.updateSettings({ readOnlyRegistry: readOnly });
  for (let look = 0; look < LOOKS; look++) {
    if ((await dtr.settings()).readOnlyRegistry === readOnly) return;
    await sleep(LOOK_MS, undefined, cluster.signal === undefined ? {} : { signal: cluster.signal });
  }
  throw new DrydockError('RegistryUnavailable', `the registry does not take the setting readOnlyRegistry: ${readOnly}`, { remedy: 'look at the settings page of DTR' });
}

/** The crons of the backup, as they were before its freeze. One that exists already stands, and is reported when it differs. */
export async function restoreCrons(cluster: Cluster, { decisions }: { decisions: RestoreDecisions }): Promise<ThawResult> {
  const manifest = await readDecided(cluster, decisions);
  const dtr = await cluster.dtr();
  const result: ThawResult = { putBack: [], left: [] };
  for (const saved of manifest.dtr.crons) {
    const wanted: Cron = { ...saved, parameters: saved.parameters ?? null };
    const present = await dtr.cron(wanted.action);
    if (present === null) {
      await dtr.putCron(wanted);
      await verify(await dtr.cron(wanted.action), wanted);
      result.putBack.push(wanted.action);
    } else if (meaning(present) !== meaning(wanted)) {
      result.left.push(`the cron ${wanted.action} is set to "${present.schedule}" (the backup has "${wanted.schedule}"): it was left as it is`);
    }
  }
  return result;
}

async function verify(found: Cron | null, wanted: Cron): Promise<void> {
  if (found !== null && meaning(found) === meaning(wanted)) return;
  throw new DrydockError('RegistryUnavailable', `the cron ${wanted.action} was put back, but DTR does not show it as it was`, { remedy: `set it by hand: "${wanted.schedule}"` });
}

/** What makes two crons the same; ids and next runs are DTR's own. */
function meaning({ action, schedule, retries, parameters, deadline }: Cron): string {
  const empty = parameters === null || parameters === undefined || (typeof parameters === 'object' && Object.keys(parameters).length === 0);
  return canonicalJson({ action, schedule, retries, deadline, parameters: empty ? null : parameters });
}
