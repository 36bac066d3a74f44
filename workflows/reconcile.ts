import { workflowInfo } from '@temporalio/workflow';
import { count } from '../domain/count';
import type { ThawResult } from '../activities/contract';
import { reconcileInput, type ReconcileInput, type ReconcileResult } from '../domain/contract';
import { operationKey } from '../domain/operation-key';
import { quick, round } from './activities';
import { parseInput } from './failures';
import { holdLock } from './lock';
import { Operation } from './operation';
import { reconcileLists } from './told';

/**
 * Puts back what terminated or forgotten operations had changed, as far as it lies before a point of no return, and says what lies behind one. The records
 * lie in vaults, on hosts and under stateDir, so an empty Temporal is enough. `endRestore` ends an unfinished restore that people have dealt with.
 */
export async function reconcile(input: ReconcileInput): Promise<ReconcileResult> {
  const { cluster, endRestore, startedBy } = parseInput(reconcileInput, input);
  const operation = new Operation('reconcile', cluster, startedBy);
  operation.expect([
    ...(endRestore === undefined ? [] : ([['end', `End the restore ${endRestore}`]] as [string, string][])),
    ['look', 'Look for what was left changed'],
    ['put-back', 'Put back what was there'],
    ['sweep', 'Remove containers that were left'],
  ]);
  await quick.readPolicy({ cluster });
  // Holding the lock proves that whoever left a record is dead.
  await holdLock(cluster);
  const step = { cluster, operation: operationKey(workflowInfo().workflowId) };
  const putBack: string[] = [];
  const left: string[] = [];
  const take = (result: ThawResult): void => {
    putBack.push(...result.putBack);
    left.push(...result.left);
  };
  if (endRestore !== undefined) {
    await operation.step('end', async () => take(await quick.endRestore.executeWithOptions({ summary: `People say that ${endRestore} is over` }, [{ ...step, restore: endRestore }])));
  }
  const { changes, notes } = await operation.step('look', () => quick.listChanges.executeWithOptions({ summary: 'Read what was recorded' }, [step]), (found) => ({ text: count(found.changes.length, 'record') }));
  left.push(...notes);
  await operation.step('put-back', async () => {
    // Containers first, as nothing else can be put back into a registry that is stopped; else oldest first: the newest operation recorded what older ones had left.
    for (const change of [...changes.filter(({ kind }) => kind === 'stop').reverse(), ...changes.filter(({ kind }) => kind !== 'stop')]) {
      take(await round.putBack.executeWithOptions({ summary: `Put back what ${change.operation} had changed (${change.kind})` }, [{ ...step, change }]));
    }
  }, () => ({ text: `${putBack.length} put back` }));
  await operation.step('sweep', async () => {
    take(await quick.sweepContainers.executeWithOptions({ summary: 'Containers of operations that are dead' }, [step]));
    operation.tell(...reconcileLists({ putBack, left }));
  });
  return { cluster, putBack, left };
}
