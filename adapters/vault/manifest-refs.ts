/** What an image manifest or index refers to. */
import type { ManifestRefs } from '../../domain/vault-format';

const DIGEST = /^sha256:([0-9a-f]{64})$/;
const SCHEMA_1 = 'application/vnd.docker.distribution.manifest.v1+json';
const DEFAULT_INDEX = 'application/vnd.oci.image.index.v1+json';
const DEFAULT_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** Digests (hex) that a manifest refers to; null when the content is no manifest. Never throws: blobs hold anything. */
export function parseManifestRefs(content: Buffer): ManifestRefs | null {
  if (content[0] !== 0x7b) return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(content.toString('utf8'));
  } catch {
    return null;
  }
  if (!isRecord(parsed)) return null;
  if (parsed['schemaVersion'] === 1 && Array.isArray(parsed['fsLayers'])) {
    return { mediaType: SCHEMA_1, layers: digestsOf(parsed['fsLayers'], 'blobSum') };
  }
  if (parsed['schemaVersion'] !== 2) return null;
  const mediaType = typeof parsed['mediaType'] === 'string' ? parsed['mediaType'] : undefined;
  const subject = isRecord(parsed['subject']) ? digestOf(parsed['subject']['digest']) : undefined;
  if (Array.isArray(parsed['manifests'])) {
    const children = digestsOf(parsed['manifests'], 'digest');
    return { mediaType: mediaType ?? DEFAULT_INDEX, manifests: children, ...sizesOf(parsed['manifests'], children.length), ...(subject ? { subject } : {}) };
  }
  if (!Array.isArray(parsed['layers'])) return null;
  const config = isRecord(parsed['config']) ? digestOf(parsed['config']['digest']) : undefined;
  const foreign = digestsOf(parsed['layers'].filter(isForeign), 'digest');
  const ownLayers: unknown[] = parsed['layers'].filter((layer) => !isForeign(layer));
  const layers = digestsOf(ownLayers, 'digest');
  return {
    mediaType: mediaType ?? DEFAULT_MANIFEST,
    ...(config ? { config } : {}),
    layers,
    ...sizesOf(config ? [parsed['config'], ...ownLayers] : ownLayers, layers.length + (config ? 1 : 0)),
    ...(foreign.length > 0 ? { foreign } : {}),
    ...(subject ? { subject } : {}),
  };
}

/** Layers with `urls` are fetched from elsewhere and may lawfully be absent. */
function isForeign(layer: unknown): boolean {
  return isRecord(layer) && Array.isArray(layer['urls']) && layer['urls'].length > 0;
}

/** Sizes of descriptors; nothing where one of them has no digest or no size, because then their places would not match. */
function sizesOf(descriptors: unknown[], expected: number): { sizes?: number[] } {
  const sizes = descriptors.flatMap((each) => (isRecord(each) && digestOf(each['digest']) !== undefined && isSize(each['size']) ? [each['size']] : []));
  return sizes.length === expected && sizes.length === descriptors.length ? { sizes } : {};
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function digestsOf(list: unknown[], key: string): string[] {
  return list.flatMap((entry) => (isRecord(entry) ? (digestOf(entry[key]) ?? []) : []));
}

function digestOf(value: unknown): string | undefined {
  return typeof value === 'string' ? DIGEST.exec(value)?.[1] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
