import { X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { ClusterConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { parseBundleZip, parseEnvSh } from './bundle-zip';
import type { Bundle, Ucp } from './ucp';

export { parseBundleZip } from './bundle-zip';

const PARTS = { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem', env: 'env.sh' } as const;
const FILES = { ...PARTS, replaced: 'replaced.json' } as const;
/** A kept bundle that ends sooner is replaced. */
const RENEW_MS = 24 * 3600 * 1000;
const HANG_UP_MS = 10 * 60_000;
const SAVE_TRIES = 10;
const NOTE_MS = 10 * 60_000;

/** Reads a client bundle from a folder or a zip. Throws InvalidInput naming what is missing. */
export async function loadBundle(location: string): Promise<Bundle> {
  const found = await stat(location).catch(() => undefined);
  if (found === undefined) throw new DrydockError('InvalidInput', `the client bundle ${location} does not exist`, { remedy: 'check ucp.bundle, or leave it out: then it is fetched' });
  if (!found.isDirectory()) return parseBundleZip(await readFile(location));
  const [ca, cert, key, env] = await Promise.all(Object.values(PARTS).map((name) => readPart(location, name)));
  return { ca: ca!, cert: cert!, key: key!, dockerHost: parseEnvSh(env!) };
}

/** Keeps a bundle as a folder of files that only we may read; replaces one that is there, `replaced` saying why. */
export async function saveBundle(directory: string, bundle: Bundle, replaced?: { at: string; why: string }): Promise<void> {
  await mkdir(path.dirname(directory), { recursive: true, mode: 0o700 });
  const fresh = await mkdtemp(`${directory}.new-`);
  const write = (name: string, text: string) => writeFile(path.join(fresh, name), text, { mode: 0o600 });
  await write(FILES.ca, bundle.ca);
  await write(FILES.cert, bundle.cert);
  await write(FILES.key, bundle.key);
  await write(FILES.env, `export DOCKER_HOST=${bundle.dockerHost}\n`);
  if (replaced !== undefined) await write(FILES.replaced, `${JSON.stringify(replaced)}\n`);
  // Two steps may keep theirs at once: whichever comes last stays.
  for (let tries = 1; ; tries++) {
    await rm(directory, { recursive: true, force: true });
    try {
      return await rename(fresh, directory);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (tries === SAVE_TRIES || (code !== 'ENOTEMPTY' && code !== 'EEXIST')) throw error;
    }
  }
}

/**
 * The client bundle of a cluster: the configured one, else the one kept under `stateDir`, else a new one, fetched once and kept (every
 * fetch makes a new key pair in UCP).
 */
export async function bundleFor(clusterName: string, config: ClusterConfig['ucp'], stateDir: string, ucp: Pick<Ucp, 'fetchBundle'>): Promise<Bundle> {
  if (config.bundle !== undefined) return loadBundle(config.bundle);
  const directory = path.join(stateDir, 'bundles', clusterName);
  const kept = await loadBundle(directory).catch(() => undefined);
  if (kept !== undefined && isUsable(kept)) return kept;
  const bundle = await parseBundleZip(await ucp.fetchBundle());
  await saveBundle(directory, bundle);
  return bundle;
}

export interface RefusedBundle {
  clusterName: string;
  stateDir: string;
  refused: Bundle;
  /** In a few words. */
  why: string;
  /** UCP only hung up: perhaps not because of the bundle, so one that was fetched just now stays. */
  hangUp: boolean;
}

/**
 * A new bundle in the place of the kept one that UCP has refused; undefined where that would change nothing. What another step of this worker has put there meanwhile is taken.
 */
export async function replaceBundle({ clusterName, stateDir, refused, why, hangUp }: RefusedBundle, ucp: Pick<Ucp, 'fetchBundle'>): Promise<Bundle | undefined> {
  const directory = path.join(stateDir, 'bundles', clusterName);
  const kept = await loadBundle(directory).catch(() => undefined);
  if (kept !== undefined && kept.cert !== refused.cert) return kept;
  if (hangUp && (await ageOf(directory)) < HANG_UP_MS) return undefined;
  const bundle = await parseBundleZip(await ucp.fetchBundle());
  await saveBundle(directory, bundle, { at: new Date().toISOString(), why });
  return bundle;
}

const replacedSchema = z.object({ at: z.string(), why: z.string() });

/** A sentence where the kept bundle was replaced a short while ago: the run in which that happened tells it among its warnings. */
export async function replacedNote(clusterName: string, stateDir: string): Promise<string | undefined> {
  try {
    const { at, why } = replacedSchema.parse(JSON.parse(await readFile(path.join(stateDir, 'bundles', clusterName, FILES.replaced), 'utf8')));
    return Date.now() - Date.parse(at) < NOTE_MS ? `UCP did not take the client bundle that was kept (${why}); a new one was fetched at ${at}.` : undefined;
  } catch {
    return undefined;
  }
}

async function ageOf(directory: string): Promise<number> {
  const found = await stat(directory).catch(() => undefined);
  return found === undefined ? Infinity : Date.now() - found.mtimeMs;
}

/** What `connectEngine` needs to speak to UCP with this bundle. */
export function engineAddress(bundle: Bundle): { host: string; port: number; ca: string; cert: string; key: string } {
  const url = new URL(bundle.dockerHost.replace(/^tcp:/, 'https:'));
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 443), ca: bundle.ca, cert: bundle.cert, key: bundle.key };
}

function isUsable(bundle: Bundle): boolean {
  try {
    return Date.parse(new X509Certificate(bundle.cert).validTo) > Date.now() + RENEW_MS;
  } catch {
    return false;
  }
}

async function readPart(directory: string, name: string): Promise<string> {
  try {
    return await readFile(path.join(directory, name), 'utf8');
  } catch (cause) {
    throw new DrydockError('InvalidInput', `the client bundle ${directory} has no readable ${name}`, { remedy: 'unpack the whole zip of UCP there', cause });
  }
}
