/** The vendor's images on a node: what is missing is pulled, since a site with a way to its registry needs nothing prepared. */
import type { Host } from '../adapters/host/host';
import { DrydockError } from '../domain/errors';

/** A pull says what it does all the time; one that says nothing for this long has no way out. */
const PULL_STALL_MS = 60_000;
const SHOWN = 300;

/** Throws Refused naming the images that the node has not and cannot pull, with what the pull said; EngineUnavailable. */
export async function ensureImages(host: Host, images: string[]): Promise<void> {
  const failed: { image: string; why: string }[] = [];
  for (const image of await missingImages(host, images)) {
    const why = await pull(host, image);
    if (why !== null) failed.push({ image, why });
  }
  const [first] = failed;
  if (first === undefined) return;
  const [it, names] = [failed.length > 1 ? 'them' : 'it', failed.map(({ image }) => image).join(', ')];
  throw new DrydockError('Refused', `${host.name} has not the image${failed.length > 1 ? 's' : ''} ${names} and cannot pull ${it}: ${first.why}`, {
    remedy: `docker pull or docker load ${it} on ${host.name}`,
  });
}

/** Those of the images that the node's engine has not. */
export async function missingImages(host: Host, images: string[]): Promise<string[]> {
  const answer = await host.exec(['docker', 'image', 'inspect', '--format', '{{.Id}}', ...images], { okCodes: [0, 1] });
  if (answer.code === 0) return [];
  const missing = images.filter((image) => answer.stderr.includes(`No such image: ${image}`));
  if (missing.length > 0) return missing;
  throw new DrydockError('EngineUnavailable', `the Docker Engine of ${host.name} does not answer: ${answer.stderr.trim().slice(-SHOWN)}`, { remedy: `check dockerd on ${host.name}` });
}

/** Null when the image is there now, else why not, in the engine's words. */
async function pull(host: Host, image: string): Promise<string | null> {
  try {
    const { code, stderr } = await host.exec(['docker', 'pull', '--quiet', image], { okCodes: [0, 1], stallMs: PULL_STALL_MS });
    return code === 0 ? null : stderr.trim().split('\n').at(-1)!.slice(-SHOWN);
  } catch (error) {
    if (error instanceof DrydockError && error.kind === 'Stalled') return `the pull said nothing for ${PULL_STALL_MS / 1000} s`;
    throw error;
  }
}
