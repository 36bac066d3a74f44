/** The Temporal CLI, which carries the development server: found, else downloaded as the SDK does, else built with Go. */
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { say, step } from '../lib/console.mjs';
import { exec } from '../lib/exec.mjs';
import { acceptProgram, buildProgram, ensureProgram } from './fetched-program.mjs';

export const TEMPORAL = {
  name: 'temporal',
  title: 'Temporal CLI',
  variable: 'TEMPORAL_CLI_PATH',
  page: 'https://docs.temporal.io/cli',
  // The newest version that `go install` accepts (later ones need a nested module that the proxy does not have).
  goModule: 'github.com/temporalio/cli/cmd/temporal@v1.5.1',
  goTime: 'about 4 minutes',
};
const DOWNLOADS = 'https://temporal.download/cli/default';
const ANSWER_MS = 8_000;
const ARCHIVE_MS = 180_000;

/** Finds or fetches the CLI. @returns {Promise<string>} its path */
export function ensureTemporal() {
  return ensureProgram(TEMPORAL, async (target) => {
    const { host } = new URL(DOWNLOADS);
    try {
      await step(TEMPORAL.title, `not found on PATH: asking ${host}`, (live) => download(target, live));
    } catch (error) {
      const reason = error.cause?.code ?? error.message;
      say(TEMPORAL.title, `cannot be downloaded here (${reason})`);
      await buildProgram(TEMPORAL, target, [`${host} cannot be reached (${reason})`]);
    }
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
    await acceptProgram(TEMPORAL, path.join(folder, fileToExtract), target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
