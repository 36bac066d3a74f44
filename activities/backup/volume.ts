/** Where the images of a cluster lie: found by what the registry's container mounts, never by guessing. */
import type { ContainerDetails, Engine } from '../../adapters/docker/engine';
import { HELPER_IMAGE } from '../../adapters/host/container-start';
import type { Host } from '../../adapters/host/host';
import { hasBlobs } from '../../adapters/images/volume';
import { DrydockError } from '../../domain/errors';
import type { Storage } from '../../domain/manifest';
import type { Cluster, ImagesPlace } from '../cluster';
import type { BackupFacts } from '../contract';
import type { Findings } from './findings';
import { checkTools } from './host-tools';
import type { ReplicaFound } from './replicas';
import { textOf } from './settings';

const STORAGE_MOUNT = '/storage';
const TOOLS = ['tar', 'find', 'xargs', 'sha256sum'];

type Volume = NonNullable<BackupFacts['volume']>;

/** What flag of `install` and `restore` stands for this storage. */
export function storageOf(settings: Record<string, unknown>, external: string | undefined): Storage {
  if (external !== undefined) return { kind: 'external', external };
  const [host, path, options, volume] = ['nfsHost', 'nfsPath', 'nfsOptions', 'storageVolume'].map((name) => textOf(settings, name));
  if (volume !== '' && volume !== undefined) return { kind: 'volume', storageVolume: volume };
  if (host) return { kind: 'nfs', nfsUrl: `nfs://${host}/${(path ?? '').replace(/^\/+/, '')}`, ...(options ? { nfsOptions: options } : {}) };
  return { kind: 'local' };
}

/** The registry volume of the chosen replica. Throws Refused when the images lie in another back end. */
export async function findVolume(engine: Engine, replica: ReplicaFound, registry: ContainerDetails): Promise<Omit<Volume, 'owner' | 'mode'>> {
  const mount = registry.mounts.find(({ destination }) => destination === STORAGE_MOUNT);
  if (!mount) throw elsewhere(`the registry of replica ${replica.id} mounts nothing at ${STORAGE_MOUNT}`);
  const host = replica.node;
  // A path given with --dtr-storage-volume is bound as it is; there is no volume to create again.
  if (mount.type !== 'volume' || !mount.name) return { name: mount.source, driver: 'bind', options: {}, mountpoint: mount.source, host };
  const volume = await engine.volume(replica.node === '' ? mount.name : `${replica.node}/${mount.name}`);
  if (!volume) throw new DrydockError('NotFound', `UCP does not know the volume ${mount.name} on ${replica.node}`, { remedy: 'check that the node is in the cluster and its engine answers' });
  return { name: mount.name, driver: volume.driver, options: volume.options, mountpoint: volume.mountpoint, host };
}

/** Looks at the volume from where it is read: tools, mount, owner and mode. */
export async function inspectVolume(cluster: Cluster, volume: Omit<Volume, 'owner' | 'mode'>, { host, root }: ImagesPlace, findings: Findings): Promise<Volume | undefined> {
  const inContainer = cluster.config.images === 'docker';
  const { nice, ionice } = cluster.config.policy;
  const tools = [...TOOLS, ...(nice === 0 ? [] : ['nice']), ...(ionice === 'none' ? [] : ['ionice'])];
  await findings.attempt(() => checkTools(host, tools, inContainer ? HELPER_IMAGE : 'install the packages tar, findutils, coreutils and util-linux there'));
  // In a helper container Docker itself has mounted it.
  if (!inContainer && volume.driver === 'local' && volume.options.device !== undefined) await findings.attempt(() => checkMounted(host, root));
  const owner = await findings.attempt(() => ownerOf(host, root));
  return owner && { ...volume, ...owner };
}

/** An exported folder that is not mounted shows an empty volume, and a backup of nothing. */
async function checkMounted(host: Host, mountpoint: string): Promise<void> {
  const { code } = await host.exec(['mountpoint', '-q', mountpoint], { okCodes: [0, 1, 32] });
  if (code !== 0) throw new DrydockError('Refused', `${host.name}: nothing is mounted at ${mountpoint}, so the images are not to be seen there`, { remedy: 'start the registry\'s containers on this node, or mount the share' });
}

async function ownerOf(host: Host, path: string): Promise<Pick<Volume, 'owner' | 'mode'>> {
  const { stdout } = await host.exec(['stat', '-c', '%u %g %a', path]);
  const [uid, gid, mode] = stdout.trim().split(' ');
  // `stat` leaves leading zeros out, and mode 7 is not 0007 in a manifest.
  return { owner: { uid: Number(uid), gid: Number(gid) }, mode: (mode ?? '').padStart(3, '0') };
}

/** An empty volume under a registry with tags means that its images are kept elsewhere, or are lost. */
export async function refuseEmptyVolume(cluster: Cluster, volume: Volume, { host, root }: ImagesPlace): Promise<void> {
  if (await hasBlobs(host, root, cluster.signal)) return;
  const dtr = await cluster.dtr();
  for (const { namespace, name } of (await dtr.repositories()).slice(0, 50)) {
    if ((await dtr.tags(namespace, name)).length > 0) throw elsewhere(`the registry volume at ${volume.mountpoint} on ${volume.host} holds no blobs, but ${namespace}/${name} has tags`);
  }
}

function elsewhere(why: string): DrydockError {
  return new DrydockError('Refused', `${why}: the images are kept in another back end, which Drydock does not back up yet (or they are lost)`, {
    remedy: 'if someone else looks after them, declare it: images: {external: "who looks after it"}',
  });
}
