import assert from 'node:assert/strict';
import { readImageManifest, refsOf } from '../../domain/image-manifest';
import type { ManifestRefs } from '../../domain/vault-format';

const hex = (letter: string): string => letter.repeat(64);
const sha = (letter: string): string => `sha256:${hex(letter)}`;
const SHA_512 = `sha512:${'5'.repeat(128)}`;
const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const DOCKER = 'application/vnd.docker.distribution.manifest.v2+json';
const LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
const SCHEMA_1 = 'application/vnd.docker.distribution.manifest.v1+json';
const ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json';

const refs = (content: string | Buffer | object): ManifestRefs | null => {
  const bytes = Buffer.isBuffer(content) ? content : Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
  const manifest = readImageManifest(bytes);
  return manifest && refsOf(manifest);
};
const image = { schemaVersion: 2, mediaType: DOCKER, config: { digest: sha('a'), size: 1 }, layers: [{ digest: sha('b'), size: 2 }] };
const imageRefs: ManifestRefs = { mediaType: DOCKER, config: hex('a'), layers: [hex('b')], sizes: [1, 2] };
const text = JSON.stringify(image);

describe('the reader of image manifests', () => {
  const readable: [string, string | Buffer | object, ManifestRefs][] = [
    ['an image', image, imageRefs],
    ['a line end in front', `\n${text}`, imageRefs],
    ['white space of every kind around it', ` \t\r\n${text}\r\n\n`, imageRefs],
    ['a byte order mark', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(text)]), imageRefs],
    ['fields that nobody knows', { ...image, io: { deep: [1, { a: null }] } }, imageRefs],
    ['its version as text', { ...image, schemaVersion: '2' }, imageRefs],
    ['sizes as text', { ...image, layers: [{ digest: sha('b'), size: '2' }] }, imageRefs],
    ['names in other letters, as Go takes them', { SchemaVersion: 2, MediaType: DOCKER, Config: { Digest: sha('a'), Size: 1 }, LAYERS: [{ digest: sha('b'), size: 2 }] }, imageRefs],
    ['a key that comes twice, of which the last counts', text.replace('"layers"', `"layers":[{"digest":"${sha('c')}"}],"layers"`), imageRefs],
    ['layers: null', { ...image, layers: null }, { mediaType: DOCKER, config: hex('a'), layers: [], sizes: [1] }],
    ['no layers at all', { schemaVersion: 2, mediaType: IMAGE, config: { digest: sha('a'), size: 1 } }, { mediaType: IMAGE, config: hex('a'), layers: [], sizes: [1] }],
    ['config: null', { ...image, config: null }, { mediaType: DOCKER, layers: [hex('b')], sizes: [2] }],
    ['an empty configuration', { ...image, config: {} }, { mediaType: DOCKER, layers: [hex('b')], sizes: [2] }],
    ['no media type', { schemaVersion: 2, config: image.config, layers: image.layers }, { ...imageRefs, mediaType: IMAGE }],
    ['a media type that is none', { ...image, mediaType: 'an image' }, { ...imageRefs, mediaType: IMAGE }],
    ['a layer without a size, so that no sizes can be compared', { ...image, layers: [{ digest: sha('b') }] }, { mediaType: DOCKER, config: hex('a'), layers: [hex('b')] }],
    ['negative and broken sizes', { ...image, layers: [{ digest: sha('b'), size: -2 }, { digest: sha('c'), size: 1.5 }] }, { mediaType: DOCKER, config: hex('a'), layers: [hex('b'), hex('c')] }],
    ['a foreign layer', { ...image, layers: [...image.layers, { digest: sha('f'), size: 9, urls: ['https://elsewhere'] }] }, { ...imageRefs, foreign: [hex('f')] }],
    ['urls: null and urls: [], which say nothing', { ...image, layers: [{ digest: sha('b'), size: 2, urls: null }, { digest: sha('c'), size: 3, urls: [] }] }, { ...imageRefs, layers: [hex('b'), hex('c')], sizes: [1, 2, 3] }],
    ['a layer of SHA-512', { ...image, layers: [{ digest: SHA_512, size: 2 }] }, { ...imageRefs, layers: [SHA_512] }],
    ['a digest of an algorithm that nobody knows', { ...image, layers: [{ digest: 'multihash+base58:QmRZxt2b1FVZPNqd8', size: 2 }] }, { ...imageRefs, layers: ['multihash+base58:QmRZxt2b1FVZPNqd8'] }],
    ['references without a digest that can be read, which are counted', { ...image, layers: [{ size: 2 }, { digest: 'sha256:ABC', size: 3 }, null, 7] }, { mediaType: DOCKER, config: hex('a'), layers: [], unreadable: 4 }],
    ['a manifest list', { schemaVersion: 2, mediaType: LIST, manifests: [{ digest: sha('c'), size: 3, platform: { os: 'linux' } }] }, { mediaType: LIST, manifests: [hex('c')], sizes: [3] }],
    ['an index without a media type', { schemaVersion: 2, manifests: [{ digest: sha('c'), size: 3 }] }, { mediaType: INDEX, manifests: [hex('c')], sizes: [3] }],
    ['an index with manifests: null', { schemaVersion: 2, mediaType: INDEX, manifests: null }, { mediaType: INDEX, manifests: [] }],
    ['an empty index', { schemaVersion: 2, manifests: [] }, { mediaType: INDEX, manifests: [], layers: [] }],
    ['an artifact, with the image that it is about', { mediaType: ARTIFACT, artifactType: 'x/y', blobs: [{ digest: sha('d'), size: 4 }], subject: { digest: sha('e'), size: 5 } }, { mediaType: ARTIFACT, layers: [hex('d')], sizes: [4], subject: hex('e') }],
    ['schema 1', { schemaVersion: 1, name: 'a/b', tag: 'c', fsLayers: [{ blobSum: sha('a') }, { blobSum: sha('a') }], history: [{ v1Compatibility: '{}' }], signatures: [{}] }, { mediaType: SCHEMA_1, layers: [hex('a'), hex('a')] }],
    ['an index that names layers as well, which need not be there', { schemaVersion: 2, mediaType: INDEX, manifests: [{ digest: sha('c'), size: 3 }], layers: [{ digest: sha('b'), size: 2 }], config: { digest: sha('a') } }, { mediaType: INDEX, foreign: [hex('a'), hex('b')], manifests: [hex('c')], sizes: [3] }],
    ['an image that names other manifests as well, which need not be there', { ...image, manifests: [{ digest: sha('c'), size: 3 }] }, { ...imageRefs, foreign: [hex('c')] }],
    ['a million brackets in a field that nobody knows', text.replace('{', `{"x":${'['.repeat(1e5)}${']'.repeat(1e5)},`), imageRefs],
  ];
  for (const [what, content, expected] of readable) it(`reads ${what}`, () => assert.deepEqual(withoutEmpty(refs(content)), withoutEmpty(expected)));

  it('reads what is larger than 4 MiB', () => {
    const layers = Array.from({ length: 30_000 }, (_, at) => ({ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', digest: `sha256:${at.toString(16).padStart(64, '0')}`, size: at }));
    assert.equal(refs({ ...image, layers })?.layers?.length, 30_000);
  });

  it('gives platforms and other places of what it names', () => {
    const manifest = readImageManifest(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: LIST, manifests: [{ digest: sha('c'), platform: { os: 'linux', architecture: 's390x' }, urls: ['https://a', 1] }] })));
    assert.deepEqual(manifest?.manifests, [{ digest: hex('c'), size: null, mediaType: '', urls: ['https://a'], isForeign: true, platform: { os: 'linux', architecture: 's390x' } }]);
  });

  const others: [string, string | Buffer][] = [
    ['nothing', ''], ['white space', ' \n'], ['a number', '7'], ['a list', '[]'], ['text', '"{}"'], ['null', 'null'], ['an empty object', '{}'],
    ['a manifest that was cut off', text.slice(0, -1)], ['a manifest with something behind it', `${text}x`], ['bytes of an archive', Buffer.from([0x1f, 0x8b, 8, 0])], ['an archive that begins with a brace', Buffer.from([0x7b, 0x1f, 0x8b])],
    ['the description of a BuildKit cache', JSON.stringify({ layers: [{ blob: sha('a'), parent: -1 }], records: [] })],
    ['a configuration', JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: [sha('a')] } })],
    ['layers under a version that nobody knows', JSON.stringify({ schemaVersion: 3, layers: [] })],
    ['brackets without an end', `{"schemaVersion":2,"layers":${'['.repeat(1e5)}`],
  ];
  for (const [what, content] of others) it(`takes ${what} for no manifest`, () => assert.equal(refs(content), null));
});

/** An empty list says as much as none. */
function withoutEmpty(found: ManifestRefs | null): object | null {
  return found && Object.fromEntries(Object.entries(found).filter(([, value]) => !Array.isArray(value) || value.length > 0));
}
