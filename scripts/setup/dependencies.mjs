/** The npm packages of this clone. Runs before node_modules exists, so it uses nothing from there. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { SetupError, step } from '../lib/console.mjs';
import { exec } from '../lib/exec.mjs';
import { withLock } from '../lib/lock.mjs';
import { STATE, inRoot } from '../lib/paths.mjs';

const LOCK_FILE = inRoot('package-lock.json');
const INSTALLED = inRoot('node_modules', '.package-lock.json');
/** Digest of the lock file that node_modules was installed from. */
const STAMP = inRoot('node_modules', '.drydock-lock.sha256');

const MINIMUM = [20, 19];

/** Refuses a Node that is too old, in a sentence. */
export function checkNode(version = process.versions.node) {
  const [major, minor] = version.split('.').map(Number);
  if (major > MINIMUM[0] || (major === MINIMUM[0] && minor >= MINIMUM[1])) return;
  throw new SetupError(`Drydock needs Node ${MINIMUM.join('.')} or newer; this is Node ${version}.`, 'Install Node 24 LTS (https://nodejs.org, or your package manager) and run the same command again.');
}

/** Installs the packages of package-lock.json when they are missing or older than it. */
export async function ensureDependencies() {
  if (isFresh()) return;
  await withLock(`${STATE}/npm.lock`, async () => {
    if (isFresh()) return;
    const why = existsSync(INSTALLED) ? 'package-lock.json changed since they were installed: npm ci' : 'node_modules is missing: npm ci';
    await step('npm packages', why, async (live) => {
      const { code, output } = await exec('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=http'], { cwd: inRoot(), onLine: live });
      if (code !== 0) throw new SetupError(`npm ci failed:\n${tail(output)}`, 'Check that the npm registry can be reached (npm ping), then run the same command again.');
      writeFileSync(STAMP, digestOfLock());
    });
  });
}

function isFresh() {
  if (!existsSync(INSTALLED)) return false;
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === digestOfLock()) return true;
  // Installed by hand after the lock file was written: as good as ours.
  return statSync(INSTALLED).mtimeMs >= statSync(LOCK_FILE).mtimeMs;
}

function digestOfLock() {
  return createHash('sha256').update(readFileSync(LOCK_FILE)).digest('hex');
}

function tail(output) {
  return output.trim().split('\n').filter((line) => !line.includes('http fetch')).slice(-15).join('\n');
}
