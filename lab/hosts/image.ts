/** Builds the lab's own images on the machine's engine; a label with a hash of all that goes in tells whether one is up to date. */
import { createHash } from 'node:crypto';
import { copyFile, link, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { docker, run } from './process';

export const BASE_IMAGE = 'debian:bookworm-slim';
/** Engine and SSH server: a replica host. */
export const HOST_IMAGE = 'drydock-lab/host:latest';
/** The same with Node, UCP and the load balancer. */
export const SERVICE_IMAGE = 'drydock-lab/ucp:latest';
const HASH_LABEL = 'drydock.lab.hash';

type Log = (line: string) => void;

/** Builds what is missing or out of date. Returns false when all was there. */
export async function buildLabImages(log: Log, signal?: AbortSignal): Promise<boolean> {
  const hostBuilt = await buildHostImage(log, signal);
  const serviceBuilt = await buildServiceImage(log, signal);
  return hostBuilt || serviceBuilt;
}

async function buildHostImage(log: Log, signal?: AbortSignal): Promise<boolean> {
  const names = ['Dockerfile', 'host.sh', 'keys.sh', 'seed.sh', 'sshd_config'];
  const files = await Promise.all(names.map((name) => readFile(path.join(__dirname, name))));
  return await buildIfStale(HOST_IMAGE, hashOf([BASE_IMAGE, ...files]), __dirname, log, signal);
}

async function buildServiceImage(log: Log, signal?: AbortSignal): Promise<boolean> {
  const context = await mkdtemp(path.join(os.tmpdir(), 'drydock-lab-'));
  try {
    await build({
      entryPoints: { ucp: path.join(__dirname, '..', 'ucp', 'main.ts'), lb: path.join(__dirname, '..', 'lb', 'main.ts') },
      bundle: true,
      platform: 'node',
      target: 'node20',
      outdir: context,
      logLevel: 'warning',
    });
    const dockerfile = path.join(__dirname, '..', 'ucp', 'Dockerfile');
    await copyFile(dockerfile, path.join(context, 'Dockerfile'));
    const bundles = (await readdir(context)).sort();
    const parts = await Promise.all(bundles.map((name) => readFile(path.join(context, name))));
    const host = await docker(['image', 'inspect', '--format', '{{.Id}}', HOST_IMAGE]);
    await linkOrCopy(process.execPath, path.join(context, 'node'));
    return await buildIfStale(SERVICE_IMAGE, hashOf([host, process.version, ...parts]), context, log, signal);
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}

async function buildIfStale(tag: string, hash: string, context: string, log: Log, signal?: AbortSignal): Promise<boolean> {
  const present = await run('docker', ['image', 'inspect', '--format', `{{index .Config.Labels "${HASH_LABEL}"}}`, tag], { okCodes: [0, 1], signal });
  if (present.code === 0 && present.stdout.trim() === hash) return false;
  log(`building ${tag}`);
  await run('docker', ['build', '--network', 'host', '--tag', tag, '--label', `${HASH_LABEL}=${hash}`, context], {
    onLine: log,
    signal,
  });
  return true;
}

function hashOf(parts: (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(createHash('sha256').update(part).digest());
  return hash.digest('hex');
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch {
    await copyFile(from, to);
  }
}
