/** The registry volume on the first replica's node: the expected mount, what is there already, and room for the rest. */
import type { Host } from '../../adapters/host/host';
import { listBlobs } from '../../adapters/images/listing';
import { DrydockError } from '../../domain/errors';
import type { BlobLine, Replica } from '../../domain/manifest';
import type { RestoreDecisions } from '../../domain/plan';
import type { Cluster } from '../cluster';
import { forCleanUp } from '../guard';
import { helperImage } from '../helper-container';
import { removeDeadContainers } from '../operation-label';
import type { Refusals } from './refusals';
import { ensureVolume, inspectVolume, isMount, isPath, volumeDifference, whileMounted, type VolumeSpec } from './volume';

/** Folders, link files and the file system's own needs. */
const RESERVE = 1.02;
const RESERVE_BYTES = 64 * 1024 * 1024;

export interface Delta {
  bytesToMove: number;
  bytesKept: number;
  blobs: number;
}

/** Estimates by sizes; hashes decide later. Refuses another mount and too little space. */
export async function checkStorage(cluster: Cluster, operation: string, decisions: RestoreDecisions, host: Host, blobs: BlobLine[], refusals: Refusals): Promise<Delta> {
  const all = { bytesToMove: sum(blobs), bytesKept: 0, blobs: blobs.length };
  const { volume } = decisions;
  if (volume === null || decisions.storage.kind === 'external') return { ...all, bytesToMove: 0 };
  return (await refusals.attempt(async () => {
    await checkExisting(host, volume);
    if (!isMount(volume)) return onDisk(decisions, host, volume, blobs);
    return onMount(cluster, operation, decisions, host, volume, blobs);
  })) ?? all;
}

/** Other replicas' volumes of the same storage must be what the vendor's join will take them for. */
export async function checkJoinVolume(decisions: RestoreDecisions, replica: Replica, host: Host): Promise<void> {
  if (decisions.volume === null || !isMount(decisions.volume)) return;
  await checkExisting(host, { ...decisions.volume, name: decisions.volume.name.replace(decisions.first.id, replica.id) });
}

async function checkExisting(host: Host, volume: VolumeSpec): Promise<void> {
  if (isPath(volume)) return;
  const there = await inspectVolume(host, volume.name);
  const difference = there === null ? null : volumeDifference(there, volume);
  if (difference === null) return;
  throw new DrydockError('Refused', `the volume ${volume.name} on ${host.name} is another one than that of the backup: ${difference}`, { remedy: `look at what is in it; if it can go: docker volume rm ${volume.name}` });
}

/** A local volume goes with its replica, so nothing is kept, but its room is free again. */
async function onDisk(decisions: RestoreDecisions, host: Host, volume: VolumeSpec, blobs: BlobLine[]): Promise<Delta> {
  const there = isPath(volume) ? { mountpoint: volume.name } : await inspectVolume(host, volume.name);
  const present = there === null ? new Map<string, number>() : await sizesAt(host, there.mountpoint);
  const goes = decisions.destroys.some(({ id, node }) => node === decisions.first.node && volume.name.endsWith(`-${id}`));
  const delta = deltaOf(blobs, goes ? new Map<string, number>() : present);
  const freed = goes ? [...present.values()].reduce((total, size) => total + size, 0) : 0;
  const folder = there?.mountpoint ?? (await host.exec(['docker', 'info', '--format', '{{.DockerRootDir}}'])).stdout.trim();
  await checkSpace(host, folder, delta.bytesToMove, freed);
  return delta;
}

/** The mount is tried under a name of our own, which is gone afterwards. */
async function onMount(cluster: Cluster, operation: string, decisions: RestoreDecisions, host: Host, volume: VolumeSpec, blobs: BlobLine[]): Promise<Delta> {
  const probe: VolumeSpec = { ...volume, name: `drydock-probe-${decisions.first.id}` };
  // What a dead operation holds could not be removed.
  await removeDeadContainers(await cluster.engine(), cluster);
  await host.exec(['docker', 'volume', 'rm', '-f', probe.name], { okCodes: [0, 1] });
  try {
    const root = await ensureVolume(host, probe);
    return await whileMounted(cluster, { host, node: decisions.first.node, operation, image: helperImage(cluster, decisions), volume: probe, root }, async () => {
      const delta = deltaOf(blobs, await sizesAt(host, root));
      await checkSpace(host, root, delta.bytesToMove, 0);
      return delta;
    });
  } finally {
    await forCleanUp(host).exec(['docker', 'volume', 'rm', '-f', probe.name], { okCodes: [0, 1] });
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
  return { bytesToMove: sum(blobs) - sum(kept), bytesKept: sum(kept), blobs: blobs.length };
}

async function checkSpace(host: Host, folder: string, bytes: number, freed: number): Promise<void> {
  const { stdout } = await host.exec(['df', '--output=avail', '-B1', await existing(host, folder)]);
  const free = Number(stdout.trim().split('\n').at(-1)) + freed;
  const needed = bytes === 0 ? 0 : Math.ceil(bytes * RESERVE) + RESERVE_BYTES;
  if (!(free < needed)) return;
  throw new DrydockError('NoSpace', `${host.name} has ${mib(free)} MiB free at ${folder}, the images need ${mib(needed)} MiB`, { remedy: `make room on ${host.name}, or give another node as target` });
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
