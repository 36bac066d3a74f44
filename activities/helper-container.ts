/** `images: docker`: the registry volume is read from a helper container on its node, through UCP. */
import { openContainerHost, VOLUME_ROOT } from '../adapters/host/container';
import type { Cluster, ImagesHelper, ImagesPlace, ImagesVolume } from './cluster';
import { labelsOf, removeDeadContainers } from './operation-label';

/** The image of helper containers: the bootstrapper's is on every node of a replica already. */
export function helperImage({ config }: Pick<Cluster, 'config'>, { bootstrapperImage }: { bootstrapperImage: string }): string {
  return config.policy.helperImage ?? bootstrapperImage;
}

/** Starts it; what dead attempts and operations of the cluster left is removed first. Throws what `openContainerHost` throws. */
export async function openImages(cluster: Cluster, volume: ImagesVolume, helper: ImagesHelper): Promise<ImagesPlace> {
  const engine = await cluster.engine();
  await removeDeadContainers(engine, cluster);
  const image = helperImage(cluster, helper);
  const host = await openContainerHost(engine, `the helper container on ${volume.host} (${image})`, {
    image,
    source: volume.name,
    labels: labelsOf(cluster, helper.operation),
    ...(volume.host === '' ? {} : { node: volume.host }),
    ...(cluster.config.bootstrapper.disableSelinuxLabel ? { securityOpt: ['label=disable'] } : {}),
  });
  return { host, root: VOLUME_ROOT };
}
