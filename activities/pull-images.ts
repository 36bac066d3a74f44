import type { PullProgress } from '../adapters/docker/pull';
import { DrydockError } from '../domain/errors';
import type { Cluster } from './cluster';
import { report } from './pulse';

/** What a pull needs of a cluster. */
export type PullingCluster = Pick<Cluster, 'engine' | 'signal'>;

/** Progress lines come many times a second. */
const REPORT_MS = 500;

/**
 * Lets UCP pull images that a node lacks, on all nodes at once, with live progress. Returns why one could not be pulled, undefined when all were; the nodes have to be looked at
 * again in either case, because UCP pulls on all of them and names the first failure only.
 */
export async function pullImages(cluster: PullingCluster, images: string[]): Promise<string | undefined> {
  const engine = await cluster.engine();
  let why: string | undefined;
  for (const [at, image] of images.entries()) {
    let reportedAt = 0;
    const onProgress = ({ bytesDone, bytesTotal }: PullProgress): void => {
      if (Date.now() - reportedAt < REPORT_MS) return;
      reportedAt = Date.now();
      report({ phase: `pulling ${image}`, bytesDone, ...(bytesTotal > 0 ? { bytesTotal } : {}), itemsDone: at, itemsTotal: images.length });
    };
    onProgress({ bytesDone: 0, bytesTotal: 0, status: '' });
    try {
      await engine.pullImage(image, { onProgress, ...(cluster.signal === undefined ? {} : { signal: cluster.signal }) });
    } catch (error) {
      cluster.signal?.throwIfAborted();
      if (!(error instanceof DrydockError)) throw error;
      why ??= error.message;
    }
  }
  return why;
}
