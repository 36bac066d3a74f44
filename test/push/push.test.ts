import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { planCatalogue } from '../../lab/push/catalogue';
import { pushImages, type PushedImage } from '../../lab/push/push';
import { startRegistry, type LoopbackRegistry } from './loopback-registry';

interface Manifest {
  mediaType: string;
  config: { digest: string };
  layers: { digest: string; size: number }[];
  manifests?: { digest: string; platform: { architecture: string } }[];
}

const ACCEPT = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
].join(', ');
const SMALL = { seed: 7, repos: 3, tags: 2, mib: 2, dtr: false } as const;

describe('lab push', function () {
  this.timeout(60_000);
  let registry: LoopbackRegistry;

  before(async () => {
    registry = await startRegistry();
  });
  after(() => registry.stop());

  const manifestOf = async (repository: string, reference: string): Promise<{ digest: string; manifest: Manifest }> => {
    const answer = await registry.http.registry('GET', `/v2/${repository}/manifests/${reference}`, repository, { headers: { accept: ACCEPT }, expect: [200] });
    return { digest: String(answer.headers['docker-content-digest']), manifest: JSON.parse(answer.text) as Manifest };
  };
  const digests = (images: PushedImage[]): string[] => images.map((image) => `${image.repository}:${image.tag}@${image.digest}`).sort();

  it('pushes by skopeo what the report says, digest by digest', async () => {
    const report = await pushImages({ ...SMALL, ...registry, client: 'skopeo' });
    assert.equal(report.client, 'skopeo');
    assert.equal(report.images.length, 3 * 2 + 1);
    for (const image of report.images) assert.equal((await manifestOf(image.repository, image.tag)).digest, image.digest);
  });

  it('makes the same images from the same seed, whichever way they are pushed', async () => {
    const first = await pushImages({ ...SMALL, ...registry, client: 'direct' });
    const again = await pushImages({ ...SMALL, ...registry, client: 'skopeo' });
    assert.deepEqual(digests(first.images), digests(again.images));
    for (const image of first.images) assert.equal((await manifestOf(image.repository, image.tag)).digest, image.digest);
  });

  it('adds tags when another seed is pushed, and keeps the earlier ones', async () => {
    const first = await pushImages({ ...SMALL, ...registry });
    const second = await pushImages({ ...SMALL, ...registry, seed: 8 });
    assert.ok(second.images.every((image) => !first.images.some((other) => other.repository === image.repository && other.tag === image.tag)));
    for (const image of [...first.images, ...second.images]) assert.equal((await manifestOf(image.repository, image.tag)).digest, image.digest);
  });

  it('pushes a multi-architecture index whose children are there', async () => {
    const report = await pushImages({ ...SMALL, ...registry });
    const index = report.images.find((image) => image.tag === '7-multi');
    assert.ok(index);
    const { manifest } = await manifestOf(index.repository, index.tag);
    assert.deepEqual(manifest.manifests?.map((child) => child.platform.architecture), ['amd64', 'arm64']);
    for (const child of manifest.manifests ?? []) assert.ok((await manifestOf(index.repository, child.digest)).manifest.layers.length >= 3);
  });

  it('removes the tag that it reports as deleted', async () => {
    const report = await pushImages({ ...SMALL, ...registry });
    assert.deepEqual(report.deleted.map((image) => image.tag), ['7-retired']);
    const { repository, tag } = report.deleted[0]!;
    await registry.http.registry('GET', `/v2/${repository}/manifests/${tag}`, repository, { headers: { accept: ACCEPT }, expect: [404] });
  });

  it('shares layers between the tags of a repository and between repositories', async () => {
    const report = await pushImages({ ...SMALL, ...registry });
    const layers = async (image: PushedImage): Promise<string[]> => (await manifestOf(image.repository, image.tag)).manifest.layers.map((layer) => layer.digest);
    const [one, two, other] = [report.images[0]!, report.images[1]!, report.images.at(-1)!];
    assert.notEqual(one.repository, other.repository);
    const [first, second, third] = [await layers(one), await layers(two), await layers(other)];
    assert.deepEqual(first.slice(0, 2), second.slice(0, 2), 'tags of one repository');
    assert.equal(first[0], third[0], 'system layer of two repositories');
    assert.notEqual(first[2], second[2]);
  });

  it('makes layers that unpack to the digest in the configuration', async () => {
    const report = await pushImages({ ...SMALL, ...registry });
    const image = report.images[0]!;
    const { manifest } = await manifestOf(image.repository, image.tag);
    const { rootfs } = JSON.parse(await blobText(image.repository, manifest.config.digest)) as { rootfs: { diff_ids: string[] } };
    const smallest = manifest.layers.reduce((a, b) => (a.size <= b.size ? a : b));
    const unpacked = gunzipSync(await blobBytes(image.repository, smallest.digest));
    assert.equal(`sha256:${createHash('sha256').update(unpacked).digest('hex')}`, rootfs.diff_ids[manifest.layers.indexOf(smallest)]);
  });

  it('refuses a wrong password without saying it', async () => {
    const wrong = pushImages({ ...SMALL, ...registry, client: 'direct', password: 'not-the-password' });
    await assert.rejects(wrong, (error: Error) => /refused the login/.test(error.message) && !error.message.includes('not-the-password'));
  });

  const blobBytes = async (repository: string, digest: string): Promise<Buffer> => registry.http.bytes(`/v2/${repository}/blobs/${digest}`);
  const blobText = async (repository: string, digest: string): Promise<string> => (await blobBytes(repository, digest)).toString();
});

describe('catalogue of lab push', () => {
  it('spreads the wanted size over layers whose sizes differ widely', () => {
    const plan = planCatalogue({ seed: 1, repos: 12, tags: 5, mib: 100 });
    const layers = plan.flatMap((repository) => repository.tags.flatMap((tag) => tag.images.flatMap((image) => image.layers)));
    const sizes = [...new Map(layers.map((layer) => [layer.name, layer.bytes])).values()];
    const total = sizes.reduce((a, b) => a + b, 0) / 2 ** 20;
    assert.ok(Math.abs(total - 100) < 1, `${total} MiB`);
    assert.ok(Math.max(...sizes) / Math.min(...sizes) > 50);
  });

  it('has public and private repositories in every namespace of the lab, and never the same name twice', () => {
    const plan = planCatalogue({ seed: 1, repos: 30, tags: 1, mib: 1 });
    assert.deepEqual(new Set(plan.map((repository) => repository.namespace)), new Set(['acme', 'infra', 'alice']));
    assert.deepEqual(new Set(plan.map((repository) => repository.visibility)), new Set(['public', 'private']));
    assert.equal(new Set(plan.map((repository) => `${repository.namespace}/${repository.name}`)).size, 30);
  });
});
