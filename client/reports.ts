/** The end of an operation in words. */
import { tellAccepted } from '../domain/accepted-gaps';
import type { BackupResult, ReconcileResult, RestoreResult } from '../domain/contract';
import type { CopiedTo, CopyResult } from '../domain/copy';
import type { ForgetResult } from '../domain/forget';
import { backupCountOf, type PruneResult } from '../domain/prune-result';
import type { VerifyResult } from '../domain/verify';
import { between, bytes, count, seconds, table, time } from './format';

const GAPS_SHOWN = 20;
const FINDINGS_SHOWN = 20;

export function backupReport(result: BackupResult): string[] {
  const { counts, bytes: moved } = result;
  return [
    `Backup ${result.backupId} of ${result.cluster} is ${result.status}.`,
    `  ${count(counts.repositories, 'repository', 'repositories')}, ${count(counts.tags, 'tag')}, ${count(counts.manifests, 'manifest')}, ${count(counts.blobs, 'blob')} (${counts.newBlobs} new)${counts.inFlight > 0 ? `; ${count(counts.inFlight, 'tag')} in flight` : ''}`,
    `  images ${bytes(moved.images)}, moved ${bytes(moved.moved)}, stored ${bytes(moved.stored)}; metadata ${bytes(moved.metadata)} with ${count(counts.rows, 'row')}`,
    `  in ${result.vault}, manifest sha256 ${result.manifestSha256}`,
    ...stages(result.stages),
    ...gaps(result),
    ...acceptedGaps(result),
    ...(result.verified ? [`  verified to ${result.verified.level}: ${result.verified.result === 'good' ? 'good' : count(result.verified.findingCount, 'finding')}`, ...findingLines(result.verified)] : []),
    ...(result.copies ?? []).map(({ vault, copied, bytes: size }) => `  copy ${vault}: ${count(copied.length, 'backup')} copied, ${bytes(size)}`),
    ...result.warnings.map((text) => `  warning: ${text}`),
  ];
}

function gaps(result: BackupResult): string[] {
  if (result.gaps.length === 0) return [];
  const shown = result.gaps.slice(0, GAPS_SHOWN).map((gap) => `    ${gap.image}: ${gap.what} (${gap.digest})`);
  const hidden = result.gaps.length - shown.length;
  return [`  not in this backup, because the registry itself has not got it:`, ...shown, ...(hidden > 0 ? [`    and ${hidden} more`] : [])];
}

function acceptedGaps({ acceptedGaps: found = [] }: BackupResult): string[] {
  if (found.length === 0) return [];
  const shown = found.slice(0, GAPS_SHOWN).map((gap) => `    ${tellAccepted(gap)}`);
  return ['  not in this backup either, as people have accepted:', ...shown, ...(found.length > shown.length ? [`    and ${found.length - shown.length} more`] : [])];
}

export function restoreReport(result: RestoreResult): string[] {
  const { counts, bytes: moved } = result;
  return [
    `${result.cluster} is restored from backup ${result.backupId}.`,
    `  replicas ${result.replicas.map((replica) => `${replica.id} on ${replica.node}`).join(', ')}`,
    `  ${count(counts.repositories, 'repository', 'repositories')}, ${count(counts.tags, 'tag')}; ${count(counts.pulled, 'image')} pulled by digest and equal`,
    `  images: ${count(counts.blobsWritten, 'blob')} written (${bytes(moved.written)}), ${counts.blobsKept} kept where they lay (${bytes(moved.kept)})`,
    ...stages(result.stages),
    ...result.differences.slice(0, FINDINGS_SHOWN).map((text) => `  differs from the backup: ${text}`),
    ...(result.differenceCount > FINDINGS_SHOWN ? [`  and ${result.differenceCount - FINDINGS_SHOWN} more: with --json`] : []),
    ...(result.accepted === null ? [] : [`  accepted so by ${result.accepted.by} at ${time(result.accepted.at)}: ${result.accepted.reason}`]),
    ...result.warnings.map((text) => `  warning: ${text}`),
  ];
}

export function copyReport({ cluster, from, copies }: CopyResult): string[] {
  return copies.flatMap((copy) => [
    `Copy of ${cluster} from ${from} to ${copy.vault}: ${count(copy.copied.length, 'backup')} copied (${count(copy.objects, 'object')}, ${bytes(copy.bytes)}), ${copy.already} there before.`,
    ...copy.copied.map((id) => `  ${id}`),
    ...copy.leftOut.map(({ id, why }) => `  ${id} is not copied: ${why}`),
    ...copyFindings(copy),
    ...copy.notes.map((note) => `  ${note}`),
  ]);
}

function copyFindings({ findings, findingCount }: CopiedTo): string[] {
  const shown = findings.slice(0, FINDINGS_SHOWN).map(({ backupId, vault, file, what, intactIn }) => `  FINDING ${vault}, backup ${backupId ?? '-'}: ${what} (${file})${intactIn === null ? '' : `; intact in ${intactIn}`}`);
  return findingCount > shown.length ? [...shown, `  and ${findingCount - shown.length} more: with --json`] : shown;
}

export function forgetReport({ cluster, backupId, approvedBy, vaults, notes }: ForgetResult): string[] {
  const words = { marked: 'is given up', already: 'was so already', lifted: 'is kept again, if retention keeps it', absent: 'is not there', failed: 'could not be changed' } as const;
  return [
    `Backup ${backupId} of ${cluster}${approvedBy === null ? '' : `, approved by ${approvedBy}`}:`,
    ...vaults.map(({ vault, state, removableFrom }) => `  in ${vault} it ${words[state]}${removableFrom === null ? '' : `; a prune after ${time(removableFrom)} removes it, until then \`drydock forget ${backupId} --undo\` takes that back`}`),
    ...notes.map((note) => `  ${note}`),
  ];
}

export function pruneReport({ cluster, vault, copies = [], dryRun, decisions, counts, removed, marked, repacked, lifted, removableFrom, notes }: PruneResult): string[] {
  const would = dryRun ? ' would be' : '';
  const more = (all: number, keep: boolean): number => all - decisions.filter((decision) => decision.keep === keep).length;
  const [givenUp, kept] = [more(counts.givenUp, false), more(counts.kept, true)];
  return [
    `Retention of ${cluster}${vault === undefined ? '' : ` in ${vault}`}: ${counts.kept} kept, ${counts.givenUp} given up${dryRun ? ' (nothing was changed)' : ''}.`,
    ...decisions.map(({ id, why }) => `  ${id}  ${why}`),
    ...(givenUp + kept > 0 ? [`  and ${givenUp} more given up, ${kept} more kept; what is given up stands in \`drydock list ${cluster}\``] : []),
    `${count(backupCountOf(removed), 'backup')} and ${count(removed.segments, 'segment')} (${bytes(removed.bytes)})${would} removed: marked before, and the hold is over.`,
    `${count(backupCountOf(marked), 'backup')} and ${count(marked.segments, 'segment')} (${bytes(marked.bytes)})${would} marked: a run after ${time(removableFrom)} removes them.`,
    ...(repacked && repacked.segments > 0 ? [`${bytes(repacked.bytes)} that live in ${count(repacked.segments, 'mostly dead segment')}${would} written anew: ${bytes(repacked.frees)} go with the last backup that names those.`] : []),
    ...(lifted > 0 ? [`${count(lifted, 'mark')}${would} taken away: what they marked is kept or needed again.`] : []),
    ...notes.map((note) => `  ${note}`),
    ...copies.flatMap((copy) => ['', ...pruneReport(copy)]),
  ];
}

export function verifyReport(result: VerifyResult): string[] {
  const { checked, part, withKeys } = result;
  const scope = `${result.level}${part ? `, part ${part.n} of ${part.t}` : ''}${withKeys ? '' : ', without keys'}`;
  return [
    `Backup ${result.backupId} of ${result.cluster} is ${result.result} (${scope}).`,
    `  ${count(checked.tags, 'tag')}, ${count(checked.segments, 'segment')}, ${count(checked.blobs, 'blob')}${checked.bytes > 0 ? `, ${bytes(checked.bytes)} read` : ''} in ${seconds(between(result.startedAt, result.at))}`,
    ...findingLines(result),
    ...result.notes.map((text) => `  ${text}`),
  ];
}

function findingLines({ findings, findingCount }: Pick<VerifyResult, 'findings' | 'findingCount'>): string[] {
  const shown = findings.slice(0, FINDINGS_SHOWN).map(({ image, digest, segment, file, what, lastBackup, intactIn }) => {
    const place = [...(digest === null ? [] : [digest]), ...(segment === null ? [] : [`segment ${segment}`]), ...(file === null ? [] : [file])].join(', ');
    const held = digest === null ? '' : lastBackup === null ? '; no backup holds another copy' : `; still held by ${lastBackup}`;
    return `  FINDING ${image ?? '(no image)'}: ${what} (${place})${held}${intactIn === undefined ? '' : `; intact in ${intactIn}`}`;
  });
  return findingCount > shown.length ? [...shown, `  and ${findingCount - shown.length} more: with --json, or in the verdict's list`] : shown;
}

export function reconcileReport(result: ReconcileResult): string[] {
  if (result.putBack.length === 0 && result.left.length === 0) return [`${result.cluster}: nothing had to be put back.`];
  return [...result.putBack.map((text) => `put right: ${text}`), ...result.left.map((text) => `left as it is: ${text}`)];
}

/** What waits for people and does nothing else has one time only. */
function stageTime({ seconds: worked, waitedSeconds: waited = 0 }: { seconds: number; waitedSeconds?: number }): string {
  if (waited === 0) return seconds(worked);
  return worked === 0 ? seconds(waited) : `${seconds(worked)} (and ${seconds(waited)} for people)`;
}

function stages(list: { title: string; seconds: number; waitedSeconds?: number; bytes?: number }[]): string[] {
  const rows = list.map((stage) => [
    `  ${stage.title}`,
    stageTime(stage),
    stage.bytes === undefined ? '' : bytes(stage.bytes),
  ]);
  return table(rows).map((line) => line.trimEnd());
}
