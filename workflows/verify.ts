import { workflowInfo } from '@temporalio/workflow';
import { count } from '../domain/count';
import { verifyInput, type VerifyInput } from '../domain/verify-input';
import type { VerifyResult } from '../domain/verify';
import { operationKey } from '../domain/operation-key';
import { long, quick } from './activities';
import { parseInput } from './failures';
import { Operation } from './operation';
import { verifyLists } from './told';

/** Verifies one backup and keeps the verdict in the vault. It changes nothing else, so it holds no lock and may run beside a backup. */
export async function verify(input: VerifyInput): Promise<VerifyResult> {
  const { cluster, vault, backup, level, part, withoutKeys = false, startedBy } = parseInput(verifyInput, input);
  const operation = new Operation('verify', cluster, startedBy);
  operation.expect([['verify', 'Verify']]);
  if (backup !== 'latest') operation.backupId = backup;
  await quick.readPolicy({ cluster });
  const step = { cluster, operation: operationKey(workflowInfo().workflowId), ...(vault === undefined ? {} : { vault }) };
  const result = await operation.step('verify', async () => {
    const verdict = await long.verifyBackup.executeWithOptions({ summary: `Verify ${backup} to ${level}` }, [{ ...step, backup, level, part, withoutKeys, by: startedBy ?? 'unknown' }]);
    operation.tell(...verifyLists(verdict));
    return verdict;
  }, verdictNote);
  operation.backupId = result.backupId;
  return result;
}

/** For the line of the step. */
export function verdictNote(result: VerifyResult): { text: string; bytes: number } {
  const what = result.result === 'good' ? 'good' : count(result.findingCount, 'finding');
  return { text: `${result.level}: ${what}`, bytes: result.checked.bytes };
}
