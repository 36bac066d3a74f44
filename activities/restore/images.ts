/** Stage 2: images back into the registry volume of the first replica. */
import { readArtifact } from '../../adapters/vault/artifacts';
import { segmentsOf } from '../../adapters/vault/segment-list';
import { recordedSegments } from '../../adapters/vault/segment-places';
import { restoreBlobs, type RestoreResult } from '../../adapters/images/restore';
import { restoreTree } from '../../adapters/images/tree';
import type { Host } from '../../adapters/host/host';
import type { BlobLine, Manifest } from '../../domain/manifest';
import { volumeOf } from '../../domain/manifest-images';
import type { RestoreDecisions } from '../../domain/plan';
import type { Cluster } from '../cluster';
import { forCleanUp } from '../guard';
import { helperImage } from '../helper-container';
import { readBlobList, readDecided } from './backup';
import type { Progress } from './progress';
import { hostOf } from './targets';
import { ensureVolume, whileMounted } from './volume';

const NOTHING: RestoreResult = { kept: { blobs: 0, bytes: 0 }, written: { blobs: 0, bytes: 0 } };

/** Volume, mount, blobs by digest, link tree, owner and mode. Safe to run again: what lies there and is right is kept. */
export async function restoreImages(cluster: Cluster, step: { operation: string; decisions: RestoreDecisions }, progress: Progress): Promise<RestoreResult> {
  const { decisions, operation } = step;
  if (decisions.storage.kind === 'external' || decisions.volume === null) return NOTHING;
  const manifest = await readDecided(cluster, decisions);
  const { node } = decisions.first;
  const host = await hostOf(cluster, decisions.targets, node);
  const root = await ensureVolume(host, decisions.volume);
  const image = helperImage(cluster, decisions);
  return whileMounted(cluster, { host, node, operation, image, volume: decisions.volume, root }, async () => {
    const result = await writeBlobs(cluster, { host, root, operation, manifest }, progress);
    progress.update({ phase: 'link tree' });
    await writeTree(cluster, host, root, manifest);
    await ownRoot(host, root, manifest);
    return result;
  });
}

async function writeBlobs(cluster: Cluster, place: { host: Host; root: string; operation: string; manifest: Manifest }, progress: Progress): Promise<RestoreResult> {
  const { host, root, operation, manifest } = place;
  const volume = volumeOf(manifest.images);
  const wanted: BlobLine[] = [];
  for await (const blob of readBlobList(cluster, manifest)) wanted.push(blob);
  await ownRoot(host, root, manifest);
  return restoreBlobs({
    host, root, operation, wanted,
    cleanUpHost: forCleanUp(host),
    vault: cluster.vault,
    cluster: cluster.name,
    keys: await cluster.decryptionKeys(),
    recorded: recordedSegments(await segmentsOf(cluster.vault, manifest, cluster.signal)),
    stallMs: cluster.config.policy.stallSeconds * 1000,
    onProgress: ({ phase, blobs, bytes, totalBlobs, totalBytes }) => {
      progress.update({ phase: `${phase} blobs`, bytesDone: bytes, bytesTotal: totalBytes, itemsDone: blobs, itemsTotal: totalBlobs });
    },
    ...(volume === null ? {} : { owner: volume.owner }),
    ...(cluster.signal === undefined ? {} : { signal: cluster.signal }),
  });
}

async function writeTree(cluster: Cluster, host: Host, root: string, manifest: Manifest): Promise<void> {
  const record = manifest.artifacts.tree;
  if (record === undefined) return;
  const options = cluster.signal === undefined ? {} : { signal: cluster.signal };
  const source = await readArtifact(cluster.vault, record, await cluster.decryptionKeys(), { gunzip: true, ...options });
  await restoreTree({ host, root, source, stallMs: cluster.config.policy.stallSeconds * 1000, ...options });
}

/** The services do not run as root: without the right owner they can read nothing. */
async function ownRoot(host: Host, root: string, { images }: Manifest): Promise<void> {
  const volume = volumeOf(images);
  if (volume === null) return;
  await host.exec(['chown', `${volume.owner.uid}:${volume.owner.gid}`, root]);
  await host.exec(['chmod', volume.mode, root]);
}
