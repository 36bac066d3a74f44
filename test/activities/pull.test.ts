import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Puller } from '../../activities/restore/pull';
import type { Registry } from '../../adapters/registry/registry';
import { DrydockError } from '../../domain/errors';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const REPOSITORY = 'acme/app';

/** A registry that keeps manifests and blobs apart, as Distribution does. */
class FakeRegistry implements Registry {
  readonly manifests = new Map<string, Buffer>();
  readonly blobs = new Map<string, Buffer>();
  calls = 0;
  /** What it says of a manifest that is a blob. */
  unknown = new DrydockError('NotFound', 'manifest unknown');

  put(kind: 'manifests' | 'blobs', content: string | object, algorithm = 'sha256'): string {
    const data = Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
    const digest = `${algorithm}:${createHash(algorithm).update(data).digest('hex')}`;
    this[kind].set(digest, data);
    return digest;
  }

  async manifest(_repository: string, reference: string): Promise<{ digest: string; mediaType: string; body: Buffer }> {
    this.calls += 1;
    const body = this.manifests.get(reference);
    if (!body) throw this.unknown;
    return { digest: reference, mediaType: '', body };
  }

  async checkBlob(_repository: string, digest: string): Promise<number> {
    this.calls += 1;
    const blob = this.blobs.get(digest);
    if (!blob) throw new DrydockError('NotFound', `no blob ${digest}`);
    return blob.length;
  }

  async close(): Promise<void> {
    return Promise.resolve();
  }
}

describe('a pull by digest', () => {
  let registry: FakeRegistry;
  let puller: Puller;
  beforeEach(() => {
    registry = new FakeRegistry();
    puller = new Puller(registry, () => undefined);
  });
  const pull = (content: string | object): Promise<string[]> => puller.pull(REPOSITORY, registry.put('manifests', content));
  const layer = (name: string): { digest: string } => ({ digest: registry.put('blobs', name) });

  it('reads an index of indexes, however deep, and each thing once', async () => {
    let digest = registry.put('manifests', { schemaVersion: 2, config: layer('config'), layers: [layer('a'), layer('a')] });
    for (let level = 0; level < 500; level += 1) digest = registry.put('manifests', { schemaVersion: 2, mediaType: INDEX, manifests: [{ digest }, { digest }] });
    assert.deepEqual(await puller.pull(REPOSITORY, digest), []);
    assert.equal(registry.calls, 503);
    assert.deepEqual(await puller.pull(REPOSITORY, digest), []);
    assert.equal(registry.calls, 503);
  });

  const odd: [string, () => string | object][] = [
    ['white space in front', () => `\n ${JSON.stringify({ schemaVersion: 2, layers: [layer('a')] })}`],
    ['layers: null, config: null and manifests: null', () => ({ schemaVersion: 2, layers: null, config: null, manifests: null })],
    ['no layers', () => ({ schemaVersion: 2, config: layer('config') })],
    ['an artifact', () => ({ mediaType: 'application/vnd.oci.artifact.manifest.v1+json', blobs: [layer('a')], subject: { digest: `sha256:${'0'.repeat(64)}` } })],
    ['schema 1', () => ({ schemaVersion: 1, fsLayers: [{ blobSum: layer('a').digest }] })],
    ['a wrong size', () => ({ schemaVersion: 2, layers: [{ ...layer('a'), size: 7 }] })],
    ['a foreign layer that is not there', () => ({ schemaVersion: 2, layers: [{ digest: `sha256:${'f'.repeat(64)}`, urls: ['https://elsewhere'] }] })],
    ['layers of SHA-384 and SHA-512', () => ({ schemaVersion: 2, layers: [{ digest: registry.put('blobs', 'a', 'sha384') }, { digest: registry.put('blobs', 'b', 'sha512') }] })],
    ['a build cache, whose children are layers', () => ({ schemaVersion: 2, mediaType: INDEX, manifests: [{ ...layer('a'), mediaType: LAYER }, { ...layer('config'), mediaType: 'application/vnd.buildkit.cacheconfig.v0' }] })],
    ['children without a type that are blobs', () => ({ schemaVersion: 2, mediaType: INDEX, manifests: [layer('a')] })],
    ['a manifest under the type of a layer', () => ({ schemaVersion: 2, mediaType: INDEX, manifests: [{ digest: registry.put('manifests', { schemaVersion: 2, layers: [layer('a')] }), mediaType: LAYER }] })],
  ];
  for (const [what, content] of odd) it(`takes ${what}`, async () => assert.deepEqual(await pull(content()), []));

  it('takes a child that is a blob where the registry fails over it as a manifest', async () => {
    registry.unknown = new DrydockError('RegistryUnavailable', 'the registry answered 500');
    assert.deepEqual(await pull({ schemaVersion: 2, mediaType: INDEX, manifests: [layer('a')] }), []);
  });

  it('names what it cannot judge, and fails for nothing of it', async () => {
    const [unknown, none] = await pull({ schemaVersion: 2, layers: [{ digest: 'blake3:00ff' }, { digest: 'what', mediaType: LAYER }] });
    assert.equal(unknown, 'blake3:00ff is of an algorithm that cannot be computed here: it was not pulled');
    assert.equal(none, `a reference of the type ${LAYER} names no digest that can be read`);
    const [unreadable] = await pull('no manifest');
    assert.match(unreadable!, /^sha256:[0-9a-f]{64} has its bytes, but cannot be read as a manifest: what it needs was not looked at$/);
  });

  it('fails for a layer, a configuration or a child that is not there, and for each image that needs the same', async () => {
    const gone = { digest: `sha256:${'e'.repeat(64)}` };
    for (const content of [{ schemaVersion: 2, layers: [gone] }, { schemaVersion: 2, config: gone }, { schemaVersion: 2, mediaType: INDEX, manifests: [gone] }]) {
      await assert.rejects(pull(content), { kind: 'NotFound' });
      await assert.rejects(pull(content), { kind: 'NotFound' }, 'again under another tag');
    }
  });

  it('goes on from a child that cannot be reached with the registry\'s own error', async () => {
    registry.unknown = new DrydockError('RegistryUnavailable', 'the registry answered 503');
    await assert.rejects(pull({ schemaVersion: 2, mediaType: INDEX, manifests: [{ digest: `sha256:${'e'.repeat(64)}` }] }), { kind: 'RegistryUnavailable' });
  });
});
