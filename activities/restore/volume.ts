/** The registry volume on a target host: created through the host's engine, and held mounted while we write into it. */
import { z } from 'zod';
import type { Host } from '../../adapters/host/host';
import { DrydockError } from '../../domain/errors';
import type { Cluster } from '../cluster';
import { forCleanUp } from '../guard';
import { labelsOf, removeDeadContainers } from '../operation-label';
import { addressOf, inWordsOf, isSameServer, isSameSource, parseSource } from './servers';

export interface VolumeSpec {
  name: string;
  driver: string;
  options: Record<string, string>;
}

/** Longer than any step; containers of ours are removed by their label, not by their end. */
const HOLD_SECONDS = '2000000';
const inspected = z.object({ Name: z.string(), Driver: z.string(), Mountpoint: z.string(), Options: z.record(z.string(), z.string()).nullish() });

/** A plain folder of the host instead of a volume: `--dtr-storage-volume /path`. */
export function isPath(volume: VolumeSpec): boolean {
  return volume.name.startsWith('/');
}

/** True where the content lies on something that is mounted only while a container uses the volume. */
export function isMount(volume: VolumeSpec): boolean {
  return !isPath(volume) && (volume.driver !== 'local' || volume.options.device !== undefined);
}

/** Null when the engine knows no such volume. */
export async function inspectVolume(host: Host, name: string): Promise<(VolumeSpec & { mountpoint: string }) | null> {
  const answer = await host.exec(['docker', 'volume', 'inspect', '--format', '{{json .}}', name], { okCodes: [0, 1] });
  if (answer.code !== 0) {
    if (/no such volume/i.test(answer.stderr)) return null;
    throw new DrydockError('EngineUnavailable', `${host.name}: docker volume inspect ${name} failed: ${answer.stderr.trim().slice(-300)}`, { remedy: `check the Docker Engine of ${host.name}` });
  }
  const found = inspected.parse(JSON.parse(answer.stdout));
  return { name: found.Name, driver: found.Driver, options: found.Options ?? {}, mountpoint: found.Mountpoint };
}

/** What differs between a volume that is there and the one of the backup, in words; null when they are the same. */
export function volumeDifference(found: VolumeSpec, wanted: VolumeSpec): string | null {
  if (found.driver !== wanted.driver) return `it has the driver ${found.driver}, expected ${wanted.driver}`;
  const keys = [...new Set([...Object.keys(found.options), ...Object.keys(wanted.options)])].sort();
  const other = keys.filter((key) => (found.options[key] ?? '') !== (wanted.options[key] ?? ''));
  if (other.length === 0) return null;
  return `it is not the expected mount: ${other.map((key) => `${key} is "${found.options[key] ?? ''}", expected "${wanted.options[key] ?? ''}"`).join(', ')}`;
}

/** As `volumeDifference`, where the host itself knows which names and numbers mean the same server. */
export async function differenceOn(host: Host, found: VolumeSpec, wanted: VolumeSpec): Promise<string | null> {
  return volumeDifference(found, wanted) === null ? null : volumeDifference(await inWordsOf(host, found, wanted), wanted);
}

/** Creates what is missing; returns the directory of its content. Throws Conflict when another volume has the name. */
export async function ensureVolume(host: Host, volume: VolumeSpec): Promise<string> {
  if (isPath(volume)) {
    await host.exec(['mkdir', '-p', volume.name]);
    return volume.name;
  }
  const there = await inspectVolume(host, volume.name);
  const difference = there === null ? null : await differenceOn(host, there, volume);
  if (difference !== null) {
    throw new DrydockError('Conflict', `the volume ${volume.name} on ${host.name} is another one than that of the backup: ${difference}`, { remedy: `look at what is in it, then: docker volume rm ${volume.name}` });
  }
  if (there !== null) return there.mountpoint;
  const options = Object.entries(volume.options).flatMap(([key, value]) => ['--opt', `${key}=${value}`]);
  await host.exec(['docker', 'volume', 'create', '--driver', volume.driver, ...options, volume.name]);
  const created = await inspectVolume(host, volume.name);
  if (created === null) throw new DrydockError('EngineUnavailable', `${host.name}: the volume ${volume.name} was created and is not there`, { remedy: `check the Docker Engine of ${host.name}` });
  return created.mountpoint;
}

export interface Holding {
  host: Host;
  node: string;
  operation: string;
  /** With tag; must contain `sleep`. */
  image: string;
  volume: VolumeSpec;
  /** Directory of the volume's content. */
  root: string;
}

/**
 * Runs `work` while a container holds the volume's mount, and only if what is mounted is what the volume says: what is written beside a mount
 * vanishes under it. A volume that is no mount needs no holding. The helper goes whatever happens.
 */
export async function whileMounted<T>(cluster: Cluster, holding: Holding, work: () => Promise<T>): Promise<T> {
  if (!isMount(holding.volume)) return work();
  const engine = await cluster.engine();
  await removeDeadContainers(engine, cluster);
  const id = await engine.start({
    image: holding.image,
    entrypoint: ['sleep'],
    command: [HOLD_SECONDS],
    binds: [`${holding.volume.name}:/hold`],
    node: holding.node,
    labels: labelsOf(cluster, holding.operation),
    ...(cluster.config.bootstrapper.disableSelinuxLabel ? { securityOpt: ['label=disable'] } : {}),
    ...(cluster.signal === undefined ? {} : { signal: cluster.signal }),
  });
  try {
    await checkMount(holding);
    return await work();
  } finally {
    await forCleanUp(engine).removeContainer(id, { force: true });
  }
}

/** Throws Conflict unless the expected source is mounted at the volume's root. */
export async function checkMount({ host, volume, root }: Pick<Holding, 'host' | 'volume' | 'root'>): Promise<void> {
  const mount = parseMountInfo((await host.exec(['cat', '/proc/self/mountinfo'])).stdout).findLast(({ at }) => at === root);
  const refuse = (why: string): never => {
    throw new DrydockError('Conflict', `the registry volume ${volume.name} on ${host.name} is not mounted as expected: ${why}`, { remedy: `check the mount at ${root} and the volume's options on ${host.name}` });
  };
  if (mount === undefined) return refuse(`nothing is mounted at ${root}`);
  const { device } = volume.options;
  if (volume.driver !== 'local' || device === undefined) return;
  if (/\bbind\b/.test(volume.options.o ?? '')) {
    const [expected, actual] = await Promise.all([device, root].map(async (path) => (await host.exec(['stat', '-L', '-c', '%d:%i', path])).stdout.trim()));
    if (expected !== actual) refuse(`${root} is not ${device}`);
    return;
  }
  if (!(await isSameSource(host, mount.source, device))) refuse(`its source is ${mount.source}, expected ${device}`);
  const address = addressOf(volume.options.o);
  if (address === undefined) return;
  // The kernel shows the server in the source, by number in the options, or both.
  const shown = [parseSource(mount.source).server, addressOf(mount.superOptions) ?? ''].filter((server) => server !== '');
  for (const server of shown) if (await isSameServer(host, server, address)) return;
  refuse(`it comes from ${[mount.source, ...shown.slice(-1)].join(' at ')}, expected the server ${address}`);
}

/** `/proc/<pid>/mountinfo`: where each file system is mounted, and from what. */
export function parseMountInfo(text: string): { at: string; type: string; source: string; superOptions: string }[] {
  return text.split('\n').filter((line) => line !== '').map((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [type = '', source = '', superOptions = ''] = after.split(' ');
    return { at: unescape(before.split(' ')[4] ?? ''), type, source: unescape(source), superOptions };
  });
}

/** Blanks and the like stand as three octal digits. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
