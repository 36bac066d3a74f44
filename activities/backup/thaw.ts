import type { Cron, Dtr } from '../../adapters/dtr/dtr';
import { DrydockError } from '../../domain/errors';
import { canonicalJson, type SavedCron } from '../../domain/plan';
import type { Cluster } from '../cluster';
import type { FreezeRecord, ThawResult } from '../contract';
import { removeRecord } from './records';

/**
 * Step 7: puts back exactly what was there; what someone set meanwhile stands. Safe to run twice. The record is removed last, so that
 * whatever dies in between can be repeated. Throws RegistryUnavailable while DTR is down.
 */
export async function thaw(cluster: Cluster, record: FreezeRecord): Promise<ThawResult> {
  const dtr = await cluster.dtr();
  const result: ThawResult = { putBack: [], left: [] };
  for (const cron of record.crons) await putBackCron(dtr, cron, result);
  if (record.readOnlyBefore !== null) await putBackReadOnly(dtr, record.readOnlyBefore, result);
  await removeRecord(cluster, record.operation);
  return result;
}

async function putBackCron(dtr: Dtr, cron: SavedCron, result: ThawResult): Promise<void> {
  const present = await dtr.cron(cron.action);
  if (present && sameCron(present, cron)) return;
  if (present) {
    result.left.push(`The cron ${cron.action} was set to "${present.schedule}" meanwhile and stays so; before the freeze it was "${cron.schedule}".`);
    return;
  }
  await dtr.putCron(cron);
  const after = await dtr.cron(cron.action);
  if (!after || !sameCron(after, cron)) {
    throw new DrydockError('RegistryUnavailable', `DTR took the cron ${cron.action} but does not show it as it was before`, { remedy: `compare it with operations/ in the vault: it was "${cron.schedule}"` });
  }
  result.putBack.push(cron.action);
}

/** What DTR gives itself, and what it fills in where nothing was set. */
function sameCron(a: Cron, b: Cron): boolean {
  const essence = ({ action, schedule, retries, parameters, deadline }: Cron): string => canonicalJson({ action, schedule, retries, parameters: parameters ?? {}, deadline });
  return essence(a) === essence(b);
}

async function putBackReadOnly(dtr: Dtr, before: boolean, result: ThawResult): Promise<void> {
  const now = (await dtr.settings()).readOnlyRegistry === true;
  if (now === before) return;
  if (before) {
    result.left.push('The registry was read-only before the freeze; someone made it writable meanwhile, and it stays so.');
    return;
  }
  await dtr.updateSettings({ readOnlyRegistry: false });
  if ((await dtr.settings()).readOnlyRegistry === true) {
    throw new DrydockError('RegistryUnavailable', 'DTR stays read-only although it was told to be writable', { remedy: 'switch read-only mode off in its settings' });
  }
  result.putBack.push('read-only mode off');
}
