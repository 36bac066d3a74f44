/** What each command of run.mjs needs, in which order, and what it runs. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { SetupError } from './lib/console.mjs';
import { inRoot } from './lib/paths.mjs';
import { runNode, runTypeScript } from './lib/program.mjs';
import { ensureBaseImage } from './setup/base-image.mjs';
import { checkNode, ensureDependencies } from './setup/dependencies.mjs';
import { engineAnswers, ensureEngine, stopEngine } from './setup/engine.mjs';
import { ensureLabImages } from './setup/lab-images.mjs';
import { ensureTools } from './setup/packages.mjs';
import { ensureTemporal } from './setup/temporal.mjs';
import { ensureVersitygw } from './setup/versitygw.mjs';
import { runLane } from './tests/lane.mjs';
import { conclude } from './tests/results.mjs';
import { LONG } from './tests/suites.mjs';

const LAB_TOOLS = ['docker', 'skopeo', 'ssh', 'ssh-keygen', 'openssl'];
const TEST_TOOLS = ['gpg', 'ps', 'script', 'tar', 'ssh', 'ssh-keygen', 'sshd', 'sudo', 'fish', 'tcsh', 'bsd-csh', 'zsh', 'bindfs', 'sshfs', 'gpg1', 'busybox', 'docker-registry', 'skopeo', 'openssl'];
const BENCH_TOOLS = ['gpg', 'tar', 'ssh', 'ssh-keygen', 'sshd', 'restic', 'borg'];

/** `npm run demo`: the story of the lab. */
async function demo(args) {
  if (isHelp(args)) return runPrepared('lab/demo/main.ts', args);
  await ensurePackages();
  const [temporal] = await Promise.all([ensureTemporal(), prepareLab(LAB_TOOLS, { versions: ['2.9.4'] }), ensureBuilt()]);
  return runTypeScript(existing('lab/demo/main.ts'), args, { temporal });
}

/** `npm run lab -- ...`: standard output belongs to the lab's own command. */
async function lab(args) {
  if (args.length === 0 || isHelp(args)) return runPrepared('lab/cli/main.ts', args);
  await ensurePackages();
  await prepareLab(LAB_TOOLS);
  return runTypeScript(existing('lab/cli/main.ts'), args);
}

/** `npm test`: the fast lane, without containers. Arguments: test files or folders, and mocha's options. */
async function test(args) {
  await ensurePackages();
  const [temporal] = await Promise.all([ensureTemporal(), ensureTools(TEST_TOOLS), runsProduct(args) ? ensureBuilt() : undefined]);
  return conclude(await runLane('fast', args, { temporal }));
}

/** `npm run test:all`: every test. */
async function testAll(args) {
  await ensurePackages();
  const [temporal] = await Promise.all([
    // One after the other: each build takes all cores that there are.
    ensureTemporal().then(async (found) => {
      await ensureVersitygw();
      return found;
    }),
    prepareLab(LAB_TOOLS, { versions: ['2.9.4', '2.5.3'], laterTools: [...TEST_TOOLS, 'chromium'] }),
    ensureBuilt(),
  ]);
  const total = await runLane('all', args, { temporal });
  return () => conclude(total);
}

/** `npm run test:long`: runs are cut at every point, and what the whole suite plays on one version or form only is played on all. Arguments: as for `npm test`. */
async function testLong(args) {
  await ensurePackages();
  const [temporal] = await Promise.all([ensureTemporal(), prepareLab(LAB_TOOLS, { versions: ['2.9.4', '2.5.3'], laterTools: TEST_TOOLS }), ensureBuilt()]);
  process.env.DRYDOCK_TESTS = 'long';
  const chosen = args.some((arg) => existsSync(inRoot(arg))) ? [] : LONG;
  return conclude(await runLane('all', [...chosen, ...args], { temporal }));
}

/** `npm run bench`: from compiled files, as the product is installed; a loader of TypeScript would be measured as well. Standard output belongs to the bench. */
async function bench(args) {
  await ensurePackages();
  if (!isHelp(args)) await ensureTools(BENCH_TOOLS);
  const { compileAll } = await import('./build.mjs');
  const folder = await compileAll();
  return runNode([path.join(folder, 'bench', 'main.js'), ...args]);
}

/** Stops the Docker Engine that set-up started and that --keep (or `lab up`) left running. */
async function stopStartedEngine() {
  if (!(await stopEngine())) process.stderr.write('Nothing to stop: set-up has no idle engine of its own.\n');
  return 0;
}

async function ensurePackages() {
  checkNode();
  await ensureDependencies();
}

/** The compiled product. Needs the packages; goes on beside what waits for downloads. */
async function ensureBuilt() {
  const { build } = await import('./build.mjs');
  await build();
}

/** What only prints a text needs the npm packages alone. */
async function runPrepared(file, args) {
  await ensurePackages();
  return runTypeScript(existing(file), args);
}

/**
 * Tools, then the engine, then the images that need the engine: the base, and the lab's own for the DTR versions named.
 * `laterTools` are installed while the images are built; they would only hold the engine up.
 */
async function prepareLab(tools, { versions = [], laterTools = [] } = {}) {
  const engineTools = (await engineAnswers()) ? [] : ['dockerd', 'iptables'];
  await ensureTools([...tools, ...engineTools]);
  await ensureEngine();
  await ensureBaseImage();
  await Promise.all([versions.length > 0 ? ensureLabImages(versions) : undefined, ensureTools(laterTools)]);
}

function existing(file) {
  if (!existsSync(inRoot(file))) throw new SetupError(`${file} is missing from this clone.`, 'Run: git status; git checkout -- lab');
  return file;
}

/** Whether the chosen tests (all, if none is) run the product from dist/; the others need not wait for it. */
function runsProduct(args) {
  const chosen = args.filter((arg) => /^(\.\/)?test(\/|$)/.test(arg));
  return chosen.length === 0 || chosen.some((arg) => /^(\.\/)?test(\/?$|\/(client|workflows|e2e))/.test(arg));
}

const isHelp = (args) => args.includes('--help') || args.includes('-h') || args[0] === 'help';

/**
 * `run` gives the exit code, or a function that prints the last lines and gives it. `keepsEngine`: whether an engine that this very
 * command started goes on running after it.
 */
export const commands = {
  demo: { run: demo, keepsEngine: (args) => args.includes('--keep') },
  lab: { run: lab, keepsEngine: () => true },
  test: { run: test, keepsEngine: () => true },
  'test-all': { run: testAll, keepsEngine: () => false },
  'test-long': { run: testLong, keepsEngine: () => false },
  bench: { run: bench, keepsEngine: () => true },
  'stop-engine': { run: stopStartedEngine, keepsEngine: () => true },
};
