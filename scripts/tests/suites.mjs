/** Which test files belong together, in which order they run, and how many at once. */
import { existsSync, readdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { inRoot } from '../lib/paths.mjs';

/** Files that start containers, or take long, although their folder belongs to the fast lane. */
const SLOW = [/^test\/adapters\/docker[^/]*\.test\.ts$/, /\.slow\.test\.ts$/];
/** Processes of the fast lane, about as long as each other; all else is one more. What talks to Temporal waits more than it works. */
const PARTS = [/^test\/client\//, /^test\/(worker|workflows)\//, /^test\/(activities|extract|scripts)\//];
/** What `npm run test:long` runs: runs cut at every point, and files that play more when they have hours (test/helpers/long.ts). */
export const LONG = ['test/sweep', 'test/e2e/without-us.test.ts', 'test/e2e/backup-steps-2.5.test.ts'];
/** Only there. */
const ONLY_LONG = /^test\/sweep\//;
const LAB = /^test\/lab\//;
const E2E = /^test\/e2e\//;
/** Far longer than the others: begun first, so that neither is left alone at the end. */
const LONGEST = ['test/e2e/restore-faults.test.ts', 'test/e2e/without-us.test.ts'];

/** A lab takes up to 3 GiB, and waits for hosts and health half of its time; three at once starve each other on two cores. */
const GIB_FOR_TWO_LABS = 8;

/** The suites of a lane, each with its mocha processes (lists of files), and those that run beside them (`light`). Empty suites are left out. */
export function suitesOf(lane, files = allTestFiles()) {
  const end2end = files.filter((file) => E2E.test(file));
  const lab = files.filter((file) => LAB.test(file));
  const others = files.filter((file) => !E2E.test(file) && !LAB.test(file) && !ONLY_LONG.test(file));
  const slow = others.filter((file) => SLOW.some((pattern) => pattern.test(file)));
  const fast = others.filter((file) => !slow.includes(file));
  const parts = [...PARTS, { test: (file) => !PARTS.some((pattern) => pattern.test(file)) }].map((part) => fast.filter((file) => part.test(file))).filter((list) => list.length > 0);
  // A process per file keeps a crash of one lab test from hiding the others.
  const perFile = (list) => list.map((file) => [file]);
  const suites = [
    { name: 'fast', processes: parts, atOnce: 3 },
    { name: 'end to end, lab and slow', processes: perFile([...LONGEST.filter((file) => end2end.includes(file)), ...end2end.filter((file) => !LONGEST.includes(file)), ...lab]), light: perFile(slow), ...sideBySide(labsAtOnce()), againAlone: true },
  ];
  return suites.filter((suite) => suite.processes.length > 0 && (lane === 'all' || suite.name === 'fast'));
}

/** How many labs this machine's memory can hold. */
export function labsAtOnce(bytes = os.totalmem()) {
  return bytes / 2 ** 30 / 0.95 >= GIB_FOR_TWO_LABS ? 2 : 1;
}

/** Three processes keep two cores busy, but only so many labs may be among them. */
function sideBySide(labs) {
  return { atOnce: labs === 1 ? 1 : 3, heavyAtOnce: labs };
}

/** Every test file, relative to the clone's root, sorted. */
export function allTestFiles(folder = 'test') {
  if (!existsSync(inRoot(folder))) return [];
  return readdirSync(inRoot(folder), { recursive: true })
    .map((name) => path.posix.join(folder, name.split(path.sep).join('/')))
    .filter((file) => file.endsWith('.test.ts'))
    .sort();
}
