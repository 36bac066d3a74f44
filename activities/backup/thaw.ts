import type { Dtr } from '../../adapters/dtr/dtr';
import { DrydockError } from '../../domain/errors';
import { changesOf, ownChange } from '../changes';
import type { Cluster } from '../cluster';
import type { FreezeRecord, ThawResult } from '../contract';
import { putBackCron } from '../crons';

/**
 * Step 7: puts back exactly what was there; what someone set meanwhile stands. Safe to run twice. The record is ended last, so that whatever dies in between
 * can be repeated. Throws RegistryUnavailable while DTR is down.
 */
export async function thaw(cluster: Cluster, record: FreezeRecord): Promise<ThawResult> {
  const changes = changesOf(cluster);
  const found = await changes.read();
  const standing = ownChange(found, 'freeze', record.id);
  const result: ThawResult = { putBack: [], left: [] };
  // Known to have begun nothing only when no place can hold a later word on it.
  const isUntouched = standing?.state === 'planned' && found.unread.length === 0;
  if (!isUntouched) {
    const dtr = await cluster.dtr();
    for (const cron of record.crons) await putBackCron(dtr, cron, result, 'before the freeze');
    if (record.readOnlyBefore !== null) await putBackReadOnly(dtr, record.readOnlyBefore, result);
  }
  result.left.push(...(await changes.end(standing ?? record)));
  return result;
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
