/** Which test files belong together, and in which order they run. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { inRoot } from '../lib/paths.mjs';

/** Files that start containers, or take long, although their folder belongs to the fast lane. */
const SLOW = [/^test\/adapters\/docker[^/]*\.test\.ts$/, /\.slow\.test\.ts$/];
const TEMPORAL = /^test\/(client|worker|workflows)\//;
const LAB = /^test\/lab\//;
const E2E = /^test\/e2e\//;

/** The suites of a lane, each with its mocha processes: lists of files. Empty suites are left out. */
export function suitesOf(lane, files = allTestFiles()) {
  const matches = (patterns) => (file) => patterns.some((pattern) => pattern.test(file));
  const fast = files.filter((file) => !matches([...SLOW, LAB, E2E])(file));
  // Two processes side by side keep the fast lane below two minutes on two cores: what talks to Temporal, and all else.
  const halves = [fast.filter(matches([TEMPORAL])), fast.filter((file) => !TEMPORAL.test(file))].filter((list) => list.length > 0);
  // A process per file keeps a crash of one lab test from hiding the others.
  const perFile = (list) => list.map((file) => [file]);
  const suites = [
    { name: 'fast', processes: halves, sideBySide: true },
    { name: 'slow', processes: perFile(files.filter(matches(SLOW))) },
    { name: 'lab', processes: perFile(files.filter(matches([LAB]))) },
    { name: 'end to end', processes: perFile(files.filter(matches([E2E]))) },
  ];
  return suites.filter((suite) => suite.processes.length > 0 && (lane === 'all' || suite.name === 'fast'));
}

/** Every test file, relative to the clone's root, sorted. */
export function allTestFiles(folder = 'test') {
  if (!existsSync(inRoot(folder))) return [];
  return readdirSync(inRoot(folder), { recursive: true })
    .map((name) => path.posix.join(folder, name.split(path.sep).join('/')))
    .filter((file) => file.endsWith('.test.ts'))
    .sort();
}
