/** People say that the registry was brought back in another way: an unfinished restore is over. */
import { cronsInWords, type Change } from '../../domain/changes';
import { DrydockError, noSuch } from '../../domain/errors';
import type { Host } from '../../adapters/host/host';
import { clearStaging } from '../../adapters/images/restore';
import { changesOf } from '../changes';
import type { Cluster } from '../cluster';
import type { ThawResult } from '../contract';
import { recordsOfRestores } from '../restore/unfinished';
import { checkMount, inspectVolume, isMount } from '../restore/volume';

/**
 * Ends all records of the restore that is named by its operation (as `reconcile` and `status` print it) or its workflow id. The registry itself is not
 * touched: what the restore keeps closed is said, since only people know what the registry is now. Throws NotFound.
 */
export async function endRestore(cluster: Cluster, restore: string): Promise<ThawResult> {
  const changes = changesOf(cluster);
  const found = await changes.read({ hosts: true });
  const records = recordsOfRestores(found.changes);
  const its = records.filter(({ operation, workflowId }) => operation === restore || workflowId === restore);
  if (its.length === 0) {
    const known = [...new Set(records.map(({ operation }) => operation))];
    throw noSuch(`no unfinished restore of ${cluster.name} is recorded as ${restore}`, { remedy: known.length === 0 ? 'there is none at all' : `recorded are: ${known.join(', ')}` });
  }
  const result: ThawResult = { putBack: [], left: [] };
  for (const change of its) {
    result.left.push(...(await whatStays(cluster, change)), ...(await changes.end(change)));
    if (change.kind === 'restore') result.putBack.push(`the record of the unfinished restore ${change.operation} was removed`);
  }
  await changes.tidy({ hosts: true });
  return result;
}

async function whatStays(cluster: Cluster, change: Change): Promise<string[]> {
  if (change.kind === 'stop') return [`Containers of replica ${change.replica.id} on ${change.replica.node} had been stopped: ${change.containers.join(', ')}.`];
  if (change.kind === 'restore') return clearVolume(cluster, change);
  if (change.kind !== 'hold') return [];
  const settings = await (await cluster.dtr()).settings().catch((error: unknown): Record<string, unknown> => {
    if (error instanceof DrydockError) return {};
    throw error;
  });
  const closed = settings.readOnlyRegistry === true && change.readOnlyBefore === false ? ['The registry is read-only: open it in its settings when it is right.'] : [];
  const crons = change.crons.length === 0 ? [] : [`The restore had disabled ${cronsInWords(change.crons)}: set them again when what they delete can go.`];
  return [...closed, ...crons];
}

/** Files that were being written aside, where they can be reached. */
async function clearVolume(cluster: Cluster, { first, targets, volume }: Extract<Change, { kind: 'restore' }>): Promise<string[]> {
  if (volume === null || cluster.config.ssh === undefined) return [];
  try {
    const target = targets.find(({ node }) => node === first.node);
    const host = await cluster.host(first.node, target && { host: target.host, port: target.port, hostKey: target.hostKey });
    const root = await rootOf(host, volume);
    if (root !== null) await clearStaging(host, root, cluster.signal);
    return [];
  } catch (error) {
    if (!(error instanceof DrydockError)) throw error;
    return [`Unfinished files of the restore may lie in the volume ${volume} on ${first.node}, as .drydock-restore-*: ${error.message}.`];
  }
}

/** Where the content lies; null where there is no such volume. Throws Conflict where it is a mount that is not there now: an empty folder would pass for a clean volume. */
async function rootOf(host: Host, name: string): Promise<string | null> {
  if (name.startsWith('/')) return name;
  const volume = await inspectVolume(host, name);
  if (volume === null) return null;
  if (isMount(volume)) await checkMount({ host, volume, root: volume.mountpoint });
  return volume.mountpoint;
}
