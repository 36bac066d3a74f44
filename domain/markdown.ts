/** Pieces of markdown for the Temporal UI. Lists and headings need an empty line around them, or they run into each other. */

const MOST_ITEMS = 12;

/** A list of the first items, and how many there are beyond them. Give it an empty line before and after. */
export function listed(texts: readonly string[], count = texts.length): string[] {
  const shown = texts.slice(0, MOST_ITEMS).map((text) => `- ${inOneLine(text)}`);
  return count > shown.length ? [...shown, `- and ${count - shown.length} more`] : shown;
}

function inOneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ');
}
