#!/usr/bin/env node
/**
 * Today's sources in a form that starts at once: the command and its threads in one file each, and the workflows bundled. Made once for each state of the
 * sources, for all test processes: from TypeScript a worker takes five seconds of a core to start. Prints the folder.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { digestOfSources } from '../build.mjs';
import { withLock } from '../lib/lock.mjs';
import { STATE, inRoot } from '../lib/paths.mjs';

const FOLDERS = path.join(STATE, 'product-of-tests');
/** Those of older sources go when they are a day old: until then tests may still run from them. */
const OLD_MS = 24 * 60 * 60 * 1000;

const folder = path.join(FOLDERS, digestOfSources().slice(0, 16));
if (!existsSync(folder)) await withLock(`${FOLDERS}.lock`, make);
process.stdout.write(`${folder}\n`);

async function make() {
  if (existsSync(folder)) return;
  const [{ build }, { bundleWorkflowCode, DefaultLogger }] = await Promise.all([import('esbuild'), import('@temporalio/worker')]);
  mkdirSync(FOLDERS, { recursive: true });
  for (const name of readdirSync(FOLDERS)) if (Date.now() - statSync(path.join(FOLDERS, name)).mtimeMs > OLD_MS) rmSync(path.join(FOLDERS, name), { recursive: true, force: true });
  const aside = path.join(FOLDERS, `making-${process.pid}`);
  const threads = readdirSync(inRoot('adapters'), { recursive: true }).map((name) => `adapters/${name}`).filter((name) => name.endsWith('-thread.ts'));
  const [{ code }] = await Promise.all([
    bundleWorkflowCode({ workflowsPath: inRoot('workflows', 'index.ts'), logger: new DefaultLogger('WARN') }),
    build({ absWorkingDir: inRoot(), entryPoints: ['client/main.ts', ...threads], entryNames: '[name]', outdir: path.join(aside, 'client'), bundle: true, platform: 'node', target: 'node20', packages: 'external', logLevel: 'error' }),
  ]);
  // As in dist/: where the worker and the command look for them.
  writeFileSync(path.join(aside, 'workflow-bundle.js'), code);
  copyFileSync(inRoot('package.json'), path.join(aside, 'package.json'));
  renameSync(aside, folder);
}
