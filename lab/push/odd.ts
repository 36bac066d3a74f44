/** Images as clients have pushed them for years, none of which a registry refuses: what reads manifests strictly falls over them. */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { bytesFrom } from './random';
import type { LabHttp } from './http';
import type { Blob } from './image';
import { sendBlob, sendManifest } from './pusher';

export interface OddImage {
  tag: string;
  manifest: Blob;
  /** Children of an index that are manifests, the inner ones first. */
  children: Blob[];
  blobs: Blob[];
}

const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const DEPTH = 6;

/** One of each kind, the same each time. */
export function oddImages(): OddImage[] {
  const image = (tag: string, change: { layers?: unknown; before?: string; more?: object } = {}, blobs: Blob[] = []): OddImage => {
    const config = json(CONFIG, { architecture: 'amd64', os: 'linux', config: { Labels: { odd: tag } }, rootfs: { type: 'layers', diff_ids: [] } });
    const document = { schemaVersion: 2, mediaType: IMAGE, config: describe(config), ...('layers' in change ? { layers: change.layers } : {}), ...change.more };
    return { tag, blobs: [config, ...blobs], children: [], manifest: blob(IMAGE, Buffer.from((change.before ?? '') + JSON.stringify(document))) };
  };
  const layer = (name: string): Blob => blob(LAYER, gzipSync(bytesFrom(`odd/${name}`, 20_000)));
  const [sized, first, named] = [layer('size'), layer('newline'), layer('sha512')];
  const by512: Blob = { ...named, digest: `sha512:${createHash('sha512').update(named.data).digest('hex')}` };
  return [
    buildCache([layer('cache-1'), layer('cache-2')]),
    image('wrong-size', { layers: [{ ...describe(sized), size: sized.data.length + 1 }] }, [sized]),
    image('leading-newline', { layers: [describe(first)], before: '\r\n\t ' }, [first]),
    image('layers-null', { layers: null }),
    image('sha512', { layers: [describe(by512)] }, [by512]),
    image('no-layers', { more: { artifactType: 'application/vnd.example.sbom' } }),
    deepIndex(image('deep', { layers: [describe(first)] }, [first])),
  ];
}

/** Pushes them all into one repository, which exists. */
export async function pushOddImages(http: LabHttp, repository: string): Promise<OddImage[]> {
  const images = oddImages();
  for (const { tag, manifest, children, blobs } of images) {
    for (const each of blobs) await sendBlob(http, repository, each);
    for (const child of children) await sendManifest(http, repository, child.digest, child);
    await sendManifest(http, repository, tag, manifest);
  }
  return images;
}

/** As BuildKit's `--cache-to type=registry` pushes it: an index whose children are layers and a description. */
function buildCache(layers: Blob[]): OddImage {
  const config = json('application/vnd.buildkit.cacheconfig.v0', { layers: layers.map(({ digest }) => ({ blob: digest, parent: -1 })), records: [{ digest: layers[0]!.digest }] });
  return { tag: 'build-cache', blobs: [...layers, config], children: [], manifest: json(INDEX, { schemaVersion: 2, mediaType: INDEX, manifests: [...layers, config].map(describe) }) };
}

function deepIndex(image: OddImage): OddImage {
  const levels: Blob[] = [image.manifest];
  for (let level = 0; level < DEPTH; level += 1) levels.push(json(INDEX, { schemaVersion: 2, mediaType: INDEX, manifests: [describe(levels.at(-1)!)], annotations: { level: String(level) } }));
  return { ...image, manifest: levels.at(-1)!, children: levels.slice(0, -1) };
}

function json(mediaType: string, value: unknown): Blob {
  return blob(mediaType, Buffer.from(JSON.stringify(value)));
}

function blob(mediaType: string, data: Buffer): Blob {
  return { mediaType, data, digest: `sha256:${createHash('sha256').update(data).digest('hex')}` };
}

function describe({ mediaType, digest, data }: Blob): { mediaType: string; digest: string; size: number } {
  return { mediaType, digest, size: data.length };
}
