import assert from 'node:assert/strict';
import { CopyList } from '../../domain/copy-list';
import { digestBlobPath, parseBlobPath, sha256BlobPath } from '../../domain/layout';
import { LinkTree } from '../../domain/link-tree';
import { Oddities } from '../../domain/oddities';
import { Follower, parseAliasLink, proveTags } from '../../domain/proof';
import { References } from '../../domain/references';
import { readRow, type MetadataRow } from '../../domain/rows';
import { checkGraph } from '../../domain/verify';
import type { ManifestRefs } from '../../domain/vault-format';

const d = (letter: string): string => letter.repeat(64);
const SHA_512 = `sha512:${'5'.repeat(128)}`;
const SHA_384 = `sha384:${'3'.repeat(96)}`;
const REPOSITORY = 'acme/app';

/** A registry of one tag, `acme/app:1`, whose manifest is `a`. */
class Scene {
  readonly references = new References();
  readonly copies = new CopyList(this.references.numbers);
  readonly follower = new Follower(this.references, this.copies);
  private readonly oddities = new Oddities(this.references, this.copies, this.follower);

  constructor(...rows: MetadataRow[]) {
    this.references.add({ table: 'tags', repository: REPOSITORY, name: '1', digest: d('a') });
    for (const row of rows) this.references.add(row);
  }

  stored(sha256: string, size = 1, refs?: Partial<ManifestRefs>, path = sha256BlobPath(sha256)): this {
    this.copies.add({ path, size, sha256, ...(refs ? { refs: { mediaType: 'application/vnd.oci.image.index.v1+json', ...refs } } : {}) }, 's');
    return this;
  }

  get missing(): string[] {
    return [...proveTags(this.references, this.follower, null)].flatMap((tag) => tag.missing.map(({ what, digest }) => `${what} ${digest}`));
  }

  get odd(): string[] {
    return [...proveTags(this.references, this.follower, null)].flatMap((tag) => this.oddities.of(tag));
  }

  /** What verification says of the same content. */
  get verified(): ReturnType<typeof checkGraph> {
    const number = (digest: string): number => this.references.sha256Of(this.references.numbers.digests.add(digest), this.copies);
    const copyOf = (digest: string): number => this.references.copyOf(number(digest), this.copies);
    return checkGraph([{ repository: REPOSITORY, name: '1', digest: `sha256:${d('a')}`, state: 'whole' }], this.follower, {
      sizeOf: (digest) => (copyOf(digest) < 0 ? undefined : this.copies.sizeAt(copyOf(digest))),
      refsOf: (digest) => this.copies.refs.get(number(digest)),
      isIndexed: () => true,
      markNeeded: () => undefined,
    });
  }
}

describe('what is odd in the registry itself', () => {
  it('is a part of another size than its manifest says: told once, missing nothing, and no damage', () => {
    const scene = new Scene().stored(d('a'), 9, { config: d('b'), layers: [d('c')], sizes: [7, 100] }).stored(d('b'), 7).stored(d('c'), 99);
    assert.deepEqual(scene.missing, []);
    assert.deepEqual(scene.odd, [`acme/app:1: sha256:${d('c')} has 99 bytes, its manifest says 100`]);
    assert.deepEqual(scene.odd, [], 'not again for the next tag with the same manifest');
    const { damages, wrongSizes } = scene.verified;
    assert.deepEqual({ damages, wrongSizes }, { damages: [], wrongSizes: 1 });
  });

  it('is a child of an index that is no manifest, as in a BuildKit cache: it counts as a part', () => {
    const scene = new Scene().stored(d('a'), 9, { manifests: [d('b'), d('c')] }).stored(d('b')).stored(d('c'));
    assert.deepEqual(scene.missing, []);
    const { manifests, parts } = scene.follower.follow(d('a'));
    assert.deepEqual({ manifests, parts }, { manifests: [d('a')], parts: [d('b'), d('c')] });
    assert.match(scene.odd.join(), /^acme\/app:1: 2 of the parts of its index are no manifests \(a build cache has such\), the first sha256:b+$/);
    assert.deepEqual(scene.verified.damages, []);
  });

  it('is not a child that is missing, whatever it was: that is a gap', () => {
    assert.deepEqual(new Scene().stored(d('a'), 9, { manifests: [d('b')] }).missing, [`manifest of the index ${d('b')}`]);
  });

  it('is a manifest that cannot be read and that the database knows: its row is followed', () => {
    const row: MetadataRow = { table: 'manifests', repository: REPOSITORY, digest: d('a'), config: d('b'), layers: [d('c')], foreign: [], manifests: [] };
    const scene = new Scene(row).stored(d('a')).stored(d('b'));
    assert.deepEqual(scene.missing, [`layer ${d('c')}`]);
    assert.match(scene.odd.join(), /^acme\/app:1: its manifest sha256:a+ cannot be read as one; what the registry's database says of it was followed instead$/);
  });

  it('is no damage when verification meets a manifest that was not readable when it was stored', () => {
    const { damages, unreadable } = new Scene().stored(d('a')).verified;
    assert.deepEqual({ damages, unreadable }, { damages: [], unreadable: 1 });
  });

  it('is a reference without a digest', () => {
    assert.deepEqual(new Scene().stored(d('a'), 9, { layers: [], unreadable: 2 }).odd, [`acme/app:1: its manifest sha256:${d('a')} has 2 references without a digest that can be read`]);
  });

  it('bears an index of indexes, a thousand deep', () => {
    const name = (level: number): string => level.toString(16).padStart(64, '0');
    const scene = new Scene().stored(d('a'), 1, { manifests: [name(0)] });
    for (let level = 0; level < 1000; level += 1) scene.stored(name(level), 1, { manifests: [name(level + 1)] });
    assert.deepEqual(scene.missing, [`manifest of the index ${name(1000)}`]);
  });
});

describe('digests of other algorithms', () => {
  it('are followed by the link that says the SHA-256 of the same content', () => {
    const scene = new Scene().stored(d('a'), 9, { config: SHA_384, layers: [SHA_512], sizes: [1, 5] }).stored(d('b')).stored(d('c'), 4);
    scene.references.addAlias(SHA_384, d('b'));
    scene.references.addAlias(SHA_512, d('c'));
    assert.deepEqual(scene.missing, []);
    assert.deepEqual(scene.follower.follow(d('a')).parts, [d('b'), d('c')]);
    assert.deepEqual(scene.odd, [`acme/app:1: ${SHA_512} has 4 bytes, its manifest says 5`]);
    assert.deepEqual(scene.verified.damages, []);
  });

  it('are followed to where content lies under such a name', () => {
    const scene = new Scene().stored(d('a'), 9, { layers: [SHA_512] }).stored(d('c'), 4, undefined, digestBlobPath(SHA_512));
    assert.deepEqual(scene.missing, []);
    assert.deepEqual(scene.follower.follow(d('a')).aliases, [{ other: SHA_512, sha256: d('c') }]);
  });

  it('are a gap with their name where nothing tells which content they name, or where that is not stored', () => {
    const scene = new Scene().stored(d('a'), 9, { layers: [SHA_512, 'blake3:00ff'] });
    assert.deepEqual(scene.missing, [`layer ${SHA_512}`, 'layer blake3:00ff']);
    scene.references.addAlias(SHA_512, d('c'));
    assert.deepEqual(scene.missing, [`layer ${SHA_512}`, 'layer blake3:00ff']);
  });

  it('are read from the links of layers, and from no other link', () => {
    const base = `docker/registry/v2/repositories/${REPOSITORY}`;
    assert.deepEqual(parseAliasLink(`${base}/_layers/sha512/${'5'.repeat(128)}/link`, `sha256:${d('c')}\n`), { other: SHA_512, sha256: d('c') });
    assert.equal(parseAliasLink(`${base}/_layers/sha256/${d('c')}/link`, `sha256:${d('c')}`), null);
    assert.equal(parseAliasLink(`${base}/_manifests/tags/sha512/current/link`, `sha256:${d('c')}`), null);
    assert.equal(parseAliasLink(`${base}/_layers/sha512/${'5'.repeat(128)}/link`, 'torn'), null);
  });

  it('name content in the volume, wherever no link of the tree can lie', () => {
    assert.deepEqual(parseBlobPath(digestBlobPath(SHA_512)), { layout: 'other', digest: SHA_512 });
    assert.deepEqual(parseBlobPath('docker/registry/v2/blobs/odd/xy/what is this/data'), { layout: 'other', digest: null });
    for (const path of ['blobs/../sh/sh/data', 'blobs/sha512/55/../data', 'blobs/sha512/55/a/b/data', 'blobs/sha512/555/5/data', 'blobs/sha512/data', `blobs/sha256/ab/${d('c')}/data`]) assert.equal(parseBlobPath(`docker/registry/v2/${path}`), null, path);
  });

  it('need their own link in the older layout, which may say either digest', () => {
    const scene = new Scene().stored(d('a'), 9, { layers: [SHA_512] }).stored(d('c'));
    scene.references.addAlias(SHA_512, d('c'));
    const check = (alias: string | null): string[] => {
      const tree = new LinkTree();
      const add = (place: string, digest: string): void => tree.add(`docker/registry/v2/repositories/${REPOSITORY}/${place}/link`, digest);
      for (const place of ['_manifests/tags/1/current', `_manifests/tags/1/index/sha256/${d('a')}`, `_manifests/revisions/sha256/${d('a')}`]) add(place, `sha256:${d('a')}`);
      add(`_layers/sha256/${d('c')}`, `sha256:${d('c')}`);
      if (alias !== null) add(`_layers/${SHA_512.replace(':', '/')}`, alias);
      return tree.check([{ repository: REPOSITORY, name: '1', digest: `sha256:${d('a')}`, state: 'whole' }], scene.follower).map(({ what }) => what);
    };
    assert.deepEqual(check(`sha256:${d('c')}`), []);
    assert.deepEqual(check(SHA_512), []);
    assert.deepEqual(check(null), ['the link of a layer is missing or cannot be read']);
    assert.deepEqual(check(`sha256:${d('e')}`), ['the link of a layer points elsewhere']);
  });

  it('and references that are none do not keep a row of the metadata from being read', () => {
    const layers = [{ digest: SHA_512 }, { digest: null }, {}, null, { digest: `sha256:${d('c')}`, urls: 'none' }];
    assert.deepEqual(readRow('manifests', { repository: 'a/b', digest: d('a'), configDigest: SHA_384, layers, manifests: [SHA_512, { digest: `sha256:${d('b')}` }, null, {}] }), {
      table: 'manifests', repository: 'a/b', digest: d('a'), config: SHA_384, layers: [SHA_512, d('c')], foreign: [], manifests: [SHA_512, d('b')],
    });
    assert.deepEqual(readRow('manifests', { repository: 'a/b', digest: d('a') }), { table: 'manifests', repository: 'a/b', digest: d('a'), layers: [], foreign: [], manifests: [] });
    assert.deepEqual(readRow('blob_links', { namespace: 'a', repository: 'b', digest: SHA_512 }), { table: 'blob_links', repository: 'a/b', digest: SHA_512 });
  });
});
