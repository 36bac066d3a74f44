import assert from 'node:assert/strict';
import { join } from 'node:path';
import { keptIndexes, StoredBlobs } from '../../activities/backup/stored';
import { Catalogue } from '../../activities/verify/catalogue';
import { checkSegments } from '../../activities/verify/files';
import type { Cluster } from '../../activities/cluster';
import { Progress } from '../../activities/restore/progress';
import { proveBackup } from '../../activities/restore/prove-backup';
import { Refusals } from '../../activities/restore/refusals';
import { ContentCache } from '../../adapters/vault/content-cache';
import { readFullPicture, readPicture } from '../../adapters/vault/picture';
import { segmentsOf } from '../../adapters/vault/segment-list';
import { SegmentLists } from '../../adapters/vault/segment-lists';
import { vaultPaths } from '../../domain/vault-format';
import type { Manifest } from '../../domain/manifest';
import { activityEnvironment } from '../helpers/backup-run';
import { CountingVault } from '../helpers/counting-vault';
import { makeMany } from '../helpers/many-segments';
import { readKeys, scratchDirectory, writeKeys, type Scratch } from '../helpers/vault';

const SEGMENTS = 500;
const BACKUPS = 20;
/** Whatever is looked at: artifacts, lists, a listing. Far below a call for each segment. */
const FEW = 60;

describe('over a distance, with 500 segments in each of 20 backups,', function () {
  this.timeout(120_000);
  let scratch: Scratch;
  const vault = new CountingVault();
  let newest: Manifest;

  before(async () => {
    scratch = await scratchDirectory();
    newest = (await makeMany({ vault, cluster: 'lab', keys: writeKeys, segments: SEGMENTS, backups: BACKUPS })).at(-1)!;
  });
  after(() => scratch.remove());
  beforeEach(() => vault.forget());

  const cluster = (): Cluster => ({ name: 'lab', vault, cache: new ContentCache(join(scratch.path, 'cache')), decryptionKeys: () => Promise.resolve(readKeys), encryptionKeys: () => Promise.resolve(writeKeys) }) as unknown as Cluster;
  const inActivity = <T>(work: () => Promise<T>): Promise<T> => activityEnvironment().run<[], T, () => Promise<T>>(work);

  it('the vault\'s part of a plan of a restore asks for no segment but the one that it opens, and reads each artifact once', async () => {
    const refusals = new Refusals(undefined);
    const proven = await inActivity(() => proveBackup(cluster(), newest, refusals, new Progress('plan')));
    refusals.throwIfAny();
    assert.equal(proven.blobs.length, SEGMENTS);
    assert.deepEqual(proven.owners, [{ id: 'o', name: 'acme' }]);
    assert.ok(vault.calls.length <= FEW, `${vault.calls.length} calls`);
    const metadata = vault.calls.filter((call) => call === `read ${newest.artifacts.metadata.name}`);
    assert.ok(metadata.length <= 3, `head, session key and once all of it: ${metadata.length}`);
  });

  it('a plan names a segment that is missing or cut, and an index that is missing', async () => {
    const segment = vaultPaths.segment('lab', '20261101T000000Z-0000000000ff');
    const index = vaultPaths.segmentIndex('lab', '20261101T000000Z-0000000000ff');
    const kept = [segment, index].map((name) => vault.files.get(name)!) as [Buffer, Buffer];
    const refused = async (): Promise<string> => {
      const refusals = new Refusals(undefined);
      await inActivity(() => proveBackup(cluster(), newest, refusals, new Progress('plan')));
      try {
        refusals.throwIfAny();
        return '';
      } catch (error) {
        return (error as Error).message;
      }
    };
    vault.files.set(segment, kept[0].subarray(1));
    assert.match(await refused(), /ff\.tar\.gpg has \d+ bytes instead of \d+/);
    vault.files.delete(segment);
    assert.match(await refused(), /ff\.tar\.gpg is not in the vault/);
    vault.files.set(segment, kept[0]);
    vault.files.delete(index);
    assert.match(await refused(), /the index of segment .*ff\.tar\.gpg is not in the vault/);
    vault.files.set(index, kept[1]);
    assert.equal(await refused(), '');
  });

  it('a look at all backups reads their manifests and verdicts, several at once, and no list of segments', async () => {
    const picture = await readPicture(vault, 'lab');
    assert.equal(picture.sealed.length, BACKUPS);
    assert.ok(vault.calls.length <= 2 * BACKUPS + 10, `${vault.calls.length} calls`);
    assert.ok(vault.atOnce >= 8, `${vault.atOnce} at once`);
    assert.ok(vault.calls.every((call) => !call.endsWith('.jsonl')));
  });

  it('a look at what every backup needs reads each list once in its life', async () => {
    const cache = new ContentCache(join(scratch.path, 'lists'));
    const picture = await readFullPicture(vault, 'lab', new SegmentLists(cache));
    assert.deepEqual(picture.sealed.map(({ segments }) => segments.length), Array.from({ length: BACKUPS }, () => SEGMENTS));
    vault.forget();
    const again = await readFullPicture(vault, 'lab', new SegmentLists(cache));
    assert.deepEqual(again.sealed, picture.sealed);
    assert.ok(vault.calls.every((call) => !call.endsWith('.jsonl')));
  });

  it('the indexes are read several at once, and those that the newest backup has sealed only once in their life', async () => {
    const load = async (): Promise<StoredBlobs> => StoredBlobs.load(vault, 'lab', { kept: await keptIndexes(cluster()) });
    assert.equal((await load()).copies.length, SEGMENTS);
    assert.ok(vault.atOnce >= 8, `${vault.atOnce} at once`);
    assert.ok(vault.calls.length <= SEGMENTS + FEW, `${vault.calls.length} calls`);
    vault.forget();
    assert.equal((await load()).copies.length, SEGMENTS);
    assert.ok(vault.calls.length <= FEW, `${vault.calls.length} calls`);
  });

  it('a verification reads each index once, several at once', async () => {
    const damages = await inActivity(async () => checkSegments(cluster(), await segmentsOf(vault, newest), new Catalogue(), new Progress('verify')));
    assert.deepEqual(damages, []);
    assert.ok(vault.calls.length <= SEGMENTS + FEW, `${vault.calls.length} calls`);
    assert.ok(vault.atOnce >= 8, `${vault.atOnce} at once`);
  });
});
