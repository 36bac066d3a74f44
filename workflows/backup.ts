import { CancellationScope, isCancellation, uuid4, workflowInfo } from '@temporalio/workflow';
import { count } from '../domain/count';
import type { BackupFacts, BackupStep, FreezeRecord, ImagesPass, MetadataTaken, Policy, Proof } from '../activities/contract';
import type { VerifyLevel } from '../domain/verify-level';
import { backupInput, type BackupInput, type BackupResult } from '../domain/contract';
import { operationKey } from '../domain/operation-key';
import { few, long, quick, round } from './activities';
import { copiedNote } from './copy';
import { isKind, parseInput, sentenceOf, withLeftovers } from './failures';
import { holdLock, tryClusterLock, tryVaultsLock, type Lock } from './lock';
import { Operation } from './operation';
import { pruneCopies, prunedNote } from './prune';
import { PuttingBack } from './put-back';
import { cronsInWords, mib } from './text';
import { verdictNote } from './verify';

/** Of the copies, among the warnings; the rest stands in the step's result and in the vault. */
const SHOWN_FINDINGS = 10;
/** How often metadata and second pass are done again after a collection ran all the same. */
const ROUNDS_AGAIN = 2;
/** How often the frozen part is done again when the working files went with their worker. */
const LOST_WORK_AGAIN = 2;

/** Backs up one cluster: images, metadata, images again, proof, seal. The registry is in full use all the time. */
export async function backup(input: BackupInput): Promise<BackupResult> {
  const request = parseInput(backupInput, input);
  const operation = new Operation('backup', request.cluster, request.startedBy);
  const startedAt = new Date().toISOString();
  const backupId = `${startedAt.replace(/[-:]|\.\d+/g, '')}-${uuid4().slice(0, 6)}`;
  operation.backupId = backupId;
  const step = { cluster: request.cluster, operation: operationKey(workflowInfo().workflowId), backupId };
  operation.expect([
    ['check', 'Check'],
    ['images', 'Images, first pass'],
    ['freeze', 'Freeze deletion'],
    ['metadata', 'Metadata'],
    ['images-again', 'Images, second pass'],
    ['thaw', 'Thaw'],
    ['prove', 'Prove'],
    ['seal', 'Seal'],
    ['verify', 'Verify'],
  ]);

  // 1. One operation per cluster; drydock.yaml must know it.
  const policy = await quick.readPolicy({ cluster: request.cluster });
  const lock = await holdLock(request.cluster);

  let [isChecked, sealed] = [false, false];
  try {
    // 2. Check: all findings at once, before anything is changed.
    const facts = await operation.step('check', () => few.checkBackup.executeWithOptions({ summary: 'Look at cluster, hosts and vault' }, [step]), (f) => ({ text: `${f.version}, ${count(f.replicas.length, 'replica')}` }));
    isChecked = true;
    operation.warn(...facts.warnings);

    // 3. Everything new, while nothing is frozen.
    const passes: ImagesPass[] = [];
    if (facts.volume) {
      passes.push(await operation.step('images', () => long.copyImages.executeWithOptions({ summary: 'Copy new images' }, [{ ...step, facts, pass: 1 }]), movedNote));
    } else {
      operation.skip('images', 'not in this backup');
      operation.skip('images-again', 'not in this backup');
      operation.warn(`The images are not in this backup: ${facts.storage.external ?? 'kept elsewhere'}.`);
    }

    const { seal, proof, thawing } = await untilSealed(operation, async () => {
      // 4 to 7. Metadata and the rest of the images, with deletion off.
      const taken = await frozen(operation, step, facts, policy);
      try {
        // 9. Prove that all that the metadata names is in the vault.
        const proof = await operation.step('prove', () => long.prove.executeWithOptions({ summary: 'Follow every tag to its blobs' }, [{ ...step, facts, metadata: taken.metadata }]), proofNote);
        operation.warn(...proof.warnings);
        // 10. Seal: the manifest, last and once.
        const seal = await operation.step('seal', () =>
          long.seal.executeWithOptions({ summary: 'Write lists, checksums and, last, the manifest' }, [
            {
              ...step, facts, record: taken.record, metadata: taken.metadata, passes: [...passes, ...taken.passes], proof,
              notes: operation.warnings.map((text) => ({ kind: 'warning', text })), startedBy: request.startedBy ?? 'unknown', startedAt,
            },
          ]), (s) => ({ text: s.status }));
        return { seal, proof, thawing: taken.thawing };
      } catch (error) {
        throw await afterThaw(error, taken.thawing);
      }
    });
    sealed = true;
    // 11. Verify what lies in the vault now. The backup stands, whatever comes of it.
    const verified = await verifySealed(operation, step, policy.verify, request.startedBy).catch(async (error: unknown) => {
      throw await afterThaw(error, thawing);
    });
    // Nobody else may have the cluster while this run still puts its crons back.
    await thawing.endOrGiveUp();
    // 12. Copies and retention. The backup stands, whatever comes of them.
    const copies = await keepAfter(operation, step, policy, lock, request.startedBy);
    // 13. Report.
    const result: BackupResult = { backupId, cluster: request.cluster, ...seal, startedAt, gaps: proof.gaps, verified, warnings: operation.warnings, stages: operation.stages };
    if (proof.acceptedGaps.length > 0) result.acceptedGaps = proof.acceptedGaps;
    if (copies.length > 0) result.copies = copies;
    return result;
  } finally {
    await CancellationScope.nonCancellable(async () => {
      try {
        await quick.cleanUp.executeWithOptions({ summary: 'Remove working files' }, [{ ...step, abandoned: !sealed, ...(isChecked ? {} : { nothingStored: true }) }]);
      } catch (error) {
        operation.warn(`Working files were left behind: ${sentenceOf(error)}`);
      }
    });
  }
}

/** The part from the freeze to the seal; again from its start when the working files of one step went with the worker that had them. */
async function untilSealed<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isKind(error, 'WorkLost') || attempt === LOST_WORK_AGAIN) throw error;
      operation.warn(`Metadata and second pass were done again: ${sentenceOf(error)}.`);
    }
  }
}

/** What to throw for a failure behind the thaw's beginning, once that has ended. */
async function afterThaw(error: unknown, thawing: PuttingBack<void>): Promise<unknown> {
  try {
    await thawing.endOrGiveUp();
    return error;
  } catch (left) {
    return withLeftovers(error, [sentenceOf(left)]);
  }
}

/** A verification that cannot be carried out is a warning; findings are part of the result. */
async function verifySealed(operation: Operation, step: { cluster: string; operation: string; backupId: string }, level: VerifyLevel | 'off', by = 'unknown'): Promise<BackupResult['verified']> {
  if (level === 'off') {
    operation.skip('verify', 'policy.verify is off');
    return null;
  }
  const { cluster, operation: key, backupId } = step;
  try {
    const { result, withKeys, findingCount, findings, notes } = await operation.step('verify', () =>
      long.verifyBackup.executeWithOptions({ summary: `Verify what was sealed to ${level}` }, [{ cluster, operation: key, backup: backupId, level, withoutKeys: false, by }]), verdictNote);
    return { level, result, withKeys, findingCount, findings, notes };
  } catch (error) {
    if (isCancellation(error)) throw error;
    operation.warn(`The backup is sealed, but could not be verified: ${sentenceOf(error)}`);
    return null;
  }
}

/** Copies first, so that they have what retention may give up. Whoever copies or removes by hand right now is not disturbed: the next backup goes on. */
async function keepAfter(operation: Operation, step: { cluster: string; operation: string }, policy: Policy, lock: Lock, by: string | undefined): Promise<NonNullable<BackupResult['copies']>> {
  const { copies: vaults, prunes, vault } = policy;
  if (vaults.length === 0 && !prunes) return [];
  if (!(await tryVaultsLock(step.cluster))) {
    operation.warn('Copies and retention were left to the next backup: somebody copies or removes backups of this cluster right now.');
    return [];
  }
  // A first copy of terabytes takes days: the next backup must not wait for it.
  const isReleased = vaults.length > 0;
  if (isReleased) await lock.release();
  const copies = await copyAfter(operation, step, vault, vaults, by);
  if (prunes && isReleased && (await tryClusterLock(step.cluster)) === null) {
    operation.warn('Retention was left to the next backup: another operation of this cluster began while the copies were made.');
  } else if (prunes) {
    await pruneAfter(operation, step);
    await pruneCopies(operation, { cluster: step.cluster, operation: step.operation, dryRun: false }, vaults);
  }
  return copies;
}

/** Every sealed backup that a copy lacks goes there, this one first. A copy that cannot be reached is a warning, and catches up by itself. */
async function copyAfter(operation: Operation, { cluster, operation: key }: { cluster: string; operation: string }, from: string, vaults: readonly string[], by = 'unknown'): Promise<NonNullable<BackupResult['copies']>> {
  const done: NonNullable<BackupResult['copies']> = [];
  for (const to of vaults) {
    operation.expect([[`copy-${to}`, `Copy to ${to}`]]);
    try {
      const { copied, bytes, findingCount, findings, notes } = await operation.step(`copy-${to}`, () => few.copyBackups.executeWithOptions({ summary: `Fill the copy ${to}` }, [{ cluster, operation: key, from, to, by }]), copiedNote);
      operation.warn(...notes, ...findings.slice(0, SHOWN_FINDINGS).map(({ vault, what, intactIn }) => `In ${vault}: ${what}${intactIn === null ? '' : ` (intact in ${intactIn})`}.`));
      done.push({ vault: to, copied, bytes, findingCount });
    } catch (error) {
      if (isCancellation(error)) throw error;
      operation.warn(`The backup is sealed, but the copy ${to} could not be filled; it catches up after the next backup, or by \`drydock copy\`: ${sentenceOf(error)}`);
    }
  }
  return done;
}

async function pruneAfter(operation: Operation, { cluster, operation: key }: { cluster: string; operation: string }): Promise<void> {
  operation.expect([['prune', 'Retention']]);
  try {
    const { notes } = await operation.step('prune', () => long.prune.executeWithOptions({ summary: 'Remove what was given up, mark what is given up now' }, [{ cluster, operation: key, dryRun: false }]), prunedNote);
    operation.warn(...notes);
  } catch (error) {
    if (isCancellation(error)) throw error;
    operation.warn(`The backup is sealed, but retention did not end: ${sentenceOf(error)}`);
  }
}

interface Taken {
  record: FreezeRecord;
  metadata: MetadataTaken;
  passes: ImagesPass[];
  /** The crons are put back, or it is still tried. */
  thawing: PuttingBack<void>;
}

/** Steps 4 to 7. Whatever happens in between, the crons are put back exactly as they were. */
async function frozen(operation: Operation, step: BackupStep, facts: BackupFacts, policy: Policy): Promise<Taken> {
  const { record, warnings } = await operation.step('freeze', () => long.recordFreeze.executeWithOptions({ summary: 'Record the crons that delete' }, [step]));
  operation.warn(...warnings);
  try {
    const taken = await whileFrozen(operation, step, facts, record);
    const thawing = beginThaw(operation, step, record, policy);
    // What lies in the vault must be proven and sealed even when DTR takes nothing back for hours.
    await thawing.untilShown();
    return { record, ...taken, thawing };
  } catch (error) {
    throw await afterThaw(error, beginThaw(operation, step, record, policy));
  }
}

/** Metadata and second pass, done again when something was deleted all the same. */
async function whileFrozen(operation: Operation, step: BackupStep, facts: BackupFacts, record: FreezeRecord): Promise<Pick<Taken, 'metadata' | 'passes'>> {
  const { frozenAt } = await operation.step('freeze', () => long.freeze.executeWithOptions({ summary: 'Disable them and wait for running deletions' }, [{ ...step, record }]), () => ({ text: frozenNote(record) }));
  let since = frozenAt;
  for (let round = 0; ; round++) {
    const metadata = await operation.step('metadata', () => long.takeMetadata.executeWithOptions({ summary: 'Run the vendor\'s backup and read along' }, [{ ...step, facts, round }]), (m) => ({
      text: `${count(m.documents, 'row')} in ${count(Object.keys(m.tables).length, 'table')}`, bytes: m.artifact.plainBytes,
    }));
    const passes: ImagesPass[] = [];
    if (facts.volume) {
      passes.push(await operation.step('images-again', () => long.copyImages.executeWithOptions({ summary: 'Copy what came meanwhile, and the link tree' }, [{ ...step, facts, pass: 2 }]), movedNote));
    }
    const { jobs } = await long.deletionsSince.executeWithOptions({ summary: 'Has anything been deleted meanwhile?' }, [{ ...step, facts, since }]);
    if (jobs.length === 0) return { metadata, passes };
    if (round === ROUNDS_AGAIN) {
      operation.warn(`Collections kept running during the freeze (${jobs.join('; ')}); the proof below tells whether anything is missing.`);
      return { metadata, passes };
    }
    operation.warn(`A collection ran during the freeze (${jobs.join('; ')}); metadata and second pass were done again.`);
    since = metadata.dumpEndedAt;
  }
}

/** Tried for days, whatever the error: a registry that stays frozen fills up, and nobody notices for weeks. */
function beginThaw(operation: Operation, step: BackupStep, record: FreezeRecord, policy: Policy): PuttingBack<void> {
  const off = [...(record.crons.length === 0 ? [] : [`these crons are switched off: ${cronsInWords(record.crons)}`]), ...(record.readOnlyBefore === false ? ['the registry is read-only'] : [])];
  return new PuttingBack(operation, policy.putBack, {
    key: 'thaw',
    state: off.length === 0 ? 'the record of the freeze lies in the vault' : off.join(', and '),
    remedy: `the next backup puts that back, and so does \`drydock reconcile ${step.cluster}\``,
    run: async () => {
      const { left } = await operation.step('thaw', () => round.thaw.executeWithOptions({ summary: 'Put the crons back as they were' }, [{ ...step, record }]), (t) => ({ text: `${t.putBack.length} put back` }));
      operation.warn(...left);
    },
  });
}

function movedNote(pass: ImagesPass): { text: string; bytes: number } {
  return { text: `${pass.stored.blobs} of ${count(pass.listed.blobs, 'blob')} moved, ${mib(pass.stored.bytes)}`, bytes: pass.stored.bytes };
}

function proofNote({ counts }: Proof): { text: string } {
  return { text: `${count(counts.tags, 'tag')}, ${count(counts.gaps, 'gap')}${counts.acceptedGaps === 0 ? '' : ` and ${counts.acceptedGaps} accepted ones`}, ${counts.inFlight} in flight` };
}

function frozenNote(record: FreezeRecord): string {
  return record.crons.length === 0 ? 'no cron deletes' : record.crons.map((cron) => cron.action).join(', ');
}
