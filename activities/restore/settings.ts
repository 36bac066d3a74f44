/** What the backup froze, and what stays closed until the restore is confirmed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { activityInfo } from '@temporalio/activity';
import { savedCronSchema, type ChangeOf } from '../../domain/changes';
import { isDeletion } from '../../domain/deletions';
import { DrydockError } from '../../domain/errors';
import type { RestoreDecisions } from '../../domain/plan';
import { changeId, changesOf, newChange, ownChange } from '../changes';
import type { Cluster } from '../cluster';
import type { SavedCron, ThawResult } from '../contract';
import { putBackCron } from '../crons';

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

/**
 * Records read-only mode and the crons that delete, before either is changed: one that somebody set during the backup's freeze comes back with the metadata,
 * and an installation brings its own. An attempt that comes later goes by the record.
 */
export async function recordHold(cluster: Cluster, { operation, decisions }: { operation: string; decisions: RestoreDecisions }): Promise<{ held: SavedCron[] }> {
  const changes = changesOf(cluster, decisions.targets);
  const before = ownChange(await changes.read({ hosts: activityInfo().attempt > 1 }), 'hold', changeId(cluster, 'hold', { operation }));
  if (before) return { held: before.crons };
  const dtr = await cluster.dtr();
  const held = (await dtr.crons()).filter(({ action }) => isDeletion(action)).map((cron) => savedCronSchema.parse(cron));
  const settings = await dtr.settings();
  const readOnlyBefore = 'readOnlyRegistry' in settings ? settings.readOnlyRegistry === true : null;
  const record: ChangeOf<'hold'> = { ...(await newChange(cluster, 'hold', { operation, backupId: decisions.backupId })), state: 'begun', crons: held, readOnlyBefore };
  await changes.write(record, { hosts: [decisions.first.node], onWorker: true });
  return { held };
}

/** Disables just the recorded crons. */
export async function holdDeletions(cluster: Cluster, { held }: { held: SavedCron[] }): Promise<void> {
  const dtr = await cluster.dtr();
  for (const { action } of held) await dtr.deleteCron(action);
}

/** The crons of the backup, as they were before its freeze, then those held that it does not know. One that exists already stands, and is reported when it differs. */
export async function restoreCrons(cluster: Cluster, { decisions, held }: { decisions: RestoreDecisions; held: SavedCron[] }): Promise<ThawResult> {
  const dtr = await cluster.dtr();
  const result: ThawResult = { putBack: [], left: [] };
  const more = held.filter(({ action }) => !decisions.crons.some((cron) => cron.action === action));
  for (const wanted of decisions.crons) await putBackCron(dtr, wanted, result, 'in the backup');
  for (const wanted of more) await putBackCron(dtr, wanted, result, 'before it was held');
  return result;
}
