/** Putting a cron back: one rule for backups, restores and `reconcile`. */
import type { Cron, Dtr } from '../adapters/dtr/dtr';
import { DrydockError } from '../domain/errors';
import { canonicalJson } from '../domain/plan';
import type { SavedCron } from '../domain/changes';
import type { ThawResult } from './contract';

/** What someone set meanwhile stands and is reported; what is there already is fine. Throws RegistryUnavailable when DTR does not show it as it was. */
export async function putBackCron(dtr: Dtr, saved: SavedCron, result: ThawResult, since: string): Promise<void> {
  const wanted: Cron = { ...saved, parameters: saved.parameters ?? null };
  const present = await dtr.cron(wanted.action);
  if (present && sameCron(present, wanted)) return;
  if (present) {
    result.left.push(`The cron ${wanted.action} is set to "${present.schedule}" and stays so; ${since} it was "${wanted.schedule}".`);
    return;
  }
  await dtr.putCron(wanted);
  const after = await dtr.cron(wanted.action);
  if (!after || !sameCron(after, wanted)) {
    throw new DrydockError('RegistryUnavailable', `DTR took the cron ${wanted.action} but does not show it as it was`, { remedy: `look at it, and set it by hand if need be: it was "${wanted.schedule}"` });
  }
  result.putBack.push(wanted.action);
}

/** Ids and next runs are DTR's own, and it fills in what was not set. */
export function sameCron(a: Cron, b: Cron): boolean {
  const essence = ({ action, schedule, retries, parameters, deadline }: Cron): string => canonicalJson({ action, schedule, retries, parameters: parameters ?? {}, deadline });
  return essence(a) === essence(b);
}
