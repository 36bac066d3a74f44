import { DrydockError } from '../domain/errors';
import type { Cluster } from './cluster';
import { report } from './pulse';

/**
 * Lets UCP pull images that a node lacks. Returns why one could not be pulled, undefined when all were; the nodes have to be looked at again in
 * either case, because UCP pulls on all of them and names the first failure only.
 */
export async function pullImages(cluster: Cluster, images: string[]): Promise<string | undefined> {
  const engine = await cluster.engine();
  for (const [at, image] of images.entries()) {
    report({ phase: `pulling ${image}`, bytesDone: 0, itemsDone: at, itemsTotal: images.length });
    try {
      await engine.pullImage(image, cluster.signal);
    } catch (error) {
      cluster.signal?.throwIfAborted();
      if (error instanceof DrydockError) return error.message;
      throw error;
    }
  }
  return undefined;
}
