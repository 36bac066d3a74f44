import { HttpError } from '../../common/http';
import { now, type ManifestLayer, type ManifestRow } from '../../common/rows';

export const MEDIA_TYPES = {
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  list: 'application/vnd.docker.distribution.manifest.list.v2+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
} as const;

interface Descriptor {
  mediaType?: string;
  digest: string;
  size: number;
  urls?: string[];
}

interface ManifestDocument {
  mediaType?: string;
  config?: Descriptor;
  layers?: Descriptor[];
  manifests?: Descriptor[];
}

export interface ImageConfig {
  os?: string;
  architecture?: string;
}

/** Parses a manifest; throws 400 MANIFEST_INVALID for what is none. */
export function parseManifest(body: Buffer, contentType: string | undefined): { document: ManifestDocument; mediaType: string } {
  let document: ManifestDocument;
  try {
    document = JSON.parse(body.toString()) as ManifestDocument;
  } catch {
    throw new HttpError(400, 'MANIFEST_INVALID', 'manifest invalid: no JSON');
  }
  const isIndex = Array.isArray(document.manifests);
  if (!isIndex && (!document.config?.digest || !Array.isArray(document.layers))) throw new HttpError(400, 'MANIFEST_INVALID', 'manifest invalid: it has neither layers nor manifests');
  const declared = document.mediaType ?? contentType?.split(';')[0];
  return { document, mediaType: declared ?? (isIndex ? MEDIA_TYPES.ociIndex : MEDIA_TYPES.ociManifest) };
}

/** The metadata row of a manifest. `config` gives platform facts where it is known. */
export function manifestRow(repository: string, digest: string, document: ManifestDocument, mediaType: string, author: string, config: ImageConfig): ManifestRow {
  const layers: ManifestLayer[] = (document.layers ?? []).map(({ digest: layer, size, mediaType: type, urls }) => ({ digest: layer, size, mediaType: type ?? '', ...(urls && urls.length > 0 ? { urls } : {}) }));
  return {
    pk: `${repository}@${digest}`,
    digest,
    repository,
    mediaType,
    os: config.os ?? '',
    architecture: config.architecture ?? '',
    layers,
    configDigest: document.config?.digest ?? '',
    ...(document.manifests ? { manifests: document.manifests.map((child) => child.digest) } : {}),
    size: layers.reduce((sum, layer) => sum + layer.size, 0),
    originalAuthor: author,
    createdAt: now(),
    deleted: false,
  };
}

/** Blobs that must be there before a manifest counts: configuration and layers; foreign layers are somewhere else. */
export function requiredBlobs(row: ManifestRow): string[] {
  const layers = row.layers.filter((layer) => !layer.urls).map((layer) => layer.digest);
  return row.configDigest === '' ? layers : [row.configDigest, ...layers];
}
