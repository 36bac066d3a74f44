/** Images for the hosts' engines: loaded once into a seed volume, which each new host starts from a copy of. */
import { createHash } from 'node:crypto';
import { HOST_IMAGE } from './image';
import { docker, pipeImages, run } from './process';

const SEED_LABEL = 'drydock.lab.seed';

/** Makes the seed volume for these images, or finds it. Returns its name. Throws LabError where the machine has not one of the images. */
export async function ensureSeed(images: string[], log: (line: string) => void, signal?: AbortSignal): Promise<string> {
  const ids = await docker(['image', 'inspect', '--format', '{{.Id}} {{.RepoTags}}', ...images], { signal });
  const host = await docker(['image', 'inspect', '--format', '{{.Id}}', HOST_IMAGE], { signal });
  const hash = createHash('sha256').update(`${ids}\n${host}`).digest('hex').slice(0, 12);
  const volume = `drydock-lab-seed-${hash}`;
  const present = await run('docker', ['volume', 'inspect', '--format', `{{index .Labels "${SEED_LABEL}"}}`, volume], { okCodes: [0, 1], signal });
  // The label of a finished seed is on a marker volume: a volume's own labels cannot be changed after its making.
  const marker = `${volume}-ready`;
  const ready = await run('docker', ['volume', 'inspect', marker], { okCodes: [0, 1], signal });
  if (present.code === 0 && ready.code === 0) return volume;
  await docker(['volume', 'rm', '--force', volume], { signal });
  await docker(['volume', 'create', '--label', `${SEED_LABEL}=${hash}`, volume], { signal });
  log(`loading ${images.length} images once, for all hosts`);
  await pipeImages(
    images,
    ['run', '--rm', '-i', '--network', 'none', '--cap-add', 'ALL', '--cap-drop', 'SYS_RESOURCE', '--security-opt', 'seccomp=unconfined', '--security-opt', 'apparmor=unconfined',
      '--security-opt', 'systempaths=unconfined', '--tmpfs', '/run:exec', '--log-driver', 'none', '-v', `${volume}:/var/lib/docker`, '--entrypoint', 'bash', HOST_IMAGE, '/usr/local/lib/lab/seed.sh'], // prettier-ignore
    signal,
  );
  await docker(['volume', 'create', '--label', `${SEED_LABEL}=${hash}`, marker], { signal });
  return volume;
}

/** Fills a host's engine volume from a seed; device files and overlay attributes are kept. */
export async function copySeed(seed: string, engineVolume: string, labName: string, signal?: AbortSignal): Promise<void> {
  await docker(
    ['run', '--rm', '--network', 'none', '--cap-add', 'SYS_ADMIN', '--label', `drydock.lab=${labName}`, '--log-driver', 'none', '-v', `${seed}:/from:ro`, '-v', `${engineVolume}:/to`,
      '--entrypoint', 'cp', HOST_IMAGE, '-a', '/from/.', '/to/'], // prettier-ignore
    { signal },
  );
}

/** Seeds of images that are gone or were built anew; a seed in use stays. */
export async function removeOldSeeds(keep: string, signal?: AbortSignal): Promise<void> {
  const volumes = (await docker(['volume', 'ls', '--quiet', '--filter', `label=${SEED_LABEL}`], { signal })).split('\n').filter((name) => name !== '');
  for (const volume of volumes) if (!volume.startsWith(keep)) await run('docker', ['volume', 'rm', volume], { okCodes: [0, 1], signal });
}
