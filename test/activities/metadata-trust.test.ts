import assert from 'node:assert/strict';
import { deletionsSince } from '../../activities/backup/freeze';
import { LiveTags } from '../../activities/backup/live-tags';
import type { Dtr } from '../../adapters/dtr/dtr';
import type { Cluster } from '../../activities/cluster';
import { DrydockError } from '../../domain/errors';
import { isError } from '../helpers/vault';

const SINCE = '2026-11-23T02:00:00.000Z';

/** A DTR that answers what is given. */
function clusterOf(dtr: Partial<Dtr>): Pick<Cluster, 'dtr'> {
  return { dtr: () => Promise.resolve(dtr as Dtr) };
}

describe('a registry that was upgraded while it was backed up', () => {
  const look = (version: string): Promise<{ jobs: string[] }> =>
    deletionsSince(clusterOf({ version: () => Promise.resolve(version), jobs: () => Promise.resolve([]), ping: () => Promise.resolve({ healthy: true, error: '' }), clockOffsetMs: 0 }) as Cluster, { since: SINCE, facts: { version: '2.9.4' } }, new AbortController().signal);

  it('is refused before the seal, with both versions', async () => {
    await assert.rejects(look('2.9.5'), isError('VersionMismatch', /DTR was 2\.9\.4 when the backup began and is 2\.9\.5 now/));
  });

  it('is not taken for one where it says its version in another way, or not at all', async () => {
    for (const said of ['2.9.4', 'v2.9.4-tp1', 'unknown']) assert.deepEqual(await look(said), { jobs: [] });
  });
});

describe('tags of the living registry', () => {
  const tagsOf = (tags: Record<string, { name: string; digest: string; updatedAt?: string; createdAt?: string }[]>): LiveTags =>
    new LiveTags({
      repositories: () => Promise.resolve(Object.keys(tags).map((full) => ({ namespace: full.split('/')[0]!, name: full.split('/')[1]! }))),
      tags: (namespace: string, name: string) => {
        const found = tags[`${namespace}/${name}`]!;
        return found.length === 0 ? Promise.reject(new DrydockError('NotFound', 'it has just gone')) : Promise.resolve(found);
      },
    } as unknown as Dtr);

  it('tell of one that was there before a time, and so should stand in the metadata', async () => {
    const tags = tagsOf({ 'acme/gone': [], 'acme/new': [{ name: '2', digest: 'sha256:1', createdAt: '2026-11-23T02:30:00.000Z' }], 'acme/web': [{ name: '1', digest: 'sha256:2', updatedAt: '2026-11-20T00:00:00.000Z' }] });
    assert.equal(await tags.anyBefore(SINCE), 'acme/web:1');
  });

  it('that all came later say nothing against metadata without tags', async () => {
    assert.equal(await tagsOf({ 'acme/new': [{ name: '2', digest: 'sha256:1', createdAt: '2026-11-23T02:30:00.000Z' }] }).anyBefore(SINCE), null);
    assert.equal(await tagsOf({}).anyBefore(SINCE), null);
  });

  it('of which nobody knows the time count as old', async () => {
    assert.equal(await tagsOf({ 'acme/web': [{ name: '1', digest: 'sha256:2' }] }).anyBefore(SINCE), 'acme/web:1');
  });
});
