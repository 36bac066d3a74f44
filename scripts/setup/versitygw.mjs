/** The S3 server of the tests: found, else built with Go. */
import { mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { SetupError, step } from '../lib/console.mjs';
import { exec, isExecutable, which } from '../lib/exec.mjs';
import { withLock } from '../lib/lock.mjs';
import { BIN, STATE } from '../lib/paths.mjs';
import { GO_MINIMUM, goInstall, usableGo } from './go.mjs';

const GO_MODULE = 'github.com/versity/versitygw/cmd/versitygw@v1.8.0';

/**
 * Path of a versitygw that is already there: VERSITYGW_PATH, PATH, then what set-up built earlier.
 * @returns {string | undefined}
 * @throws SetupError when VERSITYGW_PATH names no program
 */
export function findVersitygw({ env = process.env, bin = BIN } = {}) {
  const named = env.VERSITYGW_PATH;
  if (named) {
    if (isExecutable(named)) return path.resolve(named);
    throw new SetupError(`VERSITYGW_PATH names ${named}, which is no program.`, 'Correct the variable, or unset it to let set-up find or build versitygw.');
  }
  const own = path.join(bin, 'versitygw');
  return which('versitygw') ?? (isExecutable(own) ? own : undefined);
}

/** Finds or builds the server. @returns {Promise<string>} its path */
export async function ensureVersitygw({ bin = BIN } = {}) {
  const there = findVersitygw({ bin });
  if (there !== undefined) return there;
  return withLock(path.join(STATE, 'versitygw.lock'), async () => {
    const since = findVersitygw({ bin });
    if (since !== undefined) return since;
    mkdirSync(bin, { recursive: true });
    const target = path.join(bin, 'versitygw');
    const go = await usableGo();
    if (go === undefined) {
      throw new SetupError(
        `The S3 server of the tests is missing: versitygw is not on PATH, and there is no Go >= ${GO_MINIMUM} to build it with.`,
        `Any one of these helps: put the program "versitygw" on PATH (https://github.com/versity/versitygw/releases), name it in VERSITYGW_PATH,\nor install Go >= ${GO_MINIMUM} (https://go.dev/dl). Then run the same command again.`,
      );
    }
    await step('S3 server', `building ${GO_MODULE} with Go (about a minute, once)`, (live) => goInstall(go, GO_MODULE, target, live, accept));
    return target;
  });
}

async function accept(program, target) {
  const { code, output } = await exec(program, ['--version'], { timeoutMs: 30_000 });
  if (code !== 0) throw new SetupError(`The versitygw that was built does not run: ${output.trim()}`, 'Put another "versitygw" on PATH.');
  renameSync(program, target);
}
