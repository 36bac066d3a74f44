import { workflowInfo } from '@temporalio/workflow';
import { reconcileInput, type ReconcileInput, type ReconcileResult } from '../domain/contract';
import { operationKey } from '../domain/operation-key';
import { quick, round } from './activities';
import { parseInput } from './failures';
import { holdLock } from './lock';
import { Operation } from './operation';

/** Puts back what a terminated or forgotten operation had changed. The records lie in the vault, so an empty Temporal is enough. */
export async function reconcile(input: ReconcileInput): Promise<ReconcileResult> {
  const { cluster, startedBy } = parseInput(reconcileInput, input);
  const operation = new Operation('reconcile', cluster, startedBy);
  operation.expect([
    ['look', 'Look for leftovers in the vault'],
    ['thaw', 'Put back what was there'],
  ]);
  await quick.readPolicy({ cluster });
  // Holding the lock proves that whoever left a record is dead.
  await holdLock(cluster);
  const step = { cluster, operation: operationKey(workflowInfo().workflowId) };
  const records = await operation.step('look', () => quick.listFreezeRecords(step), (found) => ({ text: `${found.length} record(s)` }));
  const putBack: string[] = [];
  const left: string[] = [];
  await operation.step('thaw', async () => {
    // Oldest first: the newest operation recorded what the older ones had left.
    for (const record of records.sort((a, b) => (a.recordedAt < b.recordedAt ? -1 : 1))) {
      const result = await round.thaw.executeWithOptions({ summary: `Put back what ${record.operation} had changed` }, [{ ...step, record }]);
      putBack.push(...result.putBack);
      left.push(...result.left);
    }
  }, () => ({ text: `${putBack.length} put back` }));
  return { cluster, putBack, left };
}
