/** Runs the mocha processes of a lane and adds their results up. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { elapsed } from '../lib/console.mjs';
import { inRoot } from '../lib/paths.mjs';
import { runNode } from '../lib/program.mjs';
import { allTestFiles, suitesOf } from './suites.mjs';

/** Mocha's own main; its usual door starts another process and cuts clean-up short when a signal comes. */
const MOCHA = 'node_modules/mocha/lib/cli/cli.js';
const INTERRUPTED = [129, 130, 143];

/**
 * @param {'fast' | 'all'} lane
 * @param {string[]} args test files or folders (then only these run, whatever their lane), and options for mocha
 * @returns {Promise<{passed: number, failed: number, skipped: number, failures: {file: string, title: string, message: string}[], interrupted: boolean}>}
 */
export async function runLane(lane, args, { temporal } = {}) {
  const { files, options } = sortArguments(args);
  const suites = files.length > 0 ? [{ name: 'chosen', processes: [files] }] : suitesOf(lane);
  const total = { passed: 0, failed: 0, skipped: 0, failures: [], interrupted: false };
  for (const suite of suites) {
    const started = Date.now();
    const before = { ...total };
    process.stdout.write(`\n== ${suite.name} ==\n`);
    if (suite.sideBySide) await runSideBySide(suite.processes, options, temporal, total);
    else await runInTurn(suite.processes, options, temporal, total);
    if (total.interrupted) return total;
    const skipped = total.skipped - before.skipped;
    process.stdout.write(`\n${suite.name}: ${total.passed - before.passed} passed, ${total.failed - before.failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}; ${elapsed(started)}\n`);
  }
  return total;
}

/** Prints what failed and, last of all, the line that sums up. @returns {number} exit code */
export function conclude(total) {
  if (total.failures.length > 0) {
    process.stdout.write('\nFailed:\n');
    for (const { file, title, message } of total.failures) process.stdout.write(`  ${file}: ${title}\n    ${message.split('\n')[0]}\n`);
  }
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}\n`);
  if (total.interrupted) return 130;
  return total.failed > 0 || total.passed === 0 ? 1 : 0;
}

async function runInTurn(processes, options, temporal, total) {
  for (const files of processes) {
    await runProcess(files, options, temporal, total);
    if (total.interrupted) return;
  }
}

/** Shows the first process live and what the others said when all have ended. */
async function runSideBySide(processes, options, temporal, total) {
  const [first, ...others] = processes;
  const said = others.map(() => []);
  const runs = others.map((files, index) => runProcess(files, options, temporal, total, (chunk) => said[index].push(chunk)));
  await Promise.all([runProcess(first, options, temporal, total), ...runs]);
  for (const chunks of said) process.stdout.write(Buffer.concat(chunks));
}

async function runProcess(files, options, temporal, total, onOutput) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'drydock-tests-'));
  const results = path.join(folder, 'results.jsonl');
  try {
    const code = await runNode(['--import', 'tsx', MOCHA, ...options, ...files], { temporal, onOutput, env: { DRYDOCK_TEST_RESULTS: results } });
    add(total, results, files, code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Adds one process's results; a process that did not come to its end, or failed without saying why, is a failure of its own. */
function add(total, results, files, code) {
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
  total.failed += 1;
  total.failures.push({ file: files.join(' '), title: 'test process', message: ended ? `ended with exit code ${code}` : `did not come to its end (exit code ${code})` });
}

/** Arguments that are files or folders choose tests; all others are mocha's. */
function sortArguments(args) {
  const files = [];
  const options = [];
  for (const arg of args) {
    const file = inRoot(arg);
    if (arg.startsWith('-') || !existsSync(file)) options.push(arg);
    else if (statSync(file).isDirectory()) files.push(...allTestFiles(path.posix.normalize(arg).replace(/\/$/, '')));
    else files.push(arg);
  }
  return { files, options };
}
