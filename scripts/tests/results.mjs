/** What the mocha processes of a lane have reported, added up, and how it is told at the end. */
import { existsSync, readFileSync } from 'node:fs';

const INTERRUPTED = [129, 130, 143];
/** Lines of a failure's message that the summary shows; the whole stands where the test ran. */
const MESSAGE_LINES = 12;

/** @typedef {{file: string, title: string, message: string}} Failure */

/** @returns {{passed: number, failed: number, skipped: number, failures: Failure[], interrupted: boolean}} */
export function noResults() {
  return { passed: 0, failed: 0, skipped: 0, failures: [], interrupted: false };
}

/**
 * Adds one process's results; a process that did not come to its end, or failed without saying why, is a failure of its own.
 * @param {{results: string, files: string[], code: number, lastWords: string}} process `results`: the file that test/reporter.cjs wrote;
 * `lastWords`: the end of its standard error
 */
export function addResults(total, { results, files, code, lastWords }) {
  const events = existsSync(results) ? readFileSync(results, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line)) : [];
  const failures = events.filter((event) => event.type === 'fail');
  total.passed += events.filter((event) => event.type === 'pass').length;
  total.skipped += events.filter((event) => event.type === 'skip').length;
  for (const { file, title, message } of failures) total.failures.push({ file, title, message });
  total.failed += failures.length;
  if (INTERRUPTED.includes(code) || events.some((event) => event.type === 'interrupted')) {
    total.interrupted = true;
    return;
  }
  const ended = events.some((event) => event.type === 'end');
  if (ended && (code === 0 || failures.length > 0)) return;
  const what = ended ? `ended with exit code ${code}` : `did not come to its end (exit code ${code})`;
  total.failed += 1;
  total.failures.push({ file: files.join(' '), title: 'test process', message: [what, lastWords.trim()].filter(Boolean).join('\n') });
}

/** Adds the results of a part to those of the whole. */
export function addUp(total, part) {
  for (const key of ['passed', 'failed', 'skipped']) total[key] += part[key];
  total.failures.push(...part.failures);
  total.interrupted ||= part.interrupted;
}

/** `3 passed, 0 failed`, and what was skipped where there is any. */
export function sumOf({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** Prints what failed and, last of all, the line that sums up. @returns {number} exit code */
export function conclude(total) {
  if (total.failures.length > 0) {
    process.stdout.write('\nFailed:\n');
    for (const { file, title, message } of total.failures) {
      const lines = message.split('\n').slice(0, MESSAGE_LINES);
      process.stdout.write(`  ${file}: ${title}\n${lines.map((line) => `    ${line}\n`).join('')}`);
    }
  }
  process.stdout.write(`\n${sumOf(total)}\n`);
  if (total.interrupted) return 130;
  return total.failed > 0 || total.passed === 0 ? 1 : 0;
}
