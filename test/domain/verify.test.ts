import assert from 'node:assert/strict';
import { checkGraph, type StoredContent } from '../../domain/verify';
import type { Follower } from '../../domain/proof';

describe('the check of tags against what is stored', () => {
  const mediaTypes = ['application/vnd.docker.distribution.manifest.v1+prettyjws', 'application/vnd.docker.distribution.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v2+json', 'application/vnd.oci.image.manifest.v1+json'];

  it('counts Docker\'s schema 1 as such, and not OCI\'s manifests, whose type ends likewise', () => {
    const follower = { follow: (digest: string) => ({ missing: [], manifests: [digest], parts: [], aliases: [] }) } as unknown as Follower;
    const stored: StoredContent = { sizeOf: () => 1, refsOf: (digest) => ({ mediaType: mediaTypes[Number(digest.at(-1))]! }), isIndexed: () => true, markNeeded: () => undefined };
    const tags = mediaTypes.map((_, at) => ({ repository: 'acme/web', name: `v${at}`, digest: `sha256:${String(at).padStart(64, '0')}`, state: 'whole' as const }));
    assert.equal(checkGraph(tags, follower, stored).schema1, 2);
  });
});
