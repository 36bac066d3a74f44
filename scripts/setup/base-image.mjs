/** The base image `debian:bookworm-slim`: there already, pulled, or made from Debian's packages. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SetupError, say, step } from '../lib/console.mjs';
import { exec } from '../lib/exec.mjs';
import { ensureTools } from './packages.mjs';

export const BASE_IMAGE = 'debian:bookworm-slim';
const PULL_MS = 60_000;
const DEFAULT_MIRROR = 'http://deb.debian.org/debian';

/** Makes sure that the engine has the base image. */
export async function ensureBaseImage(image = BASE_IMAGE) {
  if (await isPresent(image)) return;
  try {
    await step('base image', `${image} is missing: docker pull`, (live) => pull(image, live));
  } catch (error) {
    say('base image', `cannot be pulled here (${error.message})`);
    await makeBaseImage(image);
  }
}

async function pull(image, live) {
  const { code, output, timedOut } = await exec('docker', ['pull', image], { timeoutMs: PULL_MS, onLine: live });
  if (code !== 0) throw new Error(timedOut ? 'no answer in time' : (lastLine(output).split(': ').at(-1) ?? 'failed'));
}

/** True when the engine has the image. */
export async function isPresent(image) {
  return (await exec('docker', ['image', 'inspect', '--format', '{{.Id}}', image])).code === 0;
}

/** Builds the image with debootstrap, from the Debian mirror that this machine uses. */
export async function makeBaseImage(image) {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new SetupError(`The image ${image} is missing and cannot be pulled.`, `Give this machine a way to Docker Hub, or load the image: docker load -i FILE. As root on Debian, set-up would make it with debootstrap.`);
  }
  await ensureTools(['debootstrap', 'tar']);
  await step('base image', `making ${image} from Debian's packages with debootstrap (about half a minute)`, async (live) => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'drydock-base-'));
    try {
      await must('debootstrap', ['--variant=minbase', 'bookworm', folder, debianMirror()], live);
      // The packages' files are in the tree already; the downloads would only make the image larger.
      for (const cache of ['var/cache/apt/archives', 'var/lib/apt/lists']) rmSync(path.join(folder, cache), { recursive: true, force: true });
      await must('sh', ['-c', 'tar -C "$0" -c . | docker import --change \'CMD ["bash"]\' - "$1"', folder, image], live);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

async function must(command, args, live) {
  const { code, output } = await exec(command, args, { onLine: live });
  if (code !== 0) throw new SetupError(`${command} failed: ${lastLine(output)}`, 'Check that the Debian mirror can be reached (apt-get update), then run the same command again.');
}

/** The mirror of this machine's own sources when it is Debian, else Debian's own address. */
function debianMirror() {
  for (const file of sourceFiles()) {
    const found = /^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s+(https?:\/\/\S+\/debian)\/?(?:\s|$)/m.exec(readFileSync(file, 'utf8'));
    if (found) return found[1];
  }
  return DEFAULT_MIRROR;
}

function sourceFiles() {
  const folder = '/etc/apt/sources.list.d';
  const list = (name) => {
    try {
      return readdirSync(name);
    } catch {
      return [];
    }
  };
  const parts = list(folder).filter((name) => /\.(list|sources)$/.test(name)).map((name) => path.join(folder, name));
  return [...(list('/etc/apt').includes('sources.list') ? ['/etc/apt/sources.list'] : []), ...parts];
}

function lastLine(output) {
  return output.trim().split('\n').at(-1) ?? '';
}
