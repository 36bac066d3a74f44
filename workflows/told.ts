/** What a run has found, as the Temporal UI shows it below the steps: lists of Markdown, bounded, with what came from outside taken as plain text. */
import type { ReconcileResult } from '../domain/contract';
import type { CopiedTo } from '../domain/copy';
import type { PruneResult } from '../domain/prune-result';
import type { VerifyResult } from '../domain/verify';

const SHOWN = 20;

export interface List {
  heading: string;
  /** Plain text. */
  items: string[];
  /** Of how many these are the first. */
  of: number;
}

export function verifyLists({ findings, findingCount, notes }: VerifyResult): List[] {
  const items = findings.map(({ image, what, file, intactIn }) => `${image ?? 'no image'}: ${what}${file === null ? '' : ` (${file})`}${intactIn === undefined ? '' : `; intact in ${intactIn}`}`);
  return [{ heading: 'Findings', items, of: findingCount }, all('Notes', notes)];
}

export function copyLists({ vault, findings, findingCount, leftOut, notes }: CopiedTo): List[] {
  const items = findings.map((finding) => `${finding.vault}, backup ${finding.backupId ?? 'unknown'}: ${finding.what} (${finding.file})${finding.intactIn === null ? '' : `; intact in ${finding.intactIn}`}`);
  return [
    { heading: `Findings on the way to ${vault}`, items, of: findingCount },
    all(`Not copied to ${vault}`, leftOut.map(({ id, why }) => `${id}: ${why}`)),
    all(`Notes on ${vault}`, notes),
  ];
}

/** `vault` names a copy. */
export function pruneLists({ dryRun, decisions, counts, notes }: PruneResult, vault?: string): List[] {
  const where = vault === undefined ? '' : ` in ${vault}`;
  const of = counts.kept + counts.givenUp;
  return [
    // What was done stands in the line of the step; what would be done is asked for to be read.
    ...(dryRun ? [{ heading: `What stays${where} and what would go`, items: decisions.map(({ id, why }) => `${id}: ${why}`), of }] : []),
    all(`Notes${where}`, notes),
  ];
}

export function reconcileLists({ putBack, left }: Pick<ReconcileResult, 'putBack' | 'left'>): List[] {
  return [all('Left as it is', left), all('Put right', putBack)];
}

function all(heading: string, items: string[]): List {
  return { heading, items, of: items.length };
}

/** Lines of Markdown; none for a list without items. */
export function listLines({ heading, items, of }: List): string[] {
  if (items.length === 0) return [];
  const shown = items.slice(0, SHOWN);
  const more = of > shown.length ? [`- and ${of - shown.length} more: in the result of the run`] : [];
  return ['', `### ${plain(heading)}`, '', ...shown.map((item) => `- ${plain(item)}`), ...more];
}

/** Names and sentences come from vaults and registries, and are to be read, not drawn. */
function plain(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[\\`*_<>[\]|#~]/g, '\\$&');
}
