/** Numbers and times on screen: binary units, UTC, short. */

export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${units[unit]}`;
}

export function seconds(count: number): string {
  if (count < 10) return `${count.toFixed(1)} s`;
  const whole = Math.round(count);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** Seconds between two ISO times. */
export function between(from: string, to: string): number {
  return Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);
}

export { count } from '../domain/count';

/** `2026-11-23 02:00:13Z`. */
export function time(iso: string): string {
  return iso.replace('T', ' ').replace(/\.\d+Z$/, 'Z');
}

/** How long ago, in the largest unit that fits: `3 d ago`. */
export function ago(iso: string, now = Date.now()): string {
  const past = Math.max(0, (now - Date.parse(iso)) / 1000);
  if (past < 60) return 'just now';
  if (past < 3600) return `${Math.floor(past / 60)} min ago`;
  if (past < 86_400) return `${Math.floor(past / 3600)} h ago`;
  return `${Math.floor(past / 86_400)} d ago`;
}

/**
 * Text with everything made visible that would act on a terminal instead of being read: control characters, escape sequences, line ends, and what
 * turns the direction of writing. Names and reasons in a vault may have been forged.
 */
export function visible(text: string): string {
  return text.replace(ACTING, (letter) => NAMED[letter] ?? (letter < '\u0100' ? `\\x${hex(letter, 2)}` : `\\u${hex(letter, 4)}`));
}

const ACTING = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const NAMED: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function hex(letter: string, digits: number): string {
  return letter.charCodeAt(0).toString(16).padStart(digits, '0');
}

/** Columns padded to their widest cell; the last one is left as it is. */
export function table(rows: string[][]): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows.map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join('  '));
}
