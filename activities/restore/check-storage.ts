/** The registry volume on each target: the expected mount, what is there already, room for the rest, and whether it takes what a restore does. */
import type { Host } from '../../adapters/host/host';
import { listBlobs } from '../../adapters/images/listing';
import { probeFolder } from '../../adapters/images/probe';
import { DrydockError } from '../../domain/errors';
import type { BlobLine, Replica } from '../../domain/manifest';
import type { RestoreDecisions } from '../../domain/plan';
import type { Cluster } from '../cluster';
import { forCleanUp } from '../guard';
import { helperImage } from '../helper-container';
import { removeDeadContainers } from '../operation-label';
import type { Refusals } from './refusals';
import { differenceOn, ensureVolume, inspectVolume, isMount, isPath, whileMounted, type VolumeSpec } from './volume';

/** Folders, link files and the file system's own needs. */
const RESERVE = 1.02;
const RESERVE_BYTES = 64 * 1024 * 1024;
/** The file and its folder. */
const INODES_PER_BLOB = 2;
const PROBE_VOLUME = 'drydock-probe-';

export interface Delta {
  bytesToMove: number;
  bytesKept: number;
  blobs: number;
  blobsToMove: number;
}

/** What all looks at a target share. */
export interface StorageLook {
  cluster: Cluster;
  operation: string;
  decisions: RestoreDecisions;
  /** Of what the restore will write. */
  owner: { uid: number; gid: number };
}

/** Estimates by sizes; hashes decide later. Refuses another mount, too little space, and a place that does not take what a restore does. */
export async function checkStorage(look: StorageLook, host: Host, blobs: BlobLine[], refusals: Refusals): Promise<Delta> {
  const { decisions } = look;
  const all: Delta = { bytesToMove: sum(blobs), bytesKept: 0, blobs: blobs.length, blobsToMove: blobs.length };
  const { volume } = decisions;
  if (volume === null || decisions.storage.kind === 'external') return { ...all, bytesToMove: 0 };
  return (await refusals.attempt(async () => {
    await checkExisting(host, volume);
    if (!isMount(volume)) return onDisk(look, host, volume, blobs);
    return onMount(look, host, decisions.first, volume, async (root) => {
      const delta = deltaOf(blobs, await sizesAt(host, root));
      await checkSpace(host, root, delta, 0);
      await probe(look, host, root);
      return delta;
    });
  })) ?? all;
}

/** Other replicas' volumes of the same storage must be what the vendor's join will take them for, and must take what the registry writes. */
export async function checkJoinVolume(look: StorageLook, replica: Replica, host: Host): Promise<void> {
  const { volume, first } = look.decisions;
  if (volume === null || !isMount(volume)) return;
  const own = { ...volume, name: volume.name.replace(first.id, replica.id) };
  await checkExisting(host, own);
  await onMount(look, host, replica, own, (root) => probe(look, host, root));
}

async function checkExisting(host: Host, volume: VolumeSpec): Promise<void> {
  if (isPath(volume)) return;
  const there = await inspectVolume(host, volume.name);
  const difference = there === null ? null : await differenceOn(host, there, volume);
  if (difference === null) return;
  throw new DrydockError('Refused', `the volume ${volume.name} on ${host.name} is another one than that of the backup: ${difference}`, { remedy: `look at what is in it; if it can go: docker volume rm ${volume.name}` });
}

/** A local volume goes with its replica, so nothing is kept, but its room is free again. */
async function onDisk(look: StorageLook, host: Host, volume: VolumeSpec, blobs: BlobLine[]): Promise<Delta> {
  const { destroys, first } = look.decisions;
  const there = isPath(volume) ? { mountpoint: volume.name } : await inspectVolume(host, volume.name);
  const present = there === null ? new Map<string, number>() : await sizesAt(host, there.mountpoint);
  const goes = destroys.some(({ id, node }) => node === first.node && volume.name.endsWith(`-${id}`));
  const delta = deltaOf(blobs, goes ? new Map<string, number>() : present);
  const freed = goes ? [...present.values()].reduce((total, size) => total + size, 0) : 0;
  const folder = await existing(host, there?.mountpoint ?? (await engineFolder(host)));
  await checkSpace(host, folder, delta, freed);
  await probe(look, host, folder);
  return delta;
}

/** Where the engine makes its volumes, if that is a disk of its own; its own folder else. A folder among the volumes would be taken for one. */
async function engineFolder(host: Host): Promise<string> {
  const root = (await host.exec(['docker', 'info', '--format', '{{.DockerRootDir}}'])).stdout.trim();
  const volumes = `${root}/volumes`;
  const { stdout } = await host.exec(['stat', '-c', '%d', root, volumes], { okCodes: [0, 1] });
  const [one, other = one] = stdout.trim().split('\n');
  return one === other ? root : volumes;
}

async function probe({ cluster: { signal }, operation, owner }: StorageLook, host: Host, folder: string): Promise<void> {
  await probeFolder(host, { folder, operation, owner, ...(signal === undefined ? {} : { signal }) });
}

/** The mount is tried under a name of our own, which is gone afterwards; what an earlier look left that was cut off goes first. */
async function onMount<T>({ cluster, operation, decisions }: StorageLook, host: Host, { id, node }: Replica, volume: VolumeSpec, look: (root: string) => Promise<T>): Promise<T> {
  const probed: VolumeSpec = { ...volume, name: `${PROBE_VOLUME}${id}` };
  // What a dead operation holds could not be removed.
  await removeDeadContainers(await cluster.engine(), cluster);
  const left = (await host.exec(['docker', 'volume', 'ls', '-q', '--filter', `name=${PROBE_VOLUME}`])).stdout.split('\n').filter((name) => name.startsWith(PROBE_VOLUME));
  for (const name of new Set([...left, probed.name])) await host.exec(['docker', 'volume', 'rm', '-f', name], { okCodes: [0, 1] });
  try {
    const root = await ensureVolume(host, probed);
    return await whileMounted(cluster, { host, node, operation, image: helperImage(cluster, decisions), volume: probed, root }, () => look(root));
  } finally {
    await forCleanUp(host).exec(['docker', 'volume', 'rm', '-f', probed.name], { okCodes: [0, 1] });
  }
}

async function sizesAt(host: Host, root: string): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  if ((await host.exec(['test', '-d', root], { okCodes: [0, 1] })).code !== 0) return sizes;
  for await (const { path, size } of listBlobs(host, root)) sizes.set(path, size);
  return sizes;
}

function deltaOf(blobs: BlobLine[], present: Map<string, number>): Delta {
  const kept = blobs.filter(({ path, size }) => present.get(path) === size);
  return { bytesToMove: sum(blobs) - sum(kept), bytesKept: sum(kept), blobs: blobs.length, blobsToMove: blobs.length - kept.length };
}

async function checkSpace(host: Host, folder: string, { bytesToMove: bytes, blobsToMove }: Delta, freed: number): Promise<void> {
  // POSIX forms: `--output` is newer than some of these hosts.
  const free = Number((await lastOfDf(host, ['-P', '-k'], folder))[3]) * 1024 + freed;
  const needed = bytes === 0 ? 0 : Math.ceil(bytes * RESERVE) + RESERVE_BYTES;
  if (free < needed) {
    throw new DrydockError('NoSpace', `${host.name} has ${mib(free)} MiB free at ${folder}, the images need ${mib(needed)} MiB`, { remedy: `make room on ${host.name}, or give another node as target` });
  }
  const [, inodes, , freeInodes] = (await lastOfDf(host, ['-P', '-i'], folder)).map(Number);
  // What a volume that goes will free is not known, and some file systems have no count of inodes.
  const files = freed > 0 ? 0 : blobsToMove * INODES_PER_BLOB;
  if (!(inodes! > 0 && freeInodes! < files)) return;
  throw new DrydockError('NoSpace', `${host.name} has ${freeInodes} inodes free at ${folder}, the images need ${files} (df -i)`, { remedy: `remove small files on ${host.name}, or give another node as target` });
}

async function lastOfDf(host: Host, flags: string[], folder: string): Promise<string[]> {
  return (await host.exec(['df', ...flags, folder])).stdout.trim().split('\n').at(-1)!.split(/\s+/);
}

/** The nearest folder above that exists: a path for images may have to be made first. */
async function existing(host: Host, folder: string): Promise<string> {
  for (let path = folder; path !== '/' && path !== ''; path = path.slice(0, path.lastIndexOf('/'))) {
    if ((await host.exec(['test', '-e', path], { okCodes: [0, 1] })).code === 0) return path;
  }
  return '/';
}

function sum(blobs: BlobLine[]): number {
  return blobs.reduce((total, { size }) => total + size, 0);
}

function mib(bytes: number): number {
  return Math.round(bytes / (1024 * 1024));
}
