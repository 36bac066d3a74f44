/** Builds the images of the stand-in DTR on the machine's engine: one base, and for each name of the vendor's a few lines over it. */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, link, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { bootstrapperImage, COMPONENTS, imageOrg } from '../contract';

const run = promisify(execFile);

const DTR_BASE = 'drydock-lab/dtr-base:latest';
const HASH_LABEL = 'drydock.lab.hash';
const FILES = ['Dockerfile', 'entry.sh', 'health.sh'];

type Log = (line: string) => void;

/** All images of a version: the bootstrapper and one for each component. */
export function dtrImages(version: string): string[] {
  return [bootstrapperImage(version), ...COMPONENTS.map((component) => `${imageOrg(version)}/dtr-${component}:${version}`)];
}

/** Builds what is missing or out of date (told by a label with a hash of all that goes in). Throws when Docker refuses. */
export async function buildDtrImages(version: string, log: Log, signal?: AbortSignal): Promise<void> {
  const context = await mkdtemp(path.join(os.tmpdir(), 'drydock-dtr-'));
  try {
    const hash = await prepareContext(context);
    if ((await labelOf(DTR_BASE)) !== hash) {
      log('building the base of the DTR images');
      await dockerBuild(context, DTR_BASE, hash, log, signal);
    }
    for (const image of dtrImages(version)) {
      if ((await labelOf(image)) === hash) continue;
      log(`building ${image}`);
      await dockerBuildText(layerOver(image, version), image, hash, signal);
    }
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}

async function prepareContext(context: string): Promise<string> {
  await build({ entryPoints: [path.join(__dirname, 'main.ts')], bundle: true, platform: 'node', target: 'node20', outfile: path.join(context, 'dtr.js'), logLevel: 'warning' });
  for (const name of FILES) await copyFile(path.join(__dirname, name), path.join(context, name));
  const node = path.join(context, 'node');
  await link(process.execPath, node).catch(() => copyFile(process.execPath, node));
  const parts = await Promise.all([...FILES, 'dtr.js'].map((name) => readFile(path.join(context, name))));
  const hash = createHash('sha256').update(process.version);
  for (const part of [...parts, Buffer.from(layerOver('x', 'y'))]) hash.update(createHash('sha256').update(part).digest());
  return hash.digest('hex');
}

/** A name and a version over the base: variables only, so every image shares its content. */
function layerOver(image: string, version: string): string {
  const component = /\/dtr-([a-z-]+):/.exec(image)?.[1] ?? 'bootstrapper';
  return `FROM ${DTR_BASE}\nENV DTR_ROLE=${component} DTR_VERSION=${version} DTR_ORG=${imageOrg(version)}\n`;
}

async function labelOf(image: string): Promise<string> {
  const format = `{{index .Config.Labels "${HASH_LABEL}"}}`;
  return run('docker', ['image', 'inspect', '--format', format, image]).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
}

async function dockerBuild(context: string, tag: string, hash: string, log: Log, signal?: AbortSignal): Promise<void> {
  // The classic builder takes apt's network from the machine; BuildKit is not everywhere.
  const child = spawn('docker', ['build', '--network', 'host', '--tag', tag, '--label', `${HASH_LABEL}=${hash}`, context], {
    env: { ...process.env, DOCKER_BUILDKIT: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(signal ? { signal } : {}),
  });
  let last = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      last = (last + text).slice(-4000);
      for (const line of text.split('\n')) if (/^Step /.test(line)) log(line);
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code !== 0) throw new Error(`docker build of ${tag} failed:\n${last}`);
}

/** Builds from the text of a Dockerfile alone. */
async function dockerBuildText(dockerfile: string, tag: string, hash: string, signal?: AbortSignal): Promise<void> {
  const context = await mkdtemp(path.join(os.tmpdir(), 'drydock-layer-'));
  try {
    await writeFile(path.join(context, 'Dockerfile'), dockerfile);
    await run('docker', ['build', '--quiet', '--tag', tag, '--label', `${HASH_LABEL}=${hash}`, context], { env: { ...process.env, DOCKER_BUILDKIT: '0' }, ...(signal ? { signal } : {}) });
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}
