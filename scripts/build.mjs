#!/usr/bin/env node
/** `npm run build`: the product to dist/ by tsc, and the workflow bundle that workers load. Skipped when nothing changed. */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { SetupError, sayError, step } from './lib/console.mjs';
import { exec } from './lib/exec.mjs';
import { withLock } from './lib/lock.mjs';
import { STATE, inRoot } from './lib/paths.mjs';

const ROOMS = ['domain', 'workflows', 'activities', 'adapters', 'store', 'worker', 'client'];
const CONFIGURATION = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json', 'scripts/build.mjs'];
const DIST = inRoot('dist');
/** Digest of all that dist/ was made from. */
const STAMP = path.join(DIST, '.sources.sha256');
const COMMAND = path.join(DIST, 'client', 'main.js');
const WORKFLOWS = path.join(DIST, 'workflows', 'index.js');
const BUNDLE = path.join(DIST, 'workflow-bundle.js');

/** Builds when the sources differ from those that dist/ was made from. */
export async function build({ force = false } = {}) {
  if (!force && isFresh()) return;
  await withLock(path.join(STATE, 'build.lock'), async () => {
    if (!force && isFresh()) return;
    await step('build', existsSync(STAMP) ? 'sources changed since the last build' : 'dist/ is missing', compile);
  });
}

/** Compiles the whole tree, tests and benches included, beside dist/. Returns where it lies. */
export async function compileAll() {
  const folder = path.join(STATE, 'compiled');
  await withLock(path.join(STATE, 'compiled.lock'), () =>
    step('compile', 'the bench runs what is compiled', () => tsc('tsconfig.json', '--outDir', folder, '--sourceMap', 'false', '--incremental', '--tsBuildInfoFile', path.join(folder, '.tsbuildinfo'))));
  return folder;
}

async function tsc(project, ...options) {
  const { code, output } = await exec(process.execPath, [inRoot('node_modules/typescript/bin/tsc'), '-p', project, ...options], { cwd: inRoot() });
  if (code !== 0) throw new SetupError(`The product does not compile:\n${output.trim().split('\n').slice(0, 20).join('\n')}`, 'Mend the named lines, then run: npm run build');
}

async function compile() {
  const digest = digestOfSources();
  await tsc('tsconfig.build.json');
  removeOrphans();
  if (existsSync(COMMAND)) chmodSync(COMMAND, 0o755);
  if (existsSync(WORKFLOWS)) await bundleWorkflows();
  mkdirSync(DIST, { recursive: true });
  writeFileSync(STAMP, digest);
}

/** Bundling here makes a worker's start about a second faster, and finds forbidden imports before any worker runs. */
async function bundleWorkflows() {
  const { bundleWorkflowCode, DefaultLogger } = await import('@temporalio/worker');
  const { code } = await bundleWorkflowCode({ workflowsPath: WORKFLOWS, logger: new DefaultLogger('WARN') });
  writeFileSync(BUNDLE, code);
}

function isFresh() {
  return existsSync(STAMP) && readFileSync(STAMP, 'utf8') === digestOfSources();
}

function digestOfSources() {
  const hash = createHash('sha256');
  for (const file of [...CONFIGURATION, ...sources()]) hash.update(`${file}\0`).update(readFileSync(inRoot(file))).update('\0');
  return hash.digest('hex');
}

function sources() {
  return ROOMS.filter((room) => existsSync(inRoot(room)))
    .flatMap((room) => readdirSync(inRoot(room), { recursive: true }).map((name) => path.join(room, name)))
    .filter((file) => file.endsWith('.ts'))
    .sort();
}

/** Compiled files whose source is gone would still be found by imports. */
function removeOrphans() {
  for (const room of ROOMS) {
    const folder = path.join(DIST, room);
    if (!existsSync(folder)) continue;
    for (const name of readdirSync(folder, { recursive: true })) {
      const source = inRoot(room, name).replace(/\.js(\.map)?$/, '.ts');
      if (/\.js(\.map)?$/.test(name) && !existsSync(source)) rmSync(path.join(folder, name));
    }
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  build({ force: process.argv.includes('--force') }).catch((error) => {
    sayError(error);
    process.exitCode = 1;
  });
}
