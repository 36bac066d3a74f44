import { CancellationScope, isCancellation, workflowInfo } from '@temporalio/workflow';
import type { Activities, SavedCron } from '../activities/contract';
import { restoreInput, type RestoreInput, type RestoreResult } from '../domain/contract';
import type { RestorePlan } from '../domain/plan';
import { planMarkdown } from '../domain/restore-plan';
import { long, quick } from './activities';
import { fail, parseInput, withLeftovers } from './failures';
import { holdLock } from './lock';
import { Operation } from './operation';
import { mib, operationKey } from './text';
import { Undo } from './undo';

type Policy = Awaited<ReturnType<Activities['readPolicy']>>;
type Request = ReturnType<typeof parse>;
interface Step {
  cluster: string;
  operation: string;
  /** The vault that is read; absent: the cluster's own. */
  vault?: string;
}

const parse = (input: unknown) => parseInput(restoreInput, input);

/** Restores one cluster from a backup: the four stages of the vendor's page, made safe, with people deciding at gates. */
export async function restore(input: RestoreInput): Promise<RestoreResult> {
  const request = parse(input);
  const operation = new Operation('restore', request.cluster, request.startedBy);
  const step: Step = { cluster: request.cluster, operation: operationKey(workflowInfo().workflowId), ...(request.vault === undefined ? {} : { vault: request.vault }) };
  operation.expect([
    ['plan', 'Diagnose and plan'],
    ['stop', 'Stop'],
    ['destroy', 'Fence and destroy'],
    ['images', 'Images'],
    ['metadata', 'Metadata'],
    ['vulnerabilities', 'Vulnerability database'],
    ['confirm', 'Confirm'],
    ['join', 'Join replicas'],
    ['release', 'Release'],
  ]);
  const policy = await quick.readPolicy({ cluster: request.cluster });
  await holdLock(request.cluster);

  // 0. Is restore even right? What will be destroyed, what replaces it, does the backup open? Nothing changes before people agree.
  const plan = await agreedPlan(operation, step, request, policy);
  const { decisions } = plan;
  operation.backupId = decisions.backupId;
  const undo = new Undo(operation);
  try {
    // 1. Stop, which can be taken back; then the point of no return, by its own gate.
    await operation.step('stop', async () => {
      for (const { id, node } of decisions.stops) {
        const containers: string[] = [];
        undo.add(`start the containers of replica ${id} on ${node} again`, () => long.startReplica({ ...step, id, node, containers }));
        containers.push(...(await quick.stopReplica.executeWithOptions({ summary: `Stop replica ${id} on ${node}` }, [{ ...step, id, node }])).stopped);
      }
    }, () => ({ text: `${decisions.stops.length} replica(s)` }));
    await passGate(operation, policy, plan, 'destroy', destroyQuestion(plan));
    // Days may have passed at the gate: what people said to be off must still be off.
    if (decisions.fences.length > 0) await quick.refuseReturned.executeWithOptions({ summary: 'Are the hosts off that were said to be?' }, [{ ...step, decisions }]);
  } catch (error) {
    throw withLeftovers(error, await undo.run());
  }
  undo.forget();

  await operation.step('destroy', async () => {
    await quick.markUnfinished.executeWithOptions({ summary: 'Mark the point of no return in the vault' }, [{ ...step, decisions }]);
    for (const node of decisions.fences) await quick.fenceNode.executeWithOptions({ summary: `Take ${node} out of the Swarm` }, [{ ...step, node }]);
    for (const { id, node } of decisions.destroys) await long.destroyReplica.executeWithOptions({ summary: `Destroy replica ${id} on ${node}` }, [{ ...step, decisions, id, node }]);
  }, () => ({ text: `${decisions.destroys.length} replica(s), ${decisions.fences.length} host(s) fenced` }));

  // 2. Images, by digest: what is there already and right is kept.
  const images = await operation.step('images', () => long.restoreImages.executeWithOptions({ summary: 'Write missing images, hash them where they lie' }, [{ ...step, decisions }]), ({ kept, written }) => ({
    text: `${written.blobs} blobs written (${mib(written.bytes)}), ${kept.blobs} kept`, bytes: written.bytes,
  }));

  // 3. Metadata, then health; read-only until it is confirmed, and nothing is deleted until people say so.
  const held = await operation.step('metadata', async () => {
    await long.restoreMetadata.executeWithOptions({ summary: `Run the vendor's restore on ${decisions.first.node}` }, [{ ...step, decisions }]);
    await long.waitHealthy.executeWithOptions({ summary: `Wait for replica ${decisions.first.id}` }, [{ ...step, decisions, replica: decisions.first }]);
    await long.setReadOnly.executeWithOptions({ summary: 'Registry read-only until confirmed' }, [{ ...step, readOnly: true }]);
    return (await long.holdDeletions.executeWithOptions({ summary: 'No cron deletes before the release' }, [step])).held;
  });

  // 4. Vulnerability database: a failure is a warning, it holds nothing.
  if (decisions.scanning === 'off') {
    operation.skip('vulnerabilities', 'scanning is off');
  } else {
    const scan = await operation.step('vulnerabilities', () => long.updateVulnerabilityDatabase.executeWithOptions({ summary: 'Fetch the vulnerability database again' }, [{ ...step, decisions }]), ({ note }) => ({ text: note }));
    operation.warn(...scan.warnings);
  }

  // 5. Confirm through the external URL, as a user would see it.
  const confirmed = await operation.step('confirm', () => long.confirmRestore.executeWithOptions({ summary: 'Pull a sample by digest, compare with the backup' }, [{ ...step, decisions }]), (c) => ({
    text: `${c.tags} tags in ${c.repositories} repositories, ${c.pulled} images pulled by digest`,
  }));

  // 6. The other replicas, one at a time, each healthy before the next.
  await operation.step('join', async () => {
    for (const replica of decisions.joins) {
      await long.joinReplica.executeWithOptions({ summary: `Join replica ${replica.id} on ${replica.node}` }, [{ ...step, decisions, replica }]);
      await long.waitHealthy.executeWithOptions({ summary: `Wait for replica ${replica.id}` }, [{ ...step, decisions, replica }]);
    }
  }, () => ({ text: `${decisions.joins.length} joined` }));

  // 7. Release: pushes at once; deletion only when people agree, since the first collection deletes what was pushed after the backup.
  await long.setReadOnly.executeWithOptions({ summary: 'Registry open for pushes again' }, [{ ...step, readOnly: false }]);
  try {
    await release(operation, step, plan, policy, held);
  } catch (error) {
    // Whoever cancels here leaves the crons off; the restore itself is done.
    if (isCancellation(error)) await CancellationScope.nonCancellable(() => quick.markFinished(step));
    throw error;
  }
  operation.warn(...(await quick.reportReturned.executeWithOptions({ summary: 'Has a host come back that was said to be off?' }, [{ ...step, decisions }])).warnings);
  await quick.markFinished.executeWithOptions({ summary: 'Take the mark out of the vault' }, [step]);

  return {
    backupId: decisions.backupId,
    cluster: request.cluster,
    status: 'restored',
    replicas: [decisions.first, ...decisions.joins].map(({ id, node }) => ({ id, node })),
    counts: { repositories: confirmed.repositories, tags: confirmed.tags, pulled: confirmed.pulled, blobsKept: images.kept.blobs, blobsWritten: images.written.blobs },
    bytes: { kept: images.kept.bytes, written: images.written.bytes },
    differences: confirmed.differences,
    differenceCount: confirmed.differences.length,
    accepted: null,
    warnings: operation.warnings,
    stages: operation.stages,
  };
}

/** Plans until people agree to a plan that still holds when they do: days may pass at the gate. */
async function agreedPlan(operation: Operation, step: Step, request: Request, policy: Policy): Promise<RestorePlan> {
  let plan = await makePlan(operation, step, request);
  for (;;) {
    operation.backupId = plan.decisions.backupId;
    await passGate(operation, policy, plan, 'plan', `Restore ${request.cluster} from backup ${plan.decisions.backupId}? Nothing is changed yet; the next gate asks again before anything is destroyed.`);
    const again = await makePlan(operation, step, { ...request, backup: plan.decisions.backupId });
    if (again.digest === plan.digest) return plan;
    operation.warn('What was found changed while the plan waited; the new plan was put to people again.');
    plan = again;
  }
}

async function makePlan(operation: Operation, step: Step, request: Request): Promise<RestorePlan> {
  const { backup, targets = [], force = false, acceptMissingOwners = false, acceptUnsigned = false } = request;
  const plan = await operation.step('plan', async () => {
    const diagnosis = await quick.diagnose.executeWithOptions({ summary: 'What is there now?' }, [{ ...step, backup, targets }]);
    return quick.planRestore.executeWithOptions({ summary: 'Plan, and open the backup with the key at hand' }, [{ ...step, backup, targets, force, acceptMissingOwners, acceptUnsigned, diagnosis }]);
  }, (p) => ({ text: p.diagnosis.summary }));
  operation.warn(...plan.warnings);
  return plan;
}

async function passGate(operation: Operation, policy: Policy, plan: RestorePlan, name: string, question: string): Promise<void> {
  const vote = await operation.waitAtGate({ name, question, details: planMarkdown(plan), planDigest: plan.digest, approvers: policy.approvers });
  if (vote.decision === 'reject') throw fail('Rejected', `${vote.by} rejected the gate "${name}": ${vote.reason ?? 'no reason given'}.`, 'nothing stays changed; start again when the objection is settled');
}

function destroyQuestion({ decisions }: RestorePlan): string {
  const what = decisions.destroys.length === 0 ? 'Nothing is left to destroy.' : `Destroy ${decisions.destroys.map(({ id, node }) => `replica ${id} on ${node}`).join(', ')}, volumes included?`;
  // Two halves of one cluster must never meet, so whoever approves vouches for the hosts that cannot be reached.
  const rebuilt = new Set([decisions.first, ...decisions.joins].map(({ node }) => node));
  const hosts = decisions.fences.map((node) => (rebuilt.has(node) ? `the old ${node}` : node));
  const off = hosts.length === 0 ? '' : ` Approving confirms that these hosts are switched off and stay off: ${hosts.join(', ')}.`;
  return `POINT OF NO RETURN. ${what}${off}`;
}

async function release(operation: Operation, step: Step, plan: RestorePlan, policy: Policy, held: SavedCron[]): Promise<void> {
  const { decisions } = plan;
  const crons = [...new Set([...decisions.crons, ...held.map(({ action }) => action)])].sort().join(', ');
  if (crons === '') {
    operation.skip('release', 'the backup knows no cron that deletes');
    return;
  }
  if (policy.releaseGate) {
    const question = `Put back ${crons}? The first collection deletes what was pushed after the backup and might still be salvaged.`;
    const vote = await operation.waitAtGate({ name: 'release', question, details: `Restored from backup ${decisions.backupId}.`, planDigest: plan.digest, approvers: policy.approvers });
    if (vote.decision === 'reject') {
      operation.skip('release', `left off: ${vote.reason ?? 'rejected'}`);
      operation.warn(`Garbage collection and pruning stay off (${vote.by}: ${vote.reason ?? 'no reason'}); set ${crons} by hand when ready.`);
      return;
    }
  }
  const { left } = await operation.step('release', () => long.restoreCrons.executeWithOptions({ summary: 'Put the crons back as they were before the freeze' }, [{ ...step, decisions, held }]), (r) => ({ text: `${r.putBack.length} put back` }));
  operation.warn(...left);
}
