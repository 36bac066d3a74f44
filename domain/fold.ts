/** Lines that are wider than a terminal, folded between words; a terminal by itself cuts through them. */

const COLOUR = /\u001b\[[0-9;]*m/g;
/** What people copy is never folded: the terminal's own wrapping leaves it one line. */
const COMMAND = /^ *(?:drydock|docker|skopeo|temporal) /;
/** `  label   text`: what does not fit stands below the text. */
const LABELLED = /^ {0,4}[A-Za-z0-9][^ ]*(?: [^ ]+){0,2} {2,}(?=\S)/;
const WIDEST_LABEL = 26;
/** Blanks and the word behind them. A command between back quotes is one word: whoever copies it wants it in one piece. */
const WORD = /( *)((?:`[^`]{1,200}`|[^ ])+)/g;

/** `columns`: of the terminal. A word that is wider than that stays whole. Colours take no room. */
export function fold(line: string, columns: number): string {
  if (widthOf(line) <= columns || COMMAND.test(line)) return line;
  const begin = line.length - line.trimStart().length;
  const label = LABELLED.exec(line)?.[0].length ?? 0;
  const indent = ' '.repeat(label > 0 && label <= WIDEST_LABEL ? label : begin + 2);
  const rows: string[] = [];
  let row = '';
  // Several blanks are what keeps columns apart: they stay where they are within a row, and go where it ends.
  for (const [, blanks, word] of line.matchAll(WORD)) {
    if (row !== '' && row.trim() !== '' && widthOf(row) + blanks!.length + widthOf(word!) > columns) {
      rows.push(row);
      row = `${indent}${word!}`;
    } else row += blanks! + word!;
  }
  return [...rows, row].join('\n');
}

function widthOf(text: string): number {
  return [...text.replace(COLOUR, '')].length;
}
