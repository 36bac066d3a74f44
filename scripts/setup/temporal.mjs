/** The Temporal CLI, which carries the development server: found, else downloaded as the SDK does, else built with Go. */
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { SetupError, say, step } from '../lib/console.mjs';
import { exec, isExecutable, which } from '../lib/exec.mjs';
import { withLock } from '../lib/lock.mjs';
import { BIN, STATE } from '../lib/paths.mjs';
import { GO_MINIMUM, goInstall, usableGo } from './go.mjs';

/** The newest version that `go install` accepts (later ones need a nested module that the proxy does not have). */
const GO_MODULE = 'github.com/temporalio/cli/cmd/temporal@v1.5.1';
const DOWNLOADS = 'https://temporal.download/cli/default';
const ANSWER_MS = 8_000;
const ARCHIVE_MS = 180_000;

/**
 * Path of a usable CLI that is already there: TEMPORAL_CLI_PATH, PATH, then what set-up fetched earlier.
 * @returns {string | undefined}
 * @throws SetupError when TEMPORAL_CLI_PATH names no program
 */
export function findTemporal({ env = process.env, bin = BIN } = {}) {
  const named = env.TEMPORAL_CLI_PATH;
  if (named) {
    if (isExecutable(named)) return path.resolve(named);
    throw new SetupError(`TEMPORAL_CLI_PATH names ${named}, which is no program.`, 'Correct the variable, or unset it to let set-up find or fetch the Temporal CLI.');
  }
  const own = path.join(bin, 'temporal');
  return which('temporal') ?? (isExecutable(own) ? own : undefined);
}

/** Finds or fetches the CLI. @returns {Promise<string>} its path */
export async function ensureTemporal({ bin = BIN } = {}) {
  const there = findTemporal({ bin });
  if (there !== undefined) return there;
  return withLock(path.join(STATE, 'temporal.lock'), async () => {
    const since = findTemporal({ bin });
    if (since !== undefined) return since;
    mkdirSync(bin, { recursive: true });
    const target = path.join(bin, 'temporal');
    try {
      await step('Temporal CLI', `not found on PATH: asking ${new URL(DOWNLOADS).host}`, (live) => download(target, live));
    } catch (error) {
      const reason = error.cause?.code ?? error.message;
      say('Temporal CLI', `cannot be downloaded here (${reason})`);
      await build(target, reason);
    }
    return target;
  });
}

/** Fetches the CLI from the address that the SDK itself uses. */
async function download(target, live) {
  const folder = mkdtempSync(path.join(path.dirname(target), 'download-'));
  try {
    const { fetch, EnvHttpProxyAgent } = await import('undici');
    const dispatcher = new EnvHttpProxyAgent();
    const query = new URLSearchParams({ arch: process.arch === 'x64' ? 'amd64' : process.arch, platform: process.platform, format: 'tar.gz' });
    const answer = await fetch(`${DOWNLOADS}?${query}`, { dispatcher, signal: AbortSignal.timeout(ANSWER_MS) });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const { archiveUrl, fileToExtract } = await answer.json();
    live(`downloading ${archiveUrl}`);
    const archive = await fetch(archiveUrl, { dispatcher, signal: AbortSignal.timeout(ARCHIVE_MS) });
    if (!archive.ok) throw new Error(`HTTP ${archive.status} for the archive`);
    await writeFile(path.join(folder, 'cli.tar.gz'), Buffer.from(await archive.arrayBuffer()));
    const unpacked = await exec('tar', ['-xzf', 'cli.tar.gz', fileToExtract], { cwd: folder });
    if (unpacked.code !== 0) throw new Error(unpacked.output.trim());
    await accept(path.join(folder, fileToExtract), target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function build(target, refusal) {
  const go = await usableGo();
  if (go === undefined) {
    throw new SetupError(
      `The Temporal CLI is missing: it is not on PATH, temporal.download cannot be reached (${refusal}), and there is no Go >= ${GO_MINIMUM} to build it with.`,
      `Any one of these helps: put the program "temporal" on PATH (https://docs.temporal.io/cli), name it in TEMPORAL_CLI_PATH,\nor install Go >= ${GO_MINIMUM} (https://go.dev/dl). Then run the same command again.`,
    );
  }
  await step('Temporal CLI', `building ${GO_MODULE} with Go (about 4 minutes, once)`, (live) => goInstall(go, GO_MODULE, target, live, accept));
}

/** A program that does not even tell its version is not kept. */
async function accept(program, target) {
  const { code, output } = await exec(program, ['--version'], { timeoutMs: 30_000 });
  if (code !== 0) throw new SetupError(`The Temporal CLI that was fetched does not run: ${output.trim()}`, 'Put another "temporal" on PATH.');
  renameSync(program, target);
}
