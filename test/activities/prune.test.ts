import assert from 'node:assert/strict';
import { access, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StoredBlobs } from '../../activities/backup/stored';
import { readBadSegments } from '../../adapters/vault/bad-segments';
import { vaultPaths } from '../../domain/vault-format';
import { BLOB, pruneScene, type PruneScene } from '../helpers/prune-scene';

describe('prune', () => {
  let here: PruneScene['here'];
  let id: PruneScene['id'];
  let segment: PruneScene['segment'];
  let prune: PruneScene['prune'];
  let put: PruneScene['put'];
  let age: PruneScene['age'];
  let putSegment: PruneScene['putSegment'];
  let putBackup: PruneScene['putBackup'];
  let putManifest: PruneScene['putManifest'];
  let names: PruneScene['names'];
  let ageMarks: PruneScene['ageMarks'];
  beforeEach(async () => {
    ({ here, id, segment, prune, put, age, putSegment, putBackup, putManifest, names, ageMarks } = await pruneScene());
  });
  afterEach(() => here.remove());

  it('marks first, removes after the hold, and then marks and removes the segments that nothing names any more', async () => {
    await putSegment(segment(1));
    await putSegment(segment(2));
    await putBackup(1, [segment(1)]);
    await putBackup(2, [segment(2)]);
    assert.deepEqual((await prune()).marked.backups, [id(1)]);
    await ageMarks(6);
    assert.deepEqual((await prune()).removed.backups, [], 'the hold is not over');
    await ageMarks(8);
    const removed = await prune();
    assert.deepEqual([removed.removed.backups, removed.marked.segments], [[id(1)], 1]);
    assert.deepEqual(await names(vaultPaths.backups('lab')), [`${id(2)}/RESTORE.md`, `${id(2)}/manifest.json`, `${id(2)}/segments.jsonl`]);
    for (const folder of ['backups', 'verdicts']) assert.deepEqual(await readdir(join(here.directory, 'lab', folder)), [id(2)], 'no empty folder is left');
    assert.deepEqual(await names(vaultPaths.verdictsOf('lab', id(1))), []);
    await ageMarks(8);
    assert.equal((await prune()).removed.segments, 1);
    assert.deepEqual(await names(vaultPaths.segments('lab')), [`${segment(2)}.index`, `${segment(2)}.tar.gpg`]);
    assert.deepEqual(await names(vaultPaths.tombstones('lab')), []);
  });

  it('refuses a vault that is another one than before, and one that is gone, before it marks or removes anything', async () => {
    await putBackup(1, []);
    await prune({ dryRun: true });
    await putBackup(2, []);
    await rm(join(here.directory, 'vault.json'));
    await assert.rejects(prune(), /the vault "v" .* is not there: it has no vault\.json/);
    await here.vault.check();
    await assert.rejects(prune(), /the vault "v" .* is another vault/);
    assert.deepEqual(await names(vaultPaths.tombstones('lab')), []);
  });

  it('changes nothing in a dry run, and gives a sentence for each backup', async () => {
    await putBackup(1, []);
    await putBackup(2, []);
    const result = await prune({ dryRun: true });
    assert.deepEqual(result.decisions.map(({ id: of, keep }) => [of, keep]), [[id(1), false], [id(2), true]]);
    assert.deepEqual(result.marked.backups, [id(1)]);
    assert.deepEqual(await names(vaultPaths.tombstones('lab')), []);
  });

  it('ends what a killed run left half removed', async () => {
    await putBackup(1, []);
    await putBackup(2, []);
    await prune();
    await ageMarks(8);
    await here.vault.remove(vaultPaths.manifest('lab', id(1)));
    await prune();
    assert.deepEqual(await names(`${vaultPaths.backup('lab', id(1))}/`), []);
    assert.deepEqual([await names(vaultPaths.verdictsOf('lab', id(1))), await names(vaultPaths.tombstones('lab'))], [[], []]);
  });

  it('takes the mark from a segment that a backup of another worker was sealed on meanwhile', async () => {
    await putSegment(segment(1));
    await putBackup(2, []);
    assert.equal((await prune()).marked.segments, 1);
    await ageMarks(8);
    await putBackup(3, [segment(1)]);
    const result = await prune();
    assert.deepEqual([result.lifted, result.removed.segments], [1, 0]);
    assert.ok((await names(vaultPaths.tombstones('lab'))).every((name) => !name.startsWith(segment(1))));
    await access(join(here.directory, vaultPaths.segment('lab', segment(1))));
  });

  it('lets no new backup build on a marked segment', async () => {
    await putSegment(segment(1));
    assert.ok((await StoredBlobs.load(here.vault, 'lab')).good(BLOB, 'ab'.repeat(32)));
    await prune();
    assert.equal((await StoredBlobs.load(here.vault, 'lab')).good(BLOB, 'ab'.repeat(32)), undefined);
  });

  it('marks nothing that is younger than the hold: a running backup may be about to name it', async () => {
    await putSegment(segment(1));
    await age(vaultPaths.segmentIndex('lab', segment(1)), 6);
    assert.equal((await prune()).marked.segments, 0);
  });

  it('touches no segment while a manifest cannot be read, and says so', async () => {
    await putSegment(segment(1));
    await put(vaultPaths.manifest('lab', id(5)), '{"format":1');
    const result = await prune();
    assert.equal(result.marked.segments, 0);
    assert.match(result.notes.join(' '), /No segment is marked or removed while the manifest of 20261105T020000Z-000005 cannot be read/);
  });

  it('keeps the word that nothing may be built on a damaged segment until that segment has gone', async () => {
    await putSegment(segment(1));
    await putBackup(1, [segment(1)]);
    const at = '2026-11-01T03:00:00.000Z';
    const verdict = (await here.vault.readAll(vaultPaths.verdict('lab', id(1), '2026-11-01T02:00:00.000Z'), 65536)).toString();
    await put(vaultPaths.badSegments('lab', id(1), at), `${JSON.stringify({ segment: segment(1) })}\n`);
    await put(vaultPaths.verdict('lab', id(1), at), JSON.stringify({ ...(JSON.parse(verdict) as object), at, result: 'bad', findings: 1 }));
    await putBackup(2, [segment(1)]);
    await prune();
    for (let run = 0; run < 2; run += 1) {
      await ageMarks(8);
      await prune();
      assert.deepEqual(await names(vaultPaths.backups('lab')), [`${id(2)}/RESTORE.md`, `${id(2)}/manifest.json`, `${id(2)}/segments.jsonl`]);
      assert.deepEqual([...(await readBadSegments(here.vault, 'lab')).keys()], [segment(1)], 'the next backup must not build on it');
    }
    for (const name of [vaultPaths.segmentIndex('lab', segment(1)), vaultPaths.segment('lab', segment(1))]) await here.vault.remove(name);
    await prune();
    assert.deepEqual([await names(vaultPaths.verdictsOf('lab', id(1))), await names(vaultPaths.tombstones('lab'))], [[], []]);
  });

  it('has its result also when the repacking behind it cannot be done, with a sentence', async () => {
    await putBackup(1, []);
    const startedAt = new Date().toISOString();
    const newest = `${startedAt.replace(/[-:]|\.\d+/g, '')}-abcdef`;
    await putManifest(newest, startedAt, []);
    await put(vaultPaths.verdict('lab', newest, startedAt), (await here.vault.readAll(vaultPaths.verdict('lab', id(1), '2026-11-01T02:00:00.000Z'), 65536)).toString().replaceAll(id(1), newest));
    const { marked, repacked, notes } = await prune();
    assert.deepEqual([marked.backups, repacked?.segments], [[id(1)], 0]);
    assert.match(notes.join(' '), /Mostly dead segments were not repacked: .*manifest/);
  });

  it('removes nothing when the vault\'s clock and the worker\'s disagree', async () => {
    await putBackup(1, []);
    const now = Date.now;
    Date.now = () => now() + 6 * 60_000;
    try {
      await assert.rejects(prune(), /clocks of this worker and of the vault .* differ by 3\d\d s: nothing is marked or removed/);
    } finally {
      Date.now = now;
    }
  });

  it('touches nothing in a vault that a newer Drydock wrote', async () => {
    await putBackup(1, []);
    await putBackup(2, []);
    await writeFile(join(here.directory, 'vault.json'), '{"kind":"drydock-vault","format":2}');
    await assert.rejects(prune(), /has format 2; this Drydock knows format 1 at most/);
    assert.deepEqual(await names(vaultPaths.tombstones('lab')), []);
  });

  it('does not believe a tombstone that says it is older than its file', async () => {
    await putBackup(1, []);
    await putBackup(2, []);
    await prune();
    const [name] = await names(vaultPaths.tombstones('lab'));
    await ageMarks(8);
    const old = name!.replace(/\.\d+T/, '.20200101T');
    await rename(join(here.directory, vaultPaths.tombstones('lab'), name!), join(here.directory, vaultPaths.tombstones('lab'), old));
    await age(vaultPaths.tombstones('lab') + old, 1);
    assert.deepEqual((await prune()).removed.backups, []);
  });
});
