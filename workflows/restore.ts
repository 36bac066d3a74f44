import { CancellationScope, isCancellation, workflowInfo } from '@temporalio/workflow';
import { count } from '../domain/count';
import type { Confirmed, Policy } from '../activities/contract';
import { restoreInput, type RestoreInput, type RestoreResult } from '../domain/contract';
import type { RestoreDecisions, RestorePlan } from '../domain/plan';
import type { SavedCron } from '../domain/changes';
import { confirmationMarkdown } from '../domain/confirmation';
import { planMarkdown } from '../domain/restore-plan';
import { operationKey } from '../domain/operation-key';
import { few, long, patient, quick, round } from './activities';
import { fail, parseInput, sentenceOf, withLeftovers } from './failures';
import { holdLock } from './lock';
import { Operation } from './operation';
import { askToRetry, persevere, unfinished, type Behind } from './persevere';
import { cronsInWords, mib } from './text';
import { Undo } from './undo';

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
  const undo = new Undo(operation, policy.putBack);
  try {
    // 1. Stop, which can be taken back; then the point of no return, by its own gate.
    await operation.step('stop', async () => {
      for (const { id, node } of decisions.stops) {
        const containers: string[] = [];
        undo.add({
          key: `start-${id}`,
          state: `the containers of replica ${id} on ${node} are stopped`,
          remedy: `start them with \`drydock reconcile ${request.cluster}\``,
          run: () => round.startReplica.executeWithOptions({ summary: `Start replica ${id} on ${node} again` }, [{ ...step, id, node, containers }]),
        });
        containers.push(...(await quick.stopReplica.executeWithOptions({ summary: `Stop replica ${id} on ${node}` }, [{ ...step, id, node }])).stopped);
      }
    }, () => ({ text: count(decisions.stops.length, 'replica') }));
    await passGate(operation, policy, plan, 'destroy', destroyQuestion(plan));
    // Days may have passed at the gate: what people said to be off must still be off.
    if (decisions.fences.length > 0) await quick.refuseReturned.executeWithOptions({ summary: 'Are the hosts off that were said to be?' }, [{ ...step, decisions }]);
    await operation.step('destroy', async () => {
      undo.add({
        key: 'unmark',
        state: 'the record of this restore stands, although nothing was destroyed',
        remedy: `\`drydock reconcile ${request.cluster}\` ends it`,
        run: () => round.unmarkUnfinished.executeWithOptions({ summary: 'Take the mark of this restore away' }, [{ ...step, decisions }]),
      });
      await quick.markUnfinished.executeWithOptions({ summary: 'Record what is about to be destroyed' }, [{ ...step, decisions }]);
      for (const node of decisions.fences) {
        await quick.fenceNode.executeWithOptions({ summary: `Take ${node} out of the Swarm` }, [{ ...step, node }]);
        undo.cannotUndo(`${node} stays out of the Swarm; join it again if it is to be used.`);
      }
    });
  } catch (error) {
    throw withLeftovers(error, await undo.run());
  }

  const behind: Behind = {
    approvers: policy.approvers, planDigest: plan.digest,
    state: 'The registry is being destroyed; nothing is restored yet.',
    remedy: 'start the same restore again: it goes on without --force, and keeps what is there already',
  };
  await destroyAll(operation, step, plan, behind, undo);
  try {
    return await behindThePoint(operation, step, plan, policy, behind);
  } catch (error) {
    throw unfinished(error, behind);
  }
}

/** The point of no return is the first destruction, which records itself: whatever fails before it is taken back, and behind it people decide. */
async function destroyAll(operation: Operation, step: Step, { decisions }: RestorePlan, behind: Behind, undo: Undo): Promise<void> {
  for (;;) {
    try {
      await operation.step('destroy', async () => {
        for (const { id, node } of decisions.destroys) await long.destroyReplica.executeWithOptions({ summary: `Destroy replica ${id} on ${node}` }, [{ ...step, decisions, id, node }]);
        await long.passNoReturn.executeWithOptions({ summary: 'Point of no return' }, [{ ...step, decisions }]);
      }, () => ({ text: `${count(decisions.destroys.length, 'replica')}, ${count(decisions.fences.length, 'host')} fenced` }));
      return;
    } catch (error) {
      if (!(await isBehindNoReturn(step, decisions))) throw withLeftovers(error, await undo.run());
      if (isCancellation(error)) throw unfinished(error, behind);
      await askToRetry(operation, behind, 'destroy', error);
    }
  }
}

/** Also for a run that was cancelled. Where even that cannot be asked, nothing is started that may be half destroyed. */
async function isBehindNoReturn(step: Step, decisions: RestoreDecisions): Promise<boolean> {
  return CancellationScope.nonCancellable(async () => {
    try {
      return await long.hasPassedNoReturn.executeWithOptions({ summary: 'Has anything been destroyed?' }, [{ ...step, decisions }]);
    } catch {
      return true;
    }
  });
}

/** From the first destruction on. `behind.state` always says where this is. */
async function behindThePoint(operation: Operation, step: Step, plan: RestorePlan, policy: Policy, behind: Behind): Promise<RestoreResult> {
  const { decisions } = plan;
  // 2. Images, by digest: what is there already and right is kept.
  behind.state = 'The registry is destroyed; its images are being written, its metadata is not restored.';
  const images = await persevere(operation, behind, 'images', () => patient.restoreImages.executeWithOptions({ summary: 'Write missing images, hash them where they lie' }, [{ ...step, decisions }]), ({ kept, written }) => ({
    text: `${count(written.blobs, 'blob')} written (${mib(written.bytes)}), ${kept.blobs} kept`, bytes: written.bytes,
  }));

  // 3. Metadata, then health; read-only until it is confirmed, and nothing is deleted until people say so.
  behind.state = `The images lie on ${decisions.first.node}; the metadata is not restored, or not to its end.`;
  const held = await persevere(operation, behind, 'metadata', async () => {
    await patient.restoreMetadata.executeWithOptions({ summary: `Run the vendor's restore on ${decisions.first.node}` }, [{ ...step, decisions }]);
    await patient.waitHealthy.executeWithOptions({ summary: `Wait for replica ${decisions.first.id}` }, [{ ...step, decisions, replica: decisions.first }]);
    const { held: recorded } = await patient.recordHold.executeWithOptions({ summary: 'Record read-only mode and the crons that delete' }, [{ ...step, decisions }]);
    await patient.setReadOnly.executeWithOptions({ summary: 'Registry read-only until confirmed' }, [{ ...step, readOnly: true }]);
    await patient.holdDeletions.executeWithOptions({ summary: 'No cron deletes before the release' }, [{ ...step, held: recorded }]);
    return recorded;
  });
  const crons = allCrons(decisions.crons, held);
  const off = crons.length === 0 ? '' : ` These crons are switched off: ${cronsInWords(crons)}.`;
  behind.state = `The registry is restored on ${decisions.first.node}, not confirmed, and read-only.${off}`;
  behind.remedy = 'start the same restore again (it begins by destroying what was restored), or open the registry by hand in its settings and set the crons';

  // 4. Vulnerability database: a failure is a warning, it holds nothing.
  if (decisions.scanning === 'off') {
    operation.skip('vulnerabilities', 'scanning is off');
  } else {
    await fetchVulnerabilities(operation, step, plan);
  }

  // 5. Confirm through the external URL, as a user would see it.
  const { confirmed, accepted } = await agreedConfirmation(operation, step, plan, behind);
  operation.warn(...confirmed.notJudged);

  // 6. The other replicas, one at a time, each healthy before the next.
  behind.state = `The registry is restored and confirmed on ${decisions.first.node}, and read-only; not all of its replicas have joined.${off}`;
  behind.remedy = 'do not restore again: join what is missing with the bootstrapper, switch read-only off in the settings of DTR, and set the crons';
  await persevere(operation, behind, 'join', async () => {
    for (const replica of decisions.joins) {
      await patient.joinReplica.executeWithOptions({ summary: `Join replica ${replica.id} on ${replica.node}` }, [{ ...step, decisions, replica }]);
      await patient.waitHealthy.executeWithOptions({ summary: `Wait for replica ${replica.id}` }, [{ ...step, decisions, replica }]);
    }
  }, () => ({ text: `${decisions.joins.length} joined` }));

  // 7. Release: pushes at once; deletion only when people agree, since the first collection deletes what was pushed after the backup.
  behind.state = `The registry is restored, confirmed and whole, and read-only.${off}`;
  behind.remedy = 'do not restore again: switch read-only off in the settings of DTR, and set the crons';
  await persevere(operation, behind, 'release', () => patient.setReadOnly.executeWithOptions({ summary: decisions.readOnly ? 'Registry read-only, as it was' : 'Registry open for pushes again' }, [{ ...step, readOnly: decisions.readOnly }]));
  behind.state = `The registry is restored and ${decisions.readOnly ? 'read-only, as it was before' : 'open'}: do not restore it again, that would destroy what is pushed since.${off}`;
  behind.remedy = 'set the crons by hand when ready';
  try {
    await release(operation, step, plan, policy, behind, held);
  } finally {
    await finish(operation, step, plan);
  }

  return {
    backupId: decisions.backupId,
    cluster: decisions.cluster,
    status: 'restored',
    replicas: [decisions.first, ...decisions.joins].map(({ id, node }) => ({ id, node })),
    counts: { repositories: confirmed.repositories, tags: confirmed.tags, pulled: confirmed.pulled, blobsKept: images.kept.blobs, blobsWritten: images.written.blobs },
    bytes: { kept: images.kept.bytes, written: images.written.bytes },
    differences: [...confirmed.missing, ...confirmed.differences],
    differenceCount: confirmed.missingCount + confirmed.differenceCount,
    accepted,
    notJudged: confirmed.notJudged,
    warnings: operation.warnings,
    stages: operation.stages,
  };
}

async function fetchVulnerabilities(operation: Operation, step: Step, { decisions }: RestorePlan): Promise<void> {
  try {
    const { warnings } = await operation.step('vulnerabilities', () => long.updateVulnerabilityDatabase.executeWithOptions({ summary: 'Fetch the vulnerability database again' }, [{ ...step, decisions }]), ({ note }) => ({ text: note }));
    operation.warn(...warnings);
  } catch (error) {
    if (isCancellation(error)) throw error;
    operation.warn(`The vulnerability database was not fetched; do it in the settings of DTR after the restore: ${sentenceOf(error)}`);
  }
}

/** Looks until nothing differs from the backup, or people accept by name what does. */
async function agreedConfirmation(operation: Operation, step: Step, { decisions }: RestorePlan, behind: Behind): Promise<{ confirmed: Confirmed; accepted: RestoreResult['accepted'] }> {
  for (;;) {
    const confirmed = await persevere(operation, behind, 'confirm', () => patient.confirmRestore.executeWithOptions({ summary: 'Pull a sample by digest, compare with the backup' }, [{ ...step, decisions }]), (c) => ({
      text: `${count(c.tags, 'tag')} in ${count(c.repositories, 'repository', 'repositories')}, ${count(c.pulled, 'image')} pulled by digest`,
    }));
    if (confirmed.missingCount + confirmed.differenceCount === 0) return { confirmed, accepted: null };
    const vote = await operation.waitAtGate({
      name: 'confirm',
      question: `The restored registry differs from the backup: ${count(confirmed.missingCount, 'image')} cannot be pulled, ${count(confirmed.differenceCount, 'other difference')}. It is read-only; nothing is lost by waiting.`,
      details: confirmationMarkdown(confirmed),
      planDigest: confirmed.digest,
      approvers: behind.approvers,
      choices: [
        { decision: 'approve', means: 'accept exactly these, and go on; they stand in the result and the report' },
        { decision: 'retry', means: 'look again' },
        { decision: 'reject', means: 'stop here: the registry stays read-only, and no cron deletes' },
      ],
    });
    if (vote.decision === 'reject') throw fail('Unfinished', `${vote.by} rejected the restored registry at the gate "confirm": ${vote.reason ?? 'no reason given'}. ${behind.state}`, behind.remedy);
    if (vote.decision === 'approve') {
      const accepted: NonNullable<RestoreResult['accepted']> = { by: vote.by, at: vote.at };
      if (vote.reason !== undefined) accepted.reason = vote.reason;
      return { confirmed, accepted };
    }
  }
}

/** The last small calls. The restore is done, so whatever comes of them it must not end as failed: whoever starts it again would destroy what was pushed since. */
async function finish(operation: Operation, step: Step, { decisions }: RestorePlan): Promise<void> {
  await CancellationScope.nonCancellable(async () => {
    try {
      operation.warn(...(await few.reportReturned.executeWithOptions({ summary: 'Has a host come back that was said to be off?' }, [{ ...step, decisions }])).warnings);
    } catch (error) {
      operation.warn(`It could not be seen whether a host is back that was said to be off: ${sentenceOf(error)}`);
    }
    try {
      operation.warn(...(await round.markFinished.executeWithOptions({ summary: 'End the records of this restore' }, [{ ...step, decisions }])).warnings);
    } catch (error) {
      operation.warn(`The restore is done, but its mark stays: ${sentenceOf(error)} End it with \`drydock reconcile ${decisions.cluster} --end-restore ${step.operation}\`; until then prune removes nothing.`);
    }
  });
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
    return few.planRestore.executeWithOptions({ summary: 'Plan, and open the backup with the key at hand' }, [{ ...step, backup, targets, force, acceptMissingOwners, acceptUnsigned, diagnosis }]);
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

async function release(operation: Operation, step: Step, plan: RestorePlan, policy: Policy, behind: Behind, held: SavedCron[]): Promise<void> {
  const { decisions } = plan;
  const crons = allCrons(decisions.crons, held);
  if (crons.length === 0) {
    operation.skip('release', 'the backup knows no cron that deletes');
    return;
  }
  if (policy.releaseGate) {
    const question = `Put back ${crons.map(({ action }) => action).join(', ')}? The first collection deletes what was pushed after the backup and might still be salvaged.`;
    const vote = await operation.waitAtGate({
      name: 'release', question, planDigest: plan.digest, approvers: policy.approvers,
      details: `Restored from backup ${decisions.backupId}.\n\nWhat comes back:\n\n${crons.map((cron) => `- ${cronsInWords([cron])}`).join('\n')}`,
      choices: [{ decision: 'approve', means: 'put them back now' }, { decision: 'reject', means: 'leave them off; the restore ends, and they are set by hand later' }],
    });
    if (vote.decision === 'reject') {
      operation.skip('release', `left off: ${vote.reason ?? 'rejected'}`);
      operation.warn(`Garbage collection and pruning stay off (${vote.by}: ${vote.reason ?? 'no reason'}); set these by hand when ready: ${cronsInWords(crons)}.`);
      return;
    }
  }
  const { left } = await persevere(operation, behind, 'release', () => patient.restoreCrons.executeWithOptions({ summary: 'Put the crons back as they were before the freeze' }, [{ ...step, decisions, held }]), (r) => ({ text: `${r.putBack.length} put back` }));
  operation.warn(...left);
}

/** Those of the backup, then those that came with the installation or the metadata and that the backup does not know. */
function allCrons(ofBackup: readonly SavedCron[], held: readonly SavedCron[]): SavedCron[] {
  return [...ofBackup, ...held.filter(({ action }) => !ofBackup.some((cron) => cron.action === action))];
}
