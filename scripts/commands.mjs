/** What each command of run.mjs needs, in which order, and what it runs. */
import { existsSync } from 'node:fs';
import { SetupError } from './lib/console.mjs';
import { inRoot } from './lib/paths.mjs';
import { runTypeScript } from './lib/program.mjs';
import { ensureBaseImage } from './setup/base-image.mjs';
import { checkNode, ensureDependencies } from './setup/dependencies.mjs';
import { ensureEngine, stopEngine } from './setup/engine.mjs';
import { ensureLabImages } from './setup/lab-images.mjs';
import { ensureTools } from './setup/packages.mjs';
import { ensureTemporal } from './setup/temporal.mjs';
import { conclude, runLane } from './tests/lane.mjs';

const LAB_TOOLS = ['docker', 'skopeo', 'ssh', 'ssh-keygen', 'openssl'];
const TEST_TOOLS = ['gpg', 'ps', 'tar', 'ssh', 'ssh-keygen', 'sshd', 'sudo', 'docker-registry', 'skopeo', 'openssl'];

/** `npm run demo`: the story of the lab, then nothing that it started is left, the engine included, unless --keep. */
async function demo(args) {
  if (isHelp(args)) return runPrepared('lab/demo/main.ts', args);
  await prepare();
  const [temporal, engine] = await Promise.all([ensureTemporal(), prepareLab(LAB_TOOLS, ['2.9.4'])]);
  try {
    return await runTypeScript(existing('lab/demo/main.ts'), args, { temporal });
  } finally {
    if (engine.startedHere && !args.includes('--keep')) await stopEngine();
  }
}

/** `npm run lab -- ...`: standard output belongs to the lab's own command. */
async function lab(args) {
  if (args.length === 0 || isHelp(args)) return runPrepared('lab/cli/main.ts', args);
  checkNode();
  await ensureDependencies();
  await prepareLab(LAB_TOOLS);
  return runTypeScript(existing('lab/cli/main.ts'), args);
}

/** `npm test`: the fast lane, without containers. Arguments: test files or folders, and mocha's options. */
async function test(args) {
  checkNode();
  await ensureDependencies();
  const [temporal] = await Promise.all([ensureTemporal(), ensureTools(TEST_TOOLS)]);
  return conclude(await runLane('fast', args, { temporal }));
}

/** `npm run test:all`: every test. */
async function testAll(args) {
  await prepare();
  const [temporal, engine] = await Promise.all([
    ensureTemporal(),
    prepareLab([...TEST_TOOLS, ...LAB_TOOLS], ['2.9.4', '2.5.3']),
    ensureTools([...TEST_TOOLS, 'chromium']),
  ]);
  let total;
  try {
    total = await runLane('all', args, { temporal });
  } finally {
    if (engine.startedHere) await stopEngine();
  }
  return conclude(total);
}

/** Stops the Docker Engine that set-up started and that --keep (or `lab up`) left running. */
async function stopStartedEngine() {
  if (!(await stopEngine())) process.stderr.write('Nothing to stop: set-up has no idle engine of its own.\n');
  return 0;
}

/** Packages of the clone and the compiled product. */
async function prepare() {
  checkNode();
  await ensureDependencies();
  const { build } = await import('./build.mjs');
  await build();
}

/** What only prints a text needs the npm packages alone. */
async function runPrepared(file, args) {
  checkNode();
  await ensureDependencies();
  return runTypeScript(existing(file), args);
}

/** Tools, then the engine, then the images that need the engine: the base, and the lab's own for the DTR versions named. */
async function prepareLab(tools, versions = []) {
  await ensureTools(tools);
  const engine = await ensureEngine();
  await ensureBaseImage();
  if (versions.length > 0) await ensureLabImages(versions);
  return engine;
}

function existing(file) {
  if (!existsSync(inRoot(file))) throw new SetupError(`${file} is missing from this clone.`, 'Run: git status; git checkout -- lab');
  return file;
}

const isHelp = (args) => args.includes('--help') || args.includes('-h') || args[0] === 'help';

export const commands = { demo, lab, test, 'test-all': testAll, 'stop-engine': stopStartedEngine };
