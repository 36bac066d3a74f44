/** A program that Drydock runs but does not ship: found on this machine, else fetched into the clone. */
import { mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { SetupError, step } from '../lib/console.mjs';
import { exec, isExecutable, which } from '../lib/exec.mjs';
import { withLock } from '../lib/lock.mjs';
import { BIN, STATE } from '../lib/paths.mjs';
import { GO_MINIMUM, goInstall, usableGo } from './go.mjs';

/**
 * @typedef {object} Program
 * @property {string} name of the file
 * @property {string} title what it is, for people
 * @property {string} variable the environment variable that names one
 * @property {string} page where people get it
 * @property {string} goModule with its version
 * @property {string} goTime how long Go takes to build it
 */

/**
 * Path of a program that is already there: the variable's, PATH's, then what set-up fetched earlier.
 * @param {Program} program
 * @returns {string | undefined}
 * @throws SetupError when the variable names no program
 */
export function findProgram({ name, title, variable }, { env = process.env, bin = BIN } = {}) {
  const named = env[variable];
  if (named) {
    if (isExecutable(named)) return path.resolve(named);
    throw new SetupError(`${variable} names ${named}, which is no program.`, `Correct the variable, or unset it to let set-up find or fetch the ${title}.`);
  }
  const own = path.join(bin, name);
  return which(name) ?? (isExecutable(own) ? own : undefined);
}

/**
 * Finds the program, or lets `fetch(target)` put it into the file `target`, one at a time in this clone.
 * @param {Program} program
 * @returns {Promise<string>} its path
 */
export async function ensureProgram(program, fetch, { bin = BIN } = {}) {
  const there = findProgram(program, { bin });
  if (there !== undefined) return there;
  return withLock(path.join(STATE, `${program.name}.lock`), async () => {
    const since = findProgram(program, { bin });
    if (since !== undefined) return since;
    mkdirSync(bin, { recursive: true });
    const target = path.join(bin, program.name);
    await fetch(target);
    return target;
  });
}

/**
 * Builds the program with Go. `tried` says what else was in vain.
 * @param {Program} program
 * @throws SetupError
 */
export async function buildProgram(program, target, tried = []) {
  const { name, title, variable, page, goModule, goTime } = program;
  const go = await usableGo();
  if (go === undefined) {
    throw new SetupError(
      `The ${title} is missing: ${[`${name} is not on PATH`, ...tried].join(', ')}, and there is no Go >= ${GO_MINIMUM} to build it with.`,
      `Any one of these helps: put the program "${name}" on PATH (${page}), name it in ${variable},\nor install Go >= ${GO_MINIMUM} (https://go.dev/dl). Then run the same command again.`,
    );
  }
  await step(title, `building ${goModule} with Go (${goTime}, once)`, (live) => goInstall(go, goModule, target, live, (built) => acceptProgram(program, built, target)));
}

/** Moves a fetched program into place; one that does not even tell its version is not kept. */
export async function acceptProgram({ name, title }, fetched, target) {
  const { code, output } = await exec(fetched, ['--version'], { timeoutMs: 30_000 });
  if (code !== 0) throw new SetupError(`The ${title} that was fetched does not run: ${output.trim()}`, `Put another "${name}" on PATH.`);
  renameSync(fetched, target);
}
