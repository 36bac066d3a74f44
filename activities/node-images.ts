/** The vendor's images on nodes: what is missing is pulled, since a site with a way to its registry needs nothing prepared. */
import { createInterface } from 'node:readline';
import { PULL_SILENCE_MS } from '../adapters/docker/pull';
import type { Host } from '../adapters/host/host';
import { DrydockError } from '../domain/errors';
import { pullImages, type PullingCluster } from './pull-images';
import { report } from './pulse';

const SHOWN = 300;

/**
 * UCP pulls what any of the hosts lacks, on all of them at once; a host that still lacks something tries by itself, since it may have a login to the registry that UCP has not.
 * Returns for each host that cannot be provided why not: Refused naming the images, with the words of UCP and of the host's own engine; EngineUnavailable.
 */
export async function ensureImages(cluster: PullingCluster, hosts: Host[], images: string[]): Promise<Map<Host, DrydockError>> {
  const failed = new Map<Host, DrydockError>();
  const attempt = (host: Host, work: () => Promise<void>): Promise<void> =>
    work().catch((error: unknown) => {
      cluster.signal?.throwIfAborted();
      if (!(error instanceof DrydockError)) throw error;
      failed.set(host, error);
    });
  const missing = new Set<string>();
  await Promise.all(hosts.map((host) => attempt(host, async () => {
    for (const image of await missingImages(host, images)) missing.add(image);
  })));
  if (missing.size === 0) return inOrder(hosts, failed);
  const ucpSays = await pullImages(cluster, images.filter((image) => missing.has(image)));
  const usable = hosts.filter((host) => !failed.has(host));
  await Promise.all(usable.map((host) => attempt(host, () => pullOnHost(host, images, ucpSays, cluster.signal))));
  return inOrder(hosts, failed);
}

/** Whoever fails first, the same sentences come in the same order. */
function inOrder(hosts: Host[], failed: Map<Host, DrydockError>): Map<Host, DrydockError> {
  return new Map(hosts.flatMap((host) => (failed.has(host) ? [[host, failed.get(host)!] as const] : [])));
}

async function pullOnHost(host: Host, images: string[], ucpSays: string | undefined, signal: AbortSignal | undefined): Promise<void> {
  const failed: { image: string; why: string }[] = [];
  for (const image of await missingImages(host, images)) {
    const why = await pull(host, image, signal);
    if (why !== null) failed.push({ image, why });
  }
  const [first] = failed;
  if (first === undefined) return;
  const [it, names] = [failed.length > 1 ? 'them' : 'it', failed.map(({ image }) => image).join(', ')];
  const ucp = ucpSays === undefined || ucpSays.includes(first.why) ? '' : `; UCP: ${ucpSays}`;
  throw new DrydockError('Refused', `${host.name} has not the image${failed.length > 1 ? 's' : ''} ${names} and cannot pull ${it}: ${first.why}${ucp}`, {
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

/** Null when the image is there now, else why not, in the engine's words. Not `--quiet`: engines of the registry's own time do not know it, and a pull that says nothing looks like none. */
async function pull(host: Host, image: string, signal: AbortSignal | undefined): Promise<string | null> {
  try {
    const child = await host.spawn(['docker', 'pull', image], { stallMs: PULL_SILENCE_MS, ...(signal === undefined ? {} : { signal }) });
    child.stdin.end();
    for await (const line of createInterface({ input: child.stdout })) report({ phase: `${host.name} pulls ${image}: ${line.slice(0, SHOWN)}`, bytesDone: 0 });
    const { code, stderr } = await child.exit;
    return code === 0 ? null : stderr.trim().split('\n').at(-1)!.slice(-SHOWN);
  } catch (error) {
    if (error instanceof DrydockError && error.kind === 'Stalled') return `the pull said nothing for ${PULL_SILENCE_MS / 60_000} min`;
    throw error;
  }
}
