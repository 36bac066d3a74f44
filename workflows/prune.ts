import { isCancellation, workflowInfo } from '@temporalio/workflow';
import { count } from '../domain/count';
import { backupCountOf, pruneInput, type PruneInput, type PruneResult } from '../domain/prune-result';
import { operationKey } from '../domain/operation-key';
import { few, long, quick } from './activities';
import { parseInput, sentenceOf } from './failures';
import { holdLock, holdVaultsLock } from './lock';
import { Operation } from './operation';
import { mib } from './text';
import { pruneLists } from './told';

/**
 * Marks what the cluster's `keep` gives up, and removes what was marked longer ago than the hold: in the cluster's vault, then in each copy by the
 * copy's own marks and clock. A dry run changes nothing and needs no lock.
 */
export async function prune(input: PruneInput): Promise<PruneResult> {
  const { cluster, dryRun = false, startedBy } = parseInput(pruneInput, input);
  const operation = new Operation('prune', cluster, startedBy);
  operation.expect([['prune', dryRun ? 'Explain what would go' : 'Remove and mark']]);
  const policy = await quick.readPolicy({ cluster });
  if (!dryRun) {
    await holdLock(cluster);
    if (policy.vault !== undefined) await holdVaultsLock(cluster);
  }
  const step = { cluster, operation: operationKey(workflowInfo().workflowId), dryRun };
  const result = await operation.step('prune', async () => {
    const pruned = await long.prune.executeWithOptions({ summary: 'Decide, remove what was marked, mark what is given up' }, [step]);
    operation.tell(...pruneLists(pruned));
    return pruned;
  }, prunedNote);
  const copies = await pruneCopies(operation, step, policy.copies ?? []);
  return copies.length === 0 ? result : { ...result, copies };
}

/** A copy that cannot be reached keeps what it has until the next run, which is a warning. */
export async function pruneCopies(operation: Operation, step: { cluster: string; operation: string; dryRun: boolean }, copies: readonly string[]): Promise<PruneResult[]> {
  const results: PruneResult[] = [];
  for (const vault of copies) {
    operation.expect([[`prune-${vault}`, `Retention in ${vault}`]]);
    const noteOf = (error: unknown): string => `Retention in the copy ${vault} did not end: ${sentenceOf(error)}`;
    try {
      results.push(await operation.step(`prune-${vault}`, async () => {
        try {
          const pruned = await few.prune.executeWithOptions({ summary: `The same in the copy ${vault}` }, [{ ...step, vault }]);
          operation.tell(...pruneLists(pruned, vault));
          return pruned;
        } catch (error) {
          // Within the step, whose end shows it: behind the last step nothing would.
          if (!isCancellation(error)) operation.warn(noteOf(error));
          throw error;
        }
      }, prunedNote));
    } catch (error) {
      if (isCancellation(error)) throw error;
      results.push({
        cluster: step.cluster, vault, dryRun: step.dryRun, decisions: [], counts: { kept: 0, givenUp: 0 }, removed: { backups: [], segments: 0, bytes: 0 }, marked: { backups: [], segments: 0, bytes: 0 }, lifted: 0, removableFrom: new Date().toISOString(), notes: [noteOf(error)],
      });
    }
  }
  return results;
}

/** For the line of the step. */
export function prunedNote({ dryRun, removed, marked }: PruneResult): { text: string } {
  const would = dryRun ? 'would be ' : '';
  return { text: `${count(backupCountOf(removed), 'backup')}, ${count(removed.segments, 'segment')}, ${mib(removed.bytes)} ${would}removed; ${count(backupCountOf(marked), 'backup')}, ${count(marked.segments, 'segment')} ${would}marked` };
}
