/** The form of the lines in `RESTORE.md`. */
import { quoteCommand } from '../../adapters/host/quote';

/** Blocks with this mark are commands to be run as they stand, in their order. */
export function shellBlock(lines: string[]): string {
  return `\`\`\`sh\n${lines.join('\n')}\n\`\`\`\n`;
}

/** One shell word. */
export function shellValue(value: string): string {
  return quoteCommand([value]);
}

/** `--flag value --other` as lines of a command that goes on: each flag on its own, with its values. */
export function flagLines(flags: string[]): string[] {
  const lines: string[][] = [];
  for (const word of flags) {
    if (word.startsWith('--') || lines.length === 0) lines.push([word]);
    else lines.at(-1)!.push(word);
  }
  return lines.map((words) => `  ${quoteCommand(words)}`);
}

/** A command over several lines. */
export function longCommand(head: string, lines: string[], tail = ''): string {
  return [head, ...lines].join(' \\\n') + tail;
}
