import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { auditVault } from '../../adapters/vault/audit';
import { vaultStats } from '../../adapters/vault/stats';
import { vaultPaths } from '../../domain/vault-format';
import { makeRegistryTree } from '../helpers/registry-tree';
import { freezeRecord, leaveRecord, restoreRecord } from '../helpers/changes';
import { sealBackup } from '../helpers/sealed-backup';
import { scratchVault, writeKeys } from '../helpers/vault';
import type { SealedManifest } from '../helpers/segment-list';

const PASSPHRASE_NAME = `passphrase:${'0'.repeat(16)}`;

describe('a look over a whole vault', () => {
  let here: Awaited<ReturnType<typeof scratchVault>>;
  let first: SealedManifest;
  let second: SealedManifest;
  const file = (name: string): string => join(here.directory, name);

  beforeEach(async () => {
    here = await scratchVault();
    const seal = async (startedAt: string, repositories: number): Promise<SealedManifest> =>
      sealBackup({ vault: here.vault, cluster: 'lab', tree: makeRegistryTree({ layout: 'sha256', seed: 7, repositories, layerBytes: 20_000 }), keys: writeKeys, startedAt });
    first = await seal('2026-11-23T02:00:00.000Z', 1);
    second = await seal('2026-11-24T02:00:00.000Z', 2);
  });
  afterEach(() => here.remove());

  it('finds nothing where every name is accounted for', async () => {
    await here.vault.put(vaultPaths.badSegments('lab', first.backupId, '2026-11-25T02:00:00.000Z'), '{"segment":"x"}\n');
    const { findings, leftovers, clusters } = await auditVault(here.vault);
    assert.deepEqual([findings, leftovers, clusters], [[], [], { lab: 2 }]);
  });

  it('names what is foreign, missing, cut or unreadable', async () => {
    const segment = first.segments[0]!.segment;
    const newest = second.segments.at(-1)!.segment;
    await writeFile(file('notes.txt'), 'foreign');
    await rm(file(vaultPaths.segment('lab', segment)));
    await writeFile(file(vaultPaths.segment('lab', newest)), 'cut');
    await rm(file(first.artifacts.tags.name));
    await here.vault.put(vaultPaths.segmentIndex('lab', '20261101T000000Z-000000000000'), 'of nothing');
    await here.vault.put(vaultPaths.tombstone('lab', first.backupId, '20261124T000000Z'), '{}');
    const { findings } = await auditVault(here.vault);
    assert.deepEqual(Object.fromEntries(findings.map(({ name, what }) => [name, what.replace(/ \d+ bytes/, ' bytes')])), {
      'notes.txt': 'this name is not one of a vault',
      [vaultPaths.segment('lab', segment)]: 'a sealed backup needs it, and it is gone',
      [vaultPaths.segment('lab', newest)]: `it has bytes instead of ${second.segments.at(-1)!.bytes}`,
      [first.artifacts.tags.name]: 'a sealed backup needs it, and it is gone',
      [vaultPaths.segmentIndex('lab', '20261101T000000Z-000000000000')]: 'it is the index of a segment that is not there',
      [vaultPaths.tombstone('lab', first.backupId, '20261124T000000Z')]: 'it is no tombstone of a form that this version knows',
    });
  });

  it('lists with its age what is unfinished, orphaned or waits for retention, and calls it no finding', async () => {
    await rm(file(vaultPaths.manifest('lab', second.backupId)));
    await here.vault.put(vaultPaths.segment('lab', '20261101T000000Z-000000000001'), 'half');
    await here.vault.put(vaultPaths.verdict('lab', '20261101T000000Z-aaaaaa', '2026-11-01T00:00:00.000Z'), '{}');
    await here.vault.put(vaultPaths.badSegments('lab', '20261101T000000Z-aaaaaa', '2026-11-01T00:00:00.000Z'), '{}');
    const { findings, leftovers } = await auditVault(here.vault);
    assert.deepEqual(findings, []);
    const kinds = new Set(leftovers.map(({ what }) => what));
    assert.deepEqual([...kinds].sort(), [
      'its backup has no seal: it is being made, or was never finished', 'its backup is gone', 'no sealed backup names the segment', 'the segment has no index: it is being written, or was never finished',
    ]);
    assert.ok(leftovers.every(({ ageSeconds }) => ageSeconds >= 0 && ageSeconds < 600));
  });

  it('says of the records of changes which command tells more, and of what is no record that it is foreign', async () => {
    await leaveRecord(here.vault, restoreRecord());
    await leaveRecord(here.vault, freezeRecord());
    await here.vault.put('lab/operations/x.json', '{}');
    const { findings, leftovers } = await auditVault(here.vault);
    assert.deepEqual(findings.map(({ name, what }) => [name, what]), [['lab/operations/x.json', 'this name is not one of a vault']]);
    assert.match(leftovers[0]!.what, /it runs, or `drydock reconcile lab` puts it back or says what to do/);
    assert.match(leftovers[1]!.what, /a restore runs, or .* did not come to its end: `drydock reconcile lab` says which/);
  });

  it('calls no segment an orphan while a manifest cannot be read', async () => {
    await writeFile(file(vaultPaths.manifest('lab', second.backupId)), '{"format":1');
    const { findings, leftovers } = await auditVault(here.vault);
    assert.deepEqual([findings.map(({ what }) => what), leftovers], [[`the manifest of backup ${second.backupId} is not JSON`], []]);
  });

  it('adds up what is in use, dead and marked, and what one backup alone needs', async () => {
    const before = (await vaultStats(here.vault)).clusters[0]!;
    assert.deepEqual([before.backups.complete, before.oldest, before.newest], [2, first.startedAt, second.startedAt]);
    const shared = new Set(first.segments.map(({ segment }) => segment));
    const own = second.segments.filter(({ segment }) => !shared.has(segment)).reduce((sum, { bytes, index }) => sum + bytes + index.bytes, 0);
    assert.ok(own > 0);
    let folder = 0;
    for await (const { size } of here.vault.list(`${vaultPaths.backup('lab', second.backupId)}/`)) folder += size;
    assert.equal(before.exclusive.find(({ id }) => id === second.backupId)!.bytes, own + folder);
    await rm(join(here.directory, vaultPaths.backup('lab', second.backupId)), { recursive: true });
    const dead = (await vaultStats(here.vault, 'lab')).clusters[0]!;
    assert.deepEqual([dead.bytes.segments.dead, dead.bytes.segments.live, dead.growth], [own, before.bytes.segments.live - own, null]);
    for (const { segment } of second.segments) if (!shared.has(segment)) await here.vault.put(vaultPaths.tombstone('lab', segment, '20261124T000000Z'), '{}');
    assert.deepEqual((await vaultStats(here.vault, 'lab')).clusters[0]!.bytes.segments, { ...dead.bytes.segments, dead: 0, tombstoned: own });
    const total = (await vaultStats(here.vault)).clusters[0]!.bytes;
    const sum = Object.values(total.segments).reduce((a, b) => a + b, 0) + total.metadata + total.lists + total.other;
    let all = 0;
    for await (const { name, size } of here.vault.list('')) if (name !== 'vault.json') all += size;
    assert.equal(sum, all, 'nothing is left out');
  });

  it('accepts session keys that were added for a later recipient', async () => {
    const { segment } = first.segments[0]!;
    await here.vault.put(vaultPaths.wrappedKeys(vaultPaths.segment('lab', segment), PASSPHRASE_NAME), 'packets');
    await here.vault.put(vaultPaths.wrappedKeys(first.artifacts.metadata.name, PASSPHRASE_NAME), 'packets');
    const { findings, leftovers } = await auditVault(here.vault);
    assert.deepEqual([findings, leftovers], [[], []]);
  });
});
