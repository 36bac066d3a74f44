/** What is fixed about OCI image layouts: names, media types, platforms. */

import { showDigest } from './digest';

export const REF_NAME = 'org.opencontainers.image.ref.name';
export const OCI_LAYOUT = { imageLayoutVersion: '1.0.0' } as const;
const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
const OCI_NAMES: Record<string, string> = {
  'application/vnd.docker.distribution.manifest.v2+json': OCI_MANIFEST,
  'application/vnd.docker.distribution.manifest.list.v2+json': OCI_INDEX,
};

/** One tag of a layout. */
export interface TaggedManifest {
  tag: string;
  /** In our form (digest.ts). */
  digest: string;
  size: number;
  mediaType: string;
}

/**
 * `index.json`. Content keeps its bytes, its digests and Docker's media types. Readers such as skopeo before 1.14 pass over entries with Docker's
 * types, so these tags have a second entry behind the true one: the same content under OCI's name for it.
 */
export function layoutIndex(tags: readonly TaggedManifest[]): object {
  const entry = ({ tag, digest, size }: TaggedManifest, mediaType: string): object => ({ mediaType, digest: showDigest(digest), size, annotations: { [REF_NAME]: tag } });
  return {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: tags.flatMap((tagged) => [entry(tagged, tagged.mediaType), ...(OCI_NAMES[tagged.mediaType] === undefined ? [] : [entry(tagged, OCI_NAMES[tagged.mediaType]!)])]),
  };
}

/** `linux/amd64`, `linux/arm64/v8`; `unknown` where the content does not say. */
export function platformText(platform: unknown): string {
  if (typeof platform !== 'object' || platform === null) return 'unknown';
  const { os, architecture, variant } = platform as Record<string, unknown>;
  const parts = [os, architecture, variant].filter((part): part is string => typeof part === 'string' && part !== '');
  return typeof os === 'string' && typeof architecture === 'string' && parts.length >= 2 ? parts.join('/') : 'unknown';
}
