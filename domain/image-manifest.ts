/**
 * The one reader of image manifests: Docker's schema 1 and 2, manifest lists, OCI images, indexes and artifacts, and what clients have made of them for years. Registries keep the
 * bytes that were pushed, so whatever one of them takes has to be read here: white space in front, absent and null fields, fields in other letters, sizes as strings, children that
 * are no manifests. Content decides; media types are hints. Pure; never throws.
 */
import { readDigest } from './digest';
import type { ManifestRefs } from './vault-format';

/** Registries take none that are larger (most of them 4 MiB). */
export const MOST_MANIFEST_BYTES = 16 << 20;

const DEFAULTS = {
  image: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  artifact: 'application/vnd.oci.artifact.manifest.v1+json',
  schema1: 'application/vnd.docker.distribution.manifest.v1+json',
} as const;
const MEDIA_TYPE = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;
/** Types of indexes as well; BuildKit's caches and the layers of images have others. */
const MANIFEST_TYPE = /^application\/vnd\.(?:docker\.distribution\.manifest|oci\.(?:image|artifact)\.(?:manifest|index))\./;
const INDEX_TYPE = /\.(?:manifest\.list\.v2|image\.index\.v1)\+json$/;
const BYTE_ORDER_MARK = '\uFEFF';

/** What a manifest says about a piece of content. */
export interface Descriptor {
  /** In our form (digest.ts); null where it names none that can be read. */
  digest: string | null;
  /** In bytes; null where it says none. */
  size: number | null;
  /** Empty where it says none. */
  mediaType: string;
  /** Where else it is fetched from. */
  urls: string[];
  /** It may lawfully be absent, because it is fetched from elsewhere. */
  isForeign: boolean;
  platform: unknown;
}

export interface ImageManifest {
  kind: keyof typeof DEFAULTS;
  /** What it says itself; else what its content says. */
  mediaType: string;
  saysType: boolean;
  config: Descriptor | null;
  /** Those of schema 1 and the blobs of an artifact likewise. */
  layers: Descriptor[];
  /** Children of an index: mostly manifests, but a BuildKit cache has layers there. */
  manifests: Descriptor[];
  /** What a signature or attestation is about. It points upwards and need not be there. */
  subject: Descriptor | null;
}

/** Null when the content is no manifest: blobs hold anything. */
export function readImageManifest(content: Uint8Array): ImageManifest | null {
  if (content.length > MOST_MANIFEST_BYTES || !beginsLikeManifest(content)) return null;
  const parsed = parse(content);
  if (!isRecord(parsed)) return null;
  const saidType = textOf(field(parsed, 'mediaType'));
  const version = numberOf(field(parsed, 'schemaVersion'));
  if (version !== 1 && version !== 2 && !MANIFEST_TYPE.test(saidType)) return null;
  const [history, layers, blobs, children] = ['fsLayers', 'layers', 'blobs', 'manifests'].map((name) => field(parsed, name));
  if (version === 1 && Array.isArray(history)) {
    return { kind: 'schema1', mediaType: DEFAULTS.schema1, saysType: false, config: null, layers: history.map((each) => describe(each, 'blobSum')), manifests: [], subject: null };
  }
  const kind = kindOf(parsed, saidType);
  const config = field(parsed, 'config');
  const subject = field(parsed, 'subject');
  return demandedOnly({
    kind,
    mediaType: MEDIA_TYPE.test(saidType) ? saidType : DEFAULTS[kind],
    saysType: MEDIA_TYPE.test(saidType),
    // An empty object, as some write for "none", names nothing.
    config: isRecord(config) && Object.keys(config).length > 0 ? describe(config) : null,
    layers: [...listOf(layers), ...listOf(blobs)].map((each) => describe(each)),
    manifests: listOf(children).map((each) => describe(each)),
    subject: isRecord(subject) ? describe(subject) : null,
  });
}

/** Whether content may be a manifest, by its first letters: most blobs are none. */
export function beginsLikeManifest(content: Uint8Array): boolean {
  let at = content[0] === 0xef && content[1] === 0xbb && content[2] === 0xbf ? 3 : 0;
  while (content[at] === 0x20 || content[at] === 0x0a || content[at] === 0x0d || content[at] === 0x09) at += 1;
  return content[at] === 0x7b;
}

/** Whether a registry's media type is that of a manifest or index; null where there is none to go by. */
export function isManifestType(mediaType: string): boolean | null {
  return mediaType === '' ? null : MANIFEST_TYPE.test(mediaType);
}

/** What a segment's index keeps of a manifest. */
export function refsOf({ mediaType, config, layers, manifests, subject }: ImageManifest): ManifestRefs {
  const own = layers.filter(({ isForeign }) => !isForeign);
  const foreign = digestsOf(layers.filter(({ isForeign }) => isForeign));
  const all = [...(config ? [config] : []), ...own, ...manifests];
  const unreadable = [...all, ...layers.filter(({ isForeign }) => isForeign)].filter(({ digest }) => digest === null).length;
  const sizes = all.flatMap(({ digest, size }) => (digest === null || size === null ? [] : [size]));
  return {
    mediaType,
    ...(config && config.digest !== null ? { config: config.digest } : {}),
    ...(own.length > 0 || manifests.length === 0 ? { layers: digestsOf(own) } : {}),
    ...(foreign.length > 0 ? { foreign } : {}),
    ...(manifests.length > 0 || INDEX_TYPE.test(mediaType) ? { manifests: digestsOf(manifests) } : {}),
    // Their places would not match where one of them is not known.
    ...(sizes.length > 0 && sizes.length === all.length ? { sizes } : {}),
    ...(subject && subject.digest !== null ? { subject: subject.digest } : {}),
    ...(unreadable > 0 ? { unreadable } : {}),
  };
}

/** A document that names both layers and other manifests is pulled as what its type says; the rest of it need not be there. */
function demandedOnly(manifest: ImageManifest): ImageManifest {
  const { mediaType, config, layers, manifests } = manifest;
  if (manifests.length === 0 || (config === null && layers.length === 0)) return manifest;
  const optional = (all: Descriptor[]): Descriptor[] => all.map((each) => ({ ...each, isForeign: true }));
  return INDEX_TYPE.test(mediaType)
    ? { ...manifest, config: null, layers: optional([...(config ? [config] : []), ...layers]) }
    : { ...manifest, layers: [...layers, ...optional(manifests)], manifests: [] };
}

function kindOf(parsed: Record<string, unknown>, mediaType: string): 'image' | 'index' | 'artifact' {
  if (INDEX_TYPE.test(mediaType)) return 'index';
  if (mediaType === DEFAULTS.artifact) return 'artifact';
  const hasOwn = Array.isArray(field(parsed, 'layers')) || isRecord(field(parsed, 'config'));
  if (MANIFEST_TYPE.test(mediaType) || hasOwn) return 'image';
  if (Array.isArray(field(parsed, 'manifests'))) return 'index';
  return Array.isArray(field(parsed, 'blobs')) ? 'artifact' : 'image';
}

function describe(value: unknown, digestField = 'digest'): Descriptor {
  if (!isRecord(value)) return { digest: null, size: null, mediaType: '', urls: [], isForeign: false, platform: undefined };
  const urls = field(value, 'urls');
  return {
    digest: readDigest(field(value, digestField)),
    size: numberOf(field(value, 'size')),
    mediaType: textOf(field(value, 'mediaType')),
    urls: listOf(urls).filter((url) => typeof url === 'string'),
    isForeign: listOf(urls).length > 0,
    platform: field(value, 'platform'),
  };
}

/** Registries are written in Go, whose reader takes a name in any letters. */
function field(record: Record<string, unknown>, name: string): unknown {
  if (Object.hasOwn(record, name)) return record[name];
  const wanted = name.toLowerCase();
  const found = Object.keys(record).find((key) => key.length === wanted.length && key.toLowerCase() === wanted);
  return found === undefined ? undefined : record[found];
}

function parse(content: Uint8Array): unknown {
  try {
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(content);
    return JSON.parse(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text);
  } catch {
    return null;
  }
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function numberOf(value: unknown): number | null {
  const number = typeof value === 'string' && /^[0-9]{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : null;
}

function digestsOf(descriptors: readonly Descriptor[]): string[] {
  return descriptors.flatMap(({ digest }) => digest ?? []);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
