import { workflowInfo } from '@temporalio/workflow';
import { count } from '../domain/count';
import { copyInput, type CopiedTo, type CopyInput, type CopyResult } from '../domain/copy';
import { operationKey } from '../domain/operation-key';
import { long, quick } from './activities';
import { fail, parseInput } from './failures';
import { holdVaultsLock } from './lock';
import { Operation } from './operation';
import { mib } from './text';
import { copyLists } from './told';

/**
 * Fills the copies of a cluster from its vault, or one vault from another. Reads sealed things only and writes what is not there yet, so that
 * backups go on beside it; what removes from vaults is kept out by a lock of its own.
 */
export async function copy(input: CopyInput): Promise<CopyResult> {
  const { cluster, from: asked, to, backup, startedBy } = parseInput(copyInput, input);
  const operation = new Operation('copy', cluster, startedBy);
  if (backup !== undefined) operation.backupId = backup;
  const policy = await quick.readPolicy({ cluster });
  const own = policy.vault ?? '';
  const from = asked ?? own;
  const targets = to !== undefined ? [to] : from === own ? (policy.copies ?? []) : [own];
  if (targets.length === 0) throw fail('InvalidInput', `The cluster ${cluster} has no copies.`, 'name vaults under clusters.<name>.copies in drydock.yaml, or say which one with --to');
  if (targets.includes(from)) throw fail('InvalidInput', `${from} cannot be copied to itself.`, 'name another vault with --to or --from');
  for (const vault of targets) operation.expect([[`copy-${vault}`, `Copy to ${vault}`]]);
  await holdVaultsLock(cluster);
  const step = { cluster, operation: operationKey(workflowInfo().workflowId), from, by: startedBy ?? 'unknown', ...(backup === undefined ? {} : { backup }) };
  const copies: CopiedTo[] = [];
  for (const vault of targets) {
    copies.push(await operation.step(`copy-${vault}`, async () => {
      const copied = await long.copyBackups.executeWithOptions({ summary: `Copy from ${from} to ${vault}` }, [{ ...step, to: vault }]);
      operation.tell(...copyLists(copied));
      return copied;
    }, copiedNote));
  }
  return { cluster, from, copies };
}

/** For the line of the step. */
export function copiedNote({ copied, already, bytes, findingCount }: CopiedTo): { text: string; bytes: number } {
  return { text: `${copied.length} copied, ${already} there before, ${mib(bytes)} moved${findingCount > 0 ? `; ${count(findingCount, 'finding')}` : ''}`, bytes };
}
