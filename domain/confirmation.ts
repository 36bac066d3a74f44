/** What a confirmation found, for the people who decide about it. */
import { listed } from './markdown';

/** What the page needs of a confirmation; lists hold the first of what their counts say. */
export interface ConfirmationFound {
  differences: string[];
  differenceCount: number;
  /** `repository:tag: why`. */
  missing: string[];
  missingCount: number;
  notJudged: string[];
}

/** Markdown: each section a heading and a list. */
export function confirmationMarkdown({ differences, differenceCount, missing, missingCount, notJudged }: ConfirmationFound): string {
  return [
    ...section('Images that cannot be pulled', missing, missingCount),
    ...section('Other differences', differences, differenceCount),
    ...section('What could not be judged', notJudged, notJudged.length),
  ].join('\n');
}

function section(title: string, texts: string[], count: number): string[] {
  return count === 0 ? [] : [`### ${title}`, '', ...listed(texts, count), ''];
}
