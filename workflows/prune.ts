import { workflowInfo } from '@temporalio/workflow';
import { pruneInput, type PruneInput, type PruneResult } from '../domain/prune-result';
import { long, quick } from './activities';
import { parseInput } from './failures';
import { holdLock } from './lock';
import { Operation } from './operation';
import { mib, operationKey } from './text';

/** Marks what the cluster's `keep` gives up, and removes what was marked longer ago than the hold. A dry run changes nothing and needs no lock. */
export async function prune(input: PruneInput): Promise<PruneResult> {
  const { cluster, dryRun = false, startedBy } = parseInput(pruneInput, input);
  const operation = new Operation('prune', cluster, startedBy);
  operation.expect([['prune', dryRun ? 'Explain what would go' : 'Remove and mark']]);
  await quick.readPolicy({ cluster });
  if (!dryRun) await holdLock(cluster);
  const step = { cluster, operation: operationKey(workflowInfo().workflowId), dryRun };
  return operation.step('prune', () => long.prune.executeWithOptions({ summary: 'Decide, remove what was marked, mark what is given up' }, [step]), prunedNote);
}

/** For the line of the step. */
export function prunedNote({ removed, marked }: PruneResult): { text: string } {
  return { text: `${removed.backups.length} backup(s), ${removed.segments} segment(s), ${mib(removed.bytes)} removed; ${marked.backups.length} backup(s), ${marked.segments} segment(s) marked` };
}
