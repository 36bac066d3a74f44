/** Real images from a plan: layers that Docker can unpack, configuration, manifest, index. */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import tar from 'tar-stream';
import type { ImagePlan, LayerPlan, TagPlan } from './catalogue';
import { bytesFrom } from './random';

export interface Blob {
  digest: string;
  mediaType: string;
  data: Buffer;
}

/** What a tag needs in the registry, in the order of pushing: blobs, then manifests, the tag's own manifest last. */
export interface BuiltTag {
  blobs: Blob[];
  /** Manifests of an index's children. */
  children: Blob[];
  manifest: Blob;
}

export interface Layer {
  blob: Blob;
  /** Digest of the unpacked tar, for the configuration. */
  diffId: string;
}

const MEDIA = {
  docker: {
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
  },
  oci: {
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    index: 'application/vnd.oci.image.index.v1+json',
  },
} as const;

/** A fixed time keeps digests the same on every run. */
const CREATED = new Date('2020-01-01T00:00:00Z');

/** Layers that many tags share are built once; the rest would only fill memory. */
const CACHE_BYTES = 128 * 2 ** 20;

/** Layers built so far, by name and media type, up to CACHE_BYTES. */
export class LayerCache {
  private readonly layers = new Map<string, Promise<Layer>>();
  private bytes = 0;

  get(plan: LayerPlan, mediaType: string): Promise<Layer> {
    const key = `${mediaType} ${plan.name} ${plan.bytes}`;
    const known = this.layers.get(key);
    if (known !== undefined) return known;
    const layer = buildLayer(plan, mediaType);
    if (plan.shared && this.bytes + plan.bytes <= CACHE_BYTES) {
      this.layers.set(key, layer);
      this.bytes += plan.bytes;
    }
    return layer;
  }
}

/** Builds all that a tag consists of. Memory: the tag's layers and the cache. */
export async function buildTag(plan: TagPlan, cache: LayerCache): Promise<BuiltTag> {
  const built = [];
  for (const image of plan.images) built.push({ image, ...(await buildImage(plan, image, cache)) });
  const blobs = built.flatMap((part) => part.blobs);
  if (built.length === 1) return { blobs, children: [], manifest: built[0]!.manifest };
  const index = jsonBlob(MEDIA[plan.format].index, {
    schemaVersion: 2,
    mediaType: MEDIA[plan.format].index,
    manifests: built.map(({ image, manifest }) => ({ ...describe(manifest), platform: { architecture: image.architecture, os: 'linux' } })),
  });
  return { blobs, children: built.map((part) => part.manifest), manifest: index };
}

async function buildImage(plan: TagPlan, image: ImagePlan, cache: LayerCache): Promise<{ blobs: Blob[]; manifest: Blob }> {
  const media = MEDIA[plan.format];
  const layers: Layer[] = [];
  for (const layer of image.layers) layers.push(await cache.get(layer, media.layer));
  const config = jsonBlob(media.config, {
    architecture: image.architecture,
    os: 'linux',
    created: CREATED.toISOString(),
    config: { Cmd: ['/bin/true'], Labels: { 'drydock.lab.tag': plan.name } },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
    history: image.layers.map((layer) => ({ created: CREATED.toISOString(), created_by: `drydock lab: ${layer.name}` })),
  });
  const manifest = jsonBlob(media.manifest, {
    schemaVersion: 2,
    mediaType: media.manifest,
    config: describe(config),
    layers: layers.map((layer) => describe(layer.blob)),
  });
  return { blobs: [...layers.map((layer) => layer.blob), config], manifest };
}

async function buildLayer(plan: LayerPlan, mediaType: string): Promise<Layer> {
  const archive = await tarOf(plan);
  // Stored, not compressed: the content is noise, and real layers do not compress further either.
  const data = gzipSync(archive, { level: 0 });
  return { blob: { digest: digestOf(data), mediaType, data }, diffId: digestOf(archive) };
}

async function tarOf(plan: LayerPlan): Promise<Buffer> {
  const pack = tar.pack();
  const chunks: Buffer[] = [];
  const folder = `srv/${plan.name.replaceAll('/', '_')}`;
  pack.entry({ name: `${folder}/name.txt`, mtime: CREATED }, `${plan.name}\n`);
  pack.entry({ name: `${folder}/content.bin`, mtime: CREATED }, bytesFrom(plan.name, plan.bytes));
  pack.finalize();
  for await (const chunk of pack) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function jsonBlob(mediaType: string, value: unknown): Blob {
  const data = Buffer.from(JSON.stringify(value));
  return { digest: digestOf(data), mediaType, data };
}

function describe(blob: Blob): { mediaType: string; digest: string; size: number } {
  return { mediaType: blob.mediaType, digest: blob.digest, size: blob.data.length };
}

function digestOf(data: Buffer): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}
