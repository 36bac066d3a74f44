import assert from 'node:assert/strict';
import { isDeletion } from '../../domain/deletions';
import { idBlobPath, sha256BlobPath } from '../../domain/layout';
import { CopyList } from '../../domain/copy-list';
import { changedSince, Follower, isInFlight, parseTagLink, proveTags, type ProvenTag, type TagLink } from '../../domain/proof';
import { References } from '../../domain/references';
import { readRow, type MetadataRow } from '../../domain/rows';
import type { ManifestRefs } from '../../domain/vault-format';

/** A digest that is easy to tell apart. */
const d = (letter: string): string => letter.repeat(64);
const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';

class Vault {
  private readonly blobs: Parameters<CopyList['add']>[0][] = [];

  store(path: string, sha256: string, refs?: Partial<ManifestRefs>): this {
    this.blobs.push({ path, size: 1, sha256, ...(refs ? { refs: { mediaType: MANIFEST, ...refs } } : {}) });
    return this;
  }

  byDigest(digest: string, refs?: Partial<ManifestRefs>): this {
    return this.store(sha256BlobPath(digest), digest, refs);
  }

  follower(references: References): Follower {
    const copies = new CopyList(references.numbers);
    for (const blob of this.blobs) copies.add(blob, 's');
    return new Follower(references, copies);
  }
}

function referencesOf(...rows: MetadataRow[]): References {
  const references = new References();
  for (const row of rows) references.add(row);
  return references;
}

const tagRow = (digest: string, changedAt?: string): MetadataRow => ({ table: 'tags', repository: 'acme/app', name: '1', digest, ...(changedAt === undefined ? {} : { changedAt }) });

function missingOf(references: References, vault: Vault, links: TagLink[] | null = null): string[][] {
  return [...proveTags(references, vault.follower(references), links)].map(({ missing }) => missing.map(({ digest, what }) => `${what} ${digest[0]}`));
}

describe('proof: tags to blobs', () => {
  it('finds a tag whole when manifest, configuration and every layer are stored', () => {
    const vault = new Vault().byDigest(d('a'), { config: d('b'), layers: [d('c'), d('d')] }).byDigest(d('b')).byDigest(d('c')).byDigest(d('d'));
    assert.deepEqual(missingOf(referencesOf(tagRow(d('a'))), vault), [[]]);
  });

  it('names what is missing, each piece once', () => {
    const vault = new Vault().byDigest(d('a'), { config: d('b'), layers: [d('c'), d('c'), d('d')] }).byDigest(d('d'));
    assert.deepEqual(missingOf(referencesOf(tagRow(d('a'))), vault), [['configuration b', 'layer c']]);
  });

  it('does not take a copy with another digest at the right path', () => {
    const vault = new Vault().byDigest(d('a'), { layers: [d('c')] }).store(sha256BlobPath(d('c')), d('e'));
    assert.deepEqual(missingOf(referencesOf(tagRow(d('a'))), vault), [['layer c']]);
  });

  it('finds content by id through the rows of the table blobs', () => {
    const rows: MetadataRow[] = [tagRow(d('a')), { table: 'blobs', id: 'id-a', sha256: d('a') }, { table: 'blobs', id: 'id-c', sha256: d('c') }];
    const vault = new Vault().store(idBlobPath('id-a'), d('a'), { layers: [d('c')] }).store(idBlobPath('id-c'), d('c'));
    assert.deepEqual(missingOf(referencesOf(...rows), vault), [[]]);
    assert.deepEqual(missingOf(referencesOf(...rows.slice(0, 2)), vault), [['layer c']]);
  });

  it('follows the children of an index to their layers', () => {
    const vault = new Vault().byDigest(d('a'), { manifests: [d('b'), d('c')] }).byDigest(d('b'), { layers: [d('d')] });
    assert.deepEqual(missingOf(referencesOf(tagRow(d('a'))), vault), [['layer d', 'manifest of the index c']]);
  });

  it('bears an index that names itself', () => {
    const vault = new Vault().byDigest(d('a'), { manifests: [d('a')] });
    assert.deepEqual(missingOf(referencesOf(tagRow(d('a'))), vault), [[]]);
  });

  it('asks for no layer that may lawfully be absent, and for no subject', () => {
    const vault = new Vault().byDigest(d('a'), { layers: [], foreign: [d('c')], subject: d('e') });
    assert.deepEqual(missingOf(referencesOf(tagRow(d('a'))), vault), [[]]);
  });

  it('takes the references of a missing manifest from its row, so that layers that are missing too are named', () => {
    const row: MetadataRow = { table: 'manifests', repository: 'acme/app', digest: d('a'), config: d('b'), layers: [d('c')], foreign: [], manifests: [] };
    assert.deepEqual(missingOf(referencesOf(tagRow(d('a')), row), new Vault().byDigest(d('c'))), [['manifest a', 'configuration b']]);
  });

  it('counts a stored manifest that neither it nor its row can explain as missing', () => {
    assert.deepEqual(missingOf(referencesOf(tagRow(d('a'))), new Vault().byDigest(d('a'))), [['manifest that cannot be read a']]);
  });

  it('wants the link of a tag in the older layout, and wants it to point to the same image', () => {
    const vault = new Vault().byDigest(d('a'), { layers: [] }).byDigest(d('e'), { layers: [] });
    const references = referencesOf(tagRow(d('a')));
    assert.deepEqual(missingOf(references, vault, [{ repository: 'acme/app', name: '1', digest: d('a') }]), [[]]);
    assert.deepEqual(missingOf(references, vault, []), [['link of the tag a']]);
    assert.deepEqual(missingOf(references, vault, [{ repository: 'acme/app', name: '1', digest: d('e') }]), [['link of the tag (it points to another image) a']]);
  });

  it('follows a link of which the metadata knows nothing', () => {
    const vault = new Vault().byDigest(d('a'), { layers: [d('c')] });
    assert.deepEqual(missingOf(referencesOf(), vault, [{ repository: 'acme/app', name: '2', digest: d('a') }]), [['layer c']]);
  });

  it('tells a manifest of one repository from the same one of another', () => {
    const references = referencesOf({ table: 'manifests', repository: 'acme/app', digest: d('a'), layers: [], foreign: [], manifests: [] });
    assert.equal(references.hasManifests('acme/app', [d('a')]), true);
    assert.equal(references.hasManifests('acme/other', [d('a')]), false);
    assert.equal(references.hasManifests('acme/app', [d('a'), d('b')]), false);
  });

  it('marks a tag that only the link tree has', () => {
    const vault = new Vault().byDigest(d('a'), { layers: [] });
    const references = referencesOf(tagRow(d('a')));
    const tags = [...proveTags(references, vault.follower(references), [{ repository: 'acme/app', name: '1', digest: d('a') }, { repository: 'acme/app', name: '2', digest: d('a') }])];
    assert.deepEqual(tags.map(({ name, linkOnly }) => [name, linkOnly]), [['1', undefined], ['2', true]]);
  });

  it('reads the link of a current tag and no other link', () => {
    const base = 'docker/registry/v2/repositories/a/b/c/_manifests';
    assert.deepEqual(parseTagLink(`${base}/tags/1.0/current/link`, `sha256:${d('a')}`), { repository: 'a/b/c', name: '1.0', digest: d('a') });
    assert.equal(parseTagLink(`${base}/tags/1.0/index/sha256/${d('a')}/link`, `sha256:${d('a')}`), null);
    assert.equal(parseTagLink(`${base}/tags/1.0/current/link`, 'torn'), null);
  });
});

describe('proof: tags in flight', () => {
  const since = '2026-11-23T02:00:00Z';
  const broken = (changedAt?: string): ProvenTag => ({ repository: 'acme/app', name: '1', digest: d('a'), missing: [{ digest: d('c'), what: 'layer' }], manifests: [], parts: [], aliases: [], ...(changedAt === undefined ? {} : { changedAt }) });

  it('knows them by the time in their row', () => {
    assert.equal(isInFlight(broken('2026-11-23T02:00:01.5Z'), { digest: d('a') }, since), true);
    assert.equal(isInFlight(broken('2026-11-23T01:59:59Z'), { digest: d('a') }, since), false);
  });

  it('knows them by what the registry shows now: gone, moved or changed since', () => {
    assert.equal(isInFlight(broken(), null, since), true);
    assert.equal(isInFlight(broken(), { digest: `sha256:${d('b')}` }, since), true);
    assert.equal(isInFlight(broken(), { digest: `sha256:${d('a')}`, changedAt: '2026-11-23T02:00:09Z' }, since), true);
  });

  it('leaves an old broken tag a gap, also where the registry tells no digest', () => {
    assert.equal(isInFlight(broken(), { digest: `sha256:${d('a')}`, changedAt: '2026-10-01T00:00:00Z' }, since), false);
    assert.equal(isInFlight(broken(), { digest: '' }, since), false);
  });

  it('does not go by a time that cannot be read', () => {
    assert.equal(changedSince('yesterday', since), false);
    assert.equal(changedSince(undefined, since), false);
  });
});

describe('rows of the metadata', () => {
  it('are read with and without the algorithm, and with what other versions leave out', () => {
    assert.deepEqual(readRow('blobs', { id: 'abcdef', sha256sum: d('a'), mediaType: 'x' }), { table: 'blobs', id: 'abcdef', sha256: d('a') });
    assert.deepEqual(readRow('blobs', { id: 'abcdef', sha256sum: `sha256:${d('a')}` }), { table: 'blobs', id: 'abcdef', sha256: d('a') });
    assert.deepEqual(readRow('manifests', { repository: 'a/b', digest: `sha256:${d('a')}`, layers: null, configDigest: '' }), {
      table: 'manifests', repository: 'a/b', digest: d('a'), layers: [], foreign: [], manifests: [],
    });
  });

  it('take the namespace from the primary key where the repository is named without it', () => {
    const row = readRow('tags', { pk: 'acme/app:1.0', repository: 'app', name: '1.0', digest: `sha256:${d('a')}`, updatedAt: '2026-11-23T02:00:00Z' });
    assert.deepEqual(row, { table: 'tags', repository: 'acme/app', name: '1.0', digest: d('a'), changedAt: '2026-11-23T02:00:00Z' });
  });

  it('keep layers that may be absent apart', () => {
    const row = readRow('manifests', { repository: 'a/b', digest: d('a'), layers: [{ digest: d('b'), urls: ['https://elsewhere'] }, { digest: d('c'), urls: null }] });
    assert.deepEqual(row?.table === 'manifests' && [row.layers, row.foreign], [[d('c')], [d('b')]]);
  });

  it('that are marked deleted, or of other tables, say nothing', () => {
    assert.equal(readRow('tags', { repository: 'a/b', name: '1', digest: d('a'), deleted: true }), null);
    assert.equal(readRow('properties', { key: 'webTLSKey', value: 'secret' }), null);
    assert.equal(readRow('constructor', {}), null);
  });

  it('of an unknown form are counted by table, never guessed', () => {
    const row = readRow('tags', { repository: 'a/b', name: '1', digest: 'md5:00' });
    assert.deepEqual(row, { table: 'unreadable', of: 'tags' });
    assert.deepEqual([...referencesOf(row).unreadable], [['tags', 1]]);
  });
});

describe('jobs that delete', () => {
  it('are collections and pruning under any name, not the tidying of logs', () => {
    const deleting = ['gc', 'onlinegc', 'onlinegc_metadata', 'onlinegc_blobs', 'tag_pruning', 'manifest_gc', 'pruneRepositories'];
    assert.deepEqual(deleting.filter(isDeletion), deleting);
    assert.deepEqual(['onlinegc_joblogs', 'onlinegc_events', 'update_vuln_db', 'poll_mirror'].filter(isDeletion), []);
  });
});
