import { isCancellation, workflowInfo } from '@temporalio/workflow';
import { forgetInput, type ForgetInput, type ForgetPlan, type ForgetResult, type ForgottenIn } from '../domain/forget';
import { operationKey } from '../domain/operation-key';
import { few, quick } from './activities';
import { fail, noSuch, parseInput, sentenceOf } from './failures';
import { holdVaultsLock } from './lock';
import { Operation } from './operation';

/** Gives one backup up, or takes that back while the hold lasts. People decide when it is the last verified or the newest drilled one. */
export async function forget(input: ForgetInput): Promise<ForgetResult> {
  const { cluster, backup, vault, undo = false, startedBy = 'unknown', reason } = parseInput(forgetInput, input);
  const operation = new Operation('forget', cluster, startedBy);
  operation.backupId = backup;
  operation.expect([...(undo ? [] : ([['plan', 'What is lost, what remains']] as [string, string][])), ['mark', undo ? 'Take it back' : 'Give it up']]);
  const policy = await quick.readPolicy({ cluster });
  const step = { cluster, operation: operationKey(workflowInfo().workflowId), backup };
  const vaults = vault !== undefined ? [vault] : [policy.vault ?? '', ...(policy.copies ?? [])];
  if (undo) {
    // A prune that has begun to remove it must not be told that it stays.
    await holdVaultsLock(cluster);
    const done = await inEach(operation, vaults, (name) => few.rememberBackup.executeWithOptions({ summary: `Lift the mark in ${name}` }, [{ ...step, vault: name }]));
    if (!done.some(({ state }) => state === 'lifted')) throw noSuch(`The backup ${backup} is not forgotten in any vault that was looked at, or is gone already.`, 'see `drydock list`');
    return { cluster, backupId: backup, undo, approvedBy: null, vaults: done, notes: operation.warnings };
  }
  const planIn = { ...step, vault: vaults[0]!, everywhere: vault === undefined };
  let plan = await operation.step('plan', () => quick.planForget.executeWithOptions({ summary: 'What is lost, what remains?' }, [planIn]), planNote);
  let approvedBy: string | null = null;
  while (plan.gate !== null && approvedBy === null) {
    const question = `Forget backup ${backup} of ${cluster}? Here people decide because ${plan.gate}.`;
    const vote = await operation.waitAtGate({ name: 'forget', question, details: plan.details, planDigest: plan.digest, approvers: policy.approvers });
    if (vote.decision === 'reject') throw fail('Rejected', `${vote.by} rejected the gate "forget": ${vote.reason ?? 'no reason given'}.`, 'nothing was changed');
    const again = await operation.step('plan', () => quick.planForget.executeWithOptions({ summary: 'Is it still so?' }, [planIn]), planNote);
    if (again.digest === plan.digest) approvedBy = vote.by;
    else operation.warn('What remains changed while the run waited; it was put to people again.');
    plan = again;
  }
  const why = `Given up: ${startedBy} asked to forget it${reason === undefined ? '' : ` (${reason})`}.`;
  const done = await inEach(operation, vaults, (name) => few.forgetBackup.executeWithOptions({ summary: `Mark it in ${name}` }, [{ ...step, vault: name, by: startedBy, why, approved: approvedBy !== null }]));
  return { cluster, backupId: backup, undo, approvedBy, vaults: done, notes: operation.warnings };
}

/** The first vault decides; a copy that cannot be reached is a note. */
async function inEach(operation: Operation, vaults: readonly string[], act: (vault: string) => Promise<ForgottenIn>): Promise<ForgottenIn[]> {
  return operation.step('mark', async () => {
    const done: ForgottenIn[] = [];
    for (const vault of vaults) {
      try {
        const one = await act(vault);
        if (one.note !== undefined) operation.warn(one.note);
        done.push(one);
      } catch (error) {
        if (isCancellation(error) || done.length === 0) throw error;
        operation.warn(`Nothing was changed in ${vault}: ${sentenceOf(error)} Do it there later with --vault ${vault}.`);
        done.push({ vault, state: 'failed', removableFrom: null });
      }
    }
    return done;
  }, (done) => ({ text: done.map(({ vault, state }) => `${vault}: ${state}`).join(', ') }));
}

function planNote({ gate }: ForgetPlan): { text: string } {
  return { text: gate ?? 'no gate is needed' };
}
