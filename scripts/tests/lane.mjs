/** Runs the mocha processes of a lane, several side by side, and adds their results up. */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { elapsed } from '../lib/console.mjs';
import { inRoot } from '../lib/paths.mjs';
import { runNode } from '../lib/program.mjs';
import { OrderedOutput } from './output.mjs';
import { runQueue } from './queue.mjs';
import { addResults, addUp, noResults, sumOf } from './results.mjs';
import { allTestFiles, suitesOf } from './suites.mjs';

/** Mocha's own main; its usual door starts another process and cuts clean-up short when a signal comes. */
const MOCHA = 'node_modules/mocha/lib/cli/cli.js';
/** What lets a test, and the threads that it starts, be TypeScript. */
const LOADER = './scripts/tests/typescript.cjs';
const LAST_WORDS = 2_000;

/**
 * @param {'fast' | 'all'} lane
 * @param {string[]} args test files or folders (then only these run, whatever their lane), and options for mocha
 * @returns {Promise<ReturnType<typeof noResults>>}
 */
export async function runLane(lane, args, { temporal } = {}) {
  const { files, options } = sortArguments(args);
  const suites = files.length > 0 ? [{ name: 'chosen', processes: [files], atOnce: 1 }] : suitesOf(lane);
  const total = noResults();
  for (const suite of suites) {
    const started = Date.now();
    process.stdout.write(`\n== ${suite.name} ==\n`);
    const results = noResults();
    await runSuite(suite, results, { options, temporal });
    addUp(total, results);
    if (total.interrupted) return total;
    process.stdout.write(`\n${suite.name}: ${sumOf(results)}; ${elapsed(started)}\n`);
  }
  return total;
}

/**
 * As many of the suite's processes at once as it allows (see queue.mjs). Two labs on two cores may starve each other: where the suite
 * says so, what failed in company is run once more alone, and that result counts.
 */
export async function runSuite(suite, results, settings) {
  const outcomes = new Map();
  const run = async (files, output) => {
    const outcome = noResults();
    outcomes.set(files, outcome);
    await runProcess(files, outcome, output.open(), settings);
    results.interrupted ||= outcome.interrupted;
    return outcome;
  };
  const together = new OrderedOutput((chunk) => process.stdout.write(chunk));
  await runQueue(suite, (files) => run(files, together), () => results.interrupted);
  const { atOnce, againAlone } = suite;
  const failed = atOnce === 1 || !againAlone ? [] : [...outcomes].filter(([, outcome]) => outcome.failed > 0);
  for (const [files, before] of failed) {
    if (results.interrupted) break;
    process.stdout.write(`\n-- again, alone: ${files.join(' ')}\n`);
    const after = await run(files, new OrderedOutput((chunk) => process.stdout.write(chunk)));
    if (after.failed === 0) process.stdout.write(`-- passed alone; in company had failed: ${before.failures.map(({ title }) => title).join('; ')}\n`);
  }
  for (const outcome of outcomes.values()) addUp(results, outcome);
}

async function runProcess(files, results, output, { options, temporal }) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'drydock-tests-'));
  const file = path.join(folder, 'results.jsonl');
  const started = Date.now();
  let lastWords = '';
  const onOutput = (chunk, from) => {
    output.write(chunk);
    if (from === 'stderr') lastWords = (lastWords + chunk.toString()).slice(-LAST_WORDS);
  };
  try {
    const code = await runNode(['--require', LOADER, MOCHA, ...options, ...files], { temporal, onOutput, env: { DRYDOCK_TEST_RESULTS: file, ...colour() } });
    addResults(results, { results: file, files, code, lastWords });
    if (files.length === 1) output.write(`  ${files[0]}: ${elapsed(started)}\n`);
  } finally {
    output.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The reporter writes to a pipe and cannot see by itself that a person looks on. */
function colour() {
  return process.stdout.isTTY && !process.env.NO_COLOR ? { DRYDOCK_TEST_COLOUR: '1' } : {};
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
