import { showDigest } from '../../../../domain/digest';
import { readImageManifest, type ImageManifest } from '../../../../domain/image-manifest';
import { HttpError } from '../../common/http';
import { now, type ManifestLayer, type ManifestRow } from '../../common/rows';

export interface ImageConfig {
  os?: string;
  architecture?: string;
}

/** Reads a manifest; throws 400 MANIFEST_INVALID for what is none. */
export function parseManifest(body: Buffer, contentType: string | undefined): { manifest: ImageManifest; mediaType: string } {
  const manifest = readImageManifest(body);
  if (manifest === null) throw new HttpError(400, 'MANIFEST_INVALID', 'manifest invalid: it is none');
  if (manifest.kind !== 'index' && manifest.config === null && manifest.layers.length === 0) throw new HttpError(400, 'MANIFEST_INVALID', 'manifest invalid: it has neither configuration nor layers nor manifests');
  return { manifest, mediaType: manifest.saysType ? manifest.mediaType : (contentType?.split(';')[0] ?? manifest.mediaType) };
}

/** The metadata row of a manifest. `config` gives platform facts where it is known. */
export function manifestRow(repository: string, digest: string, manifest: ImageManifest, mediaType: string, author: string, config: ImageConfig): ManifestRow {
  const layers = manifest.layers.flatMap(({ digest: layer, size, mediaType: type, urls }): ManifestLayer[] =>
    layer === null ? [] : [{ digest: showDigest(layer), size: size ?? 0, mediaType: type, ...(urls.length > 0 ? { urls } : {}) }],
  );
  return {
    pk: `${repository}@${digest}`,
    digest,
    repository,
    mediaType,
    os: config.os ?? '',
    architecture: config.architecture ?? '',
    layers,
    configDigest: configOf(manifest) ?? '',
    ...(manifest.kind === 'index' ? { manifests: manifest.manifests.flatMap((child) => (child.digest === null ? [] : [showDigest(child.digest)])) } : {}),
    size: layers.reduce((sum, layer) => sum + layer.size, 0),
    originalAuthor: author,
    createdAt: now(),
    deleted: false,
  };
}

/** With its algorithm. */
export function configOf({ config }: ImageManifest): string | undefined {
  return config === null || config.digest === null ? undefined : showDigest(config.digest);
}

/** Blobs that must be there before a manifest counts: configuration and layers; foreign layers are somewhere else. */
export function requiredBlobs(row: ManifestRow): string[] {
  const layers = row.layers.filter((layer) => !layer.urls).map((layer) => layer.digest);
  return row.configDigest === '' ? layers : [row.configDigest, ...layers];
}
