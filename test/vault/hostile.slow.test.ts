import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { StoredBlobs } from '../../activities/backup/stored';
import type { Cluster } from '../../activities/cluster';
import { readBackup, readBlobList } from '../../activities/restore/backup';
import { writeJsonLines } from '../../adapters/vault/json-lines';
import { readManifest } from '../../adapters/vault/manifest-file';
import { readPicture } from '../../adapters/vault/picture';
import { SealedBackup } from '../../adapters/vault/sealed-backup';
import { formatIndex, readIndex } from '../../adapters/vault/segment-index';
import { checkVaultFile } from '../../adapters/vault/vault-file';
import { readVerdicts } from '../../adapters/vault/verdicts';
import { sha256BlobPath } from '../../domain/layout';
import type { Manifest } from '../../domain/manifest';
import { FORMAT_VERSION, vaultPaths } from '../../domain/vault-format';
import { drydock } from '../client/fixtures/drydock';
import { BACKUP_ID, sealedBackup, type SealedFixture } from '../helpers/sealed-images';
import { isError, readKeys, scratchVault, writeKeys } from '../helpers/vault';
import { volumeOf } from '../../domain/manifest-images';

const OTHER_ID = '20261124T020000Z-aaaaaa';
const hex = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('a vault that someone forged: manifests', function () {
  this.timeout(180_000);
  let fixture: SealedFixture;
  const file = (name: string): string => path.join(fixture.directory, name);
  const manifestFile = (id = BACKUP_ID): string => file(vaultPaths.manifest('lab', id));
  const cluster = (): Cluster => ({ name: 'lab', vault: fixture.vault, decryptionKeys: () => Promise.resolve(readKeys) }) as unknown as Cluster;
  const forge = async (change: (manifest: Manifest) => unknown): Promise<void> => writeFile(manifestFile(), JSON.stringify(change(structuredClone(fixture.manifest))));
  /** By everything that reads a manifest to use it. */
  const refused = async (pattern: RegExp): Promise<void> => {
    await assert.rejects(SealedBackup.open(fixture.vault, 'lab', BACKUP_ID, readKeys), isError('IntegrityMismatch', pattern));
    await assert.rejects(readBackup(cluster(), BACKUP_ID), isError('IntegrityMismatch', pattern));
    const { faults, unreadable } = await readPicture(fixture.vault, 'lab');
    assert.ok(faults.length > 0 || unreadable.length === 0);
  };

  beforeEach(async () => {
    fixture = await sealedBackup({ layout: 'sha256' });
  });
  afterEach(() => fixture.remove());

  it('of 1 GiB, nested without end, or with millions of values are refused before they are parsed', async () => {
    await truncate(manifestFile(), 2 ** 30);
    await refused(/1073741824 bytes, more than/);
    await writeFile(manifestFile(), '['.repeat(60_000));
    await refused(/nested more than 64 deep/);
    await writeFile(manifestFile(), `{"gaps":[${'{},'.repeat(5_000_000)}{}]}`);
    await refused(/bytes, more than/);
    await writeFile(manifestFile(), JSON.stringify(fixture.manifest).replace('"crons":[]', `"crons":[{"action":"gc","schedule":"","retries":0,"deadline":"","parameters":${'['.repeat(10_000)}${']'.repeat(10_000)}}]`));
    await refused(/nested more than 64 deep/);
  });

  it('that name files elsewhere, or have what a terminal or a command would act on, are refused', async () => {
    for (const name of [`lab/backups/${OTHER_ID}/metadata.tar.gz.gpg`, '../../etc/passwd', `lab/backups/${BACKUP_ID}/../${OTHER_ID}/metadata.tar.gz.gpg`, '/etc/passwd']) {
      await forge((manifest) => ({ ...manifest, artifacts: { ...manifest.artifacts, metadata: { ...manifest.artifacts.metadata, name } } }));
      await refused(/names .*, which is not its own/);
    }
    const dtr = (more: object) => (manifest: Manifest) => ({ ...manifest, product: { ...manifest.product, ...more } });
    await forge(dtr({ bootstrapperImage: 'mirantis/dtr:2.9.4; rm -rf /' }));
    await refused(/bootstrapperImage/);
    await forge((manifest) => ({ ...manifest, images: { ...manifest.images, volume: { ...volumeOf(manifest.images)!, name: '--privileged' } } }));
    await refused(/volume/);
    await forge(dtr({ replicas: [{ ...fixture.manifest.product.replicas[0]!, node: '-oProxyCommand=evil' }] }));
    await refused(/node/);
    await forge((manifest) => ({ ...manifest, startedBy: 'someone\u001b]0;owned\u0007' }));
    await refused(/startedBy/);
    await forge((manifest) => ({ ...manifest, cluster: 'other' }));
    await refused(/is that of .* of cluster other/);
  });

  it('are told one by one: a broken one hides no other in list, and show and key rotate pass it by', async () => {
    const folder = (id: string): Promise<string | undefined> => mkdir(path.dirname(manifestFile(id)), { recursive: true });
    await folder(OTHER_ID);
    await writeFile(manifestFile(OTHER_ID), JSON.stringify(fixture.manifest).slice(0, 200));
    const huge = '20261124T020000Z-bbbbbb';
    await folder(huge);
    await writeFile(manifestFile(huge), '');
    await truncate(manifestFile(huge), 2 ** 30);
    const unsealed = '20261124T020000Z-cccccc';
    await folder(unsealed);
    await writeFile(file(vaultPaths.artifact('lab', unsealed, 'metadata.tar.gz.gpg')), 'cut');
    const { code, stdout } = await drydock(['list', '--json'], { DRYDOCK_CONFIG: fixture.config });
    assert.equal(code, 0);
    const { backups } = JSON.parse(stdout) as { backups: { id: string; status: string; note?: string }[] };
    assert.deepEqual(backups.map(({ id, status }) => [id, status]), [[huge, 'unreadable'], [OTHER_ID, 'unreadable'], [BACKUP_ID, 'incomplete']]);
    assert.match(backups[0]!.note!, /bytes, more than/);
    assert.match(backups[1]!.note!, /is not JSON/);
    const show = await drydock(['show', OTHER_ID], { DRYDOCK_CONFIG: fixture.config });
    assert.match(show.stdout + show.stderr, /is not JSON/);
    assert.doesNotMatch(show.stderr, /\n\s+at /);
    const ls = await drydock(['ls', OTHER_ID], { DRYDOCK_CONFIG: fixture.config });
    assert.notEqual(ls.code, 0);
    assert.match(ls.stderr, /is not JSON/);
    const picture = await readPicture(fixture.vault, 'lab');
    assert.deepEqual([picture.sealed.map(({ id }) => id), picture.unsealed.map(({ id }) => id), picture.unreadable.sort()], [[BACKUP_ID], [unsealed], [OTHER_ID, huge]]);
  });

  it('that are links or pipes are never followed and never waited for, nor is a link in a folder\'s place', async () => {
    await rm(manifestFile());
    await symlink('/etc/passwd', manifestFile());
    await assert.rejects(readBackup(cluster(), BACKUP_ID), isError('Refused', /symbolic link/));
    await rm(manifestFile());
    execFileSync('mkfifo', [manifestFile()]);
    await assert.rejects(readManifest(fixture.vault, 'lab', BACKUP_ID), isError('Refused', /not a plain file/));
    await assert.rejects(readBackup(cluster(), BACKUP_ID), isError('NotFound', /no seal|no backup/));
    await rm(file('lab/segments'), { recursive: true });
    await symlink('/etc', file('lab/segments'));
    await assert.rejects(StoredBlobs.load(fixture.vault, 'lab'), isError('Refused', /symbolic link/));
  });

  it('stand beside verdicts and tombstones with odd names or content, which are passed by', async () => {
    await mkdir(file(`lab/verdicts/${BACKUP_ID}`), { recursive: true });
    await mkdir(file('lab/tombstones'), { recursive: true });
    await writeFile(file(`lab/verdicts/${BACKUP_ID}/20261125T020000Z.json`), '['.repeat(60_000));
    await writeFile(file(`lab/verdicts/${BACKUP_ID}/a\nb.json`), '{}');
    await writeFile(file('lab/tombstones/..json'), '{}');
    await writeFile(file(`lab/tombstones/${BACKUP_ID}.20261125T020000Z.json`), 'not JSON');
    await symlink('/etc/passwd', file('lab/tombstones/link.20261125T020000Z.json'));
    execFileSync('mkfifo', [file('lab/tombstones/pipe.20261125T020000Z.json')]);
    assert.equal((await readVerdicts(fixture.vault, 'lab')).size, 0);
    const { faults, facts, marks } = await readPicture(fixture.vault, 'lab');
    assert.equal(facts.length, 1);
    assert.equal(facts[0]!.verified, false);
    assert.ok(marks.every(({ isForgotten }) => !isForgotten));
    assert.ok(faults.some((fault) => /tombstones.*is not JSON/.test(fault)), faults.join('\n'));
  });

  it('with lists that lead out of the volume are refused by restore, extract and verify alike', async () => {
    const name = vaultPaths.artifact('lab', BACKUP_ID, 'blobs.jsonl.gz.gpg');
    for (const evil of ['../../etc/cron.d/x', '/etc/passwd', 'docker/registry/v2/blobs/id/../../../../../etc/data', 'docker/registry/v2/blobs/id/ab/ab\0/data', 'docker/registry/v2/repositories/x/link']) {
      await rm(file(name));
      const blobs = await writeJsonLines(fixture.vault, name, writeKeys, [{ path: evil, size: 1, sha256: hex('x'), segment: fixture.blobs[0]!.segment }]);
      await forge((manifest) => ({ ...manifest, artifacts: { ...manifest.artifacts, blobs: { ...blobs, needed: true } } }));
      const { manifest } = await readBackup(cluster(), BACKUP_ID);
      const drain = async (lines: AsyncIterable<unknown>): Promise<void> => {
        for await (const line of lines) assert.fail(JSON.stringify(line));
      };
      await assert.rejects(drain(readBlobList(cluster(), manifest)), isError('IntegrityMismatch', /line of an unknown form/), evil);
      await assert.rejects(drain((await SealedBackup.open(fixture.vault, 'lab', BACKUP_ID, readKeys)).blobs()), isError('IntegrityMismatch', /line of an unknown form/), evil);
    }
  });
});

describe('a vault that someone forged: indexes and vault.json', () => {
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  const segment = '20261123T020000Z-1a2b3c4d5e6f';
  const header = { format: FORMAT_VERSION, segment, writtenBy: 'x', bytes: 4, sha256: hex('tar!'), recipients: ['passphrase'], blobs: 1, plainBytes: 10 };
  const good = { path: sha256BlobPath(hex('a')), size: 1, sha256: hex('a'), offset: 512 };
  const plant = async (content: string): Promise<void> => {
    for (const name of [vaultPaths.segmentIndex('lab', segment), vaultPaths.segment('lab', segment)]) await scratch.vault.remove(name);
    await scratch.vault.put(vaultPaths.segmentIndex('lab', segment), content);
    await scratch.vault.put(vaultPaths.segment('lab', segment), 'tar!');
  };

  beforeEach(async () => {
    scratch = await scratchVault();
  });
  afterEach(() => scratch.remove());

  it('with paths that lead elsewhere, or sizes and places that cannot be, are named, and none of their blobs counts as stored', async () => {
    const paths = ['../../etc/x', '/etc/passwd', 'docker/registry/v2/blobs/id/../../data', 'docker/registry/v2/blobs/id/ab/ab/../x/data', 'docker/registry/v2/blobs/id/ab/ab\0/data', `docker/registry/v2/blobs/sha256/00/${hex('a')}/data`];
    const forged: object[] = [...paths.map((each) => ({ ...good, path: each })), ...[-1, 1.5, 2 ** 60, '1', null].flatMap((number) => [{ ...good, size: number }, { ...good, offset: number }]), { ...good, sha256: 'x' }, { ...good, refs: { mediaType: 'm', layers: ['../x'] } }];
    for (const line of forged) {
      // The sound line before it must not count either: what stands in a damaged index is worth nothing.
      const sound = { path: sha256BlobPath(hex('b')), size: 1, sha256: hex('b'), offset: 1024 };
      await plant(`${JSON.stringify({ ...header, blobs: 2 })}\n${JSON.stringify(sound)}\n${JSON.stringify(line)}\n`);
      await assert.rejects(readIndex(scratch.vault, 'lab', segment), isError('IntegrityMismatch', /does not describe a blob|not digests/), JSON.stringify(line));
      const stored = await StoredBlobs.load(scratch.vault, 'lab');
      assert.equal(stored.damaged.length, 1);
      assert.equal(stored.good(sound.path, sound.sha256), undefined);
      assert.equal(stored.good(good.path, good.sha256), undefined);
    }
  });

  it('with more or fewer lines than their header says, or a line without an end, count for nothing', async () => {
    await plant(formatIndex({ header: { ...header, blobs: 2 }, blobs: [good] }));
    assert.match((await StoredBlobs.load(scratch.vault, 'lab')).damaged.join(), /lists 1 blobs, its header says 2/);
    await plant(`${JSON.stringify(header)}\n{"path":"${'x'.repeat(17 << 20)}`);
    assert.match((await StoredBlobs.load(scratch.vault, 'lab')).damaged.join(), /a line of more than 16777216 bytes/);
    await plant('');
    assert.match((await StoredBlobs.load(scratch.vault, 'lab')).damaged.join(), /it is empty/);
    await scratch.vault.remove(vaultPaths.segmentIndex('lab', segment));
    assert.deepEqual((await StoredBlobs.load(scratch.vault, 'lab')).damaged, [], 'a segment without an index is unfinished, no fault');
    await plant(formatIndex({ header, blobs: [good] }));
    await scratch.vault.remove(vaultPaths.segment('lab', segment));
    assert.match((await StoredBlobs.load(scratch.vault, 'lab')).damaged.join(), /the segment that it describes is not there/);
  });

  it('take the last of two lines for one path', async () => {
    await plant(formatIndex({ header: { ...header, blobs: 2 }, blobs: [good, { ...good, size: 2 }] }));
    assert.equal((await StoredBlobs.load(scratch.vault, 'lab')).good(good.path, good.sha256)!.size, 2);
  });

  it('a vault.json of another program, empty, cut off or of a later format is refused in a sentence', () => {
    for (const [content, kind, pattern] of [
      ['', 'IntegrityMismatch', /vault\.json/], ['{"kind":"restic"}', 'IntegrityMismatch', /vault\.json/], ['{"kind":"drydock-vault","format":', 'IntegrityMismatch', /vault\.json/],
      ['{"kind":"drydock-vault","format":99,"id":"x","created":"2026-01-01T00:00:00Z"}', 'VersionMismatch', /99/],
    ] as const) assert.throws(() => checkVaultFile(Buffer.from(content), 'directory x'), isError(kind, pattern), content);
  });
});
