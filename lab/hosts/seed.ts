/** Images for the hosts' engines: loaded once into a seed volume, which each new host starts from a copy of. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { HOST_IMAGE } from './image';
import { docker, pipeImages, run } from './process';

const SEED_LABEL = 'drydock.lab.seed';

/**
 * Makes the seed volume for these images, or finds it. `kind` (a version, `bare`) keeps one seed each: an older one of the kind is removed.
 * Returns the volume's name. Throws LabError where the machine has not one of the images.
 */
export async function ensureSeed(kind: string, images: string[], log: (line: string) => void, signal?: AbortSignal): Promise<string> {
  const ids = await docker(['image', 'inspect', '--format', '{{.Id}} {{.RepoTags}}', ...images], { signal });
  const host = await docker(['image', 'inspect', '--format', '{{.Id}}', HOST_IMAGE], { signal });
  const hash = createHash('sha256').update(`${ids}\n${host}`).digest('hex').slice(0, 12);
  const volume = `drydock-lab-seed-${hash}`;
  // A finished seed has a marker volume beside it: a volume's labels cannot be changed after its making.
  const marker = `${volume}-ready`;
  if ((await run('docker', ['volume', 'inspect', volume, marker], { okCodes: [0, 1], signal })).code === 0) return volume;
  const loader = `${volume}-loader`;
  await docker(['rm', '--force', loader]);
  await docker(['volume', 'rm', '--force', volume], { signal });
  await docker(['volume', 'create', '--label', `${SEED_LABEL}=${kind}`, volume], { signal });
  log(`loading ${images.length} images once, for all hosts`);
  const loading = pipeImages(
    images,
    ['run', '--rm', '-i', '--name', loader, '--network', 'none', '--cap-add', 'ALL', '--cap-drop', 'SYS_RESOURCE', '--security-opt', 'seccomp=unconfined', '--security-opt', 'apparmor=unconfined',
      '--security-opt', 'systempaths=unconfined', '--tmpfs', '/run:exec', '--log-driver', 'none', '-v', `${volume}:/var/lib/docker`, '--entrypoint', 'bash', HOST_IMAGE, '/usr/local/lib/lab/seed.sh'], // prettier-ignore
    signal,
  );
  await loading.finally(() => docker(['rm', '--force', loader]));
  await docker(['volume', 'create', '--label', `${SEED_LABEL}=${kind}`, marker], { signal });
  await removeOthers(kind, volume, signal);
  return volume;
}

/**
 * Fills a host's engine volume from a seed; device files and overlay attributes are kept. The layers of images are linked, not copied, since an engine adds and
 * removes layers but never writes into one: a host is there sooner, and all of them share what the machine has of them in memory.
 */
export async function copySeed(seed: string, engineVolume: string, labName: string, signal?: AbortSignal): Promise<void> {
  const mountpoint = await docker(['volume', 'inspect', '--format', '{{.Mountpoint}}', seed], { signal });
  // Links need both volumes below one mount: the folder in which the engine keeps them.
  const volumes = path.posix.dirname(path.posix.dirname(mountpoint));
  await docker(
    ['run', '--rm', '--network', 'none', '--cap-add', 'SYS_ADMIN', '--label', `drydock.lab=${labName}`, '--log-driver', 'none', '-v', `${volumes}:/volumes`,
      '--entrypoint', 'sh', HOST_IMAGE, '-ec', LINK_LAYERS, `/volumes/${seed}/_data`, `/volumes/${engineVolume}/_data`], // prettier-ignore
    { signal },
  );
}

/** $0: the seed, $1: what is filled. */
const LINK_LAYERS = 'cd "$0"; for name in *; do if [ "$name" = overlay2 ]; then cp -al "$name" "$1/"; else cp -a "$name" "$1/"; fi; done';

/** A seed in use stays. */
async function removeOthers(kind: string, keep: string, signal?: AbortSignal): Promise<void> {
  const volumes = await docker(['volume', 'ls', '--quiet', '--filter', `label=${SEED_LABEL}=${kind}`], { signal });
  const old = volumes.split('\n').filter((name) => name !== '' && !name.startsWith(keep));
  for (const volume of old) await run('docker', ['volume', 'rm', volume], { okCodes: [0, 1], signal });
}
