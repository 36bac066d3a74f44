import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { Cluster } from '../../activities/cluster';
import { Progress } from '../../activities/restore/progress';
import { verifyBackup } from '../../activities/verify/verify';
import { END_OF_ARCHIVE, makeHeader } from '../../adapters/archive/tar-header';
import { writeArtifact } from '../../adapters/vault/artifacts';
import { writeJsonLines } from '../../adapters/vault/json-lines';
import { readPicture } from '../../adapters/vault/picture';
import { DrydockError } from '../../domain/errors';
import type { Manifest, SegmentRef } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';
import type { VerifyResult } from '../../domain/verify';
import { drydock, startOnTerminal } from '../client/fixtures/drydock';
import { activityEnvironment } from '../helpers/backup-run';
import { pruneScene, type PruneScene } from '../helpers/prune-scene';
import { makeRegistryTree } from '../helpers/registry-tree';
import { sealBackup } from '../helpers/sealed-backup';
import { BACKUP_ID, sealedBackup, type SealedFixture } from '../helpers/sealed-images';
import { readKeys, scratchVault, writeKeys } from '../helpers/vault';
import { forgeSegments, type SealedManifest } from '../helpers/segment-list';

const OTHER_ID = '20261124T020000Z-aaaaaa';
const LEVELS = ['L0', 'L1', 'L2', 'L3', 'L4'] as const;

/** Every file below a folder, with its digest. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  return Promise.all(files.sort().map(async (file) => `${createHash('sha256').update(await readFile(file)).digest('hex')} ${file}`));
}

describe('verification of a backup that someone forged who has the passphrase', function () {
  this.timeout(180_000);
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  let sealed: SealedManifest;

  const file = (name: string): string => vaultPaths.artifact('lab', sealed.backupId, name);
  const verify = (level: (typeof LEVELS)[number]): Promise<VerifyResult> => {
    const cluster = {
      name: 'lab', vault: scratch.vault, config: {}, decryptionKeys: () => Promise.resolve(readKeys), encryptionKeys: () => Promise.resolve(writeKeys), trustedSigners: () => Promise.resolve([]), otherVaults: () => [],
    } as unknown as Cluster;
    return activityEnvironment().run<[], VerifyResult, () => Promise<VerifyResult>>(() => verifyBackup(cluster, { backup: sealed.backupId, level, withoutKeys: false, by: 'a test' }, new Progress('a test')));
  };
  const forgeList = async (change: (segments: SegmentRef[]) => SegmentRef[]): Promise<void> => {
    const forged = await forgeSegments(scratch.vault, sealed, change);
    await forge(() => forged);
  };
  const forge = async (change: (manifest: Manifest) => unknown): Promise<void> => {
    const name = vaultPaths.manifest('lab', sealed.backupId);
    await scratch.vault.remove(name);
    await scratch.vault.put(name, JSON.stringify(change(structuredClone(sealed))));
  };
  const withArtifact = (more: Partial<Manifest['artifacts']>) => (manifest: Manifest) => ({ ...manifest, artifacts: { ...manifest.artifacts, ...more } });
  const linkOut = (): Buffer => {
    const block = makeHeader({ name: 'docker', type: 'file' });
    block.write('2', 156, 'latin1');
    block.write('/etc', 157, 'latin1');
    block.write(' '.repeat(8), 148, 'latin1');
    block.write(`${block.reduce((all, octet) => all + octet, 0).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return Buffer.concat([block, END_OF_ARCHIVE]);
  };
  const archive = async (name: string): Promise<Manifest['artifacts']['metadata']> => {
    await scratch.vault.remove(file(name));
    return { ...(await writeArtifact(scratch.vault, file(name), writeKeys, Readable.from([linkOut()]), { gzip: true })), needed: true };
  };

  /** What is forged, and from which level on it has to be found. */
  const forgeries: [string, (typeof LEVELS)[number], () => Promise<void>][] = [
    ['a segment outside the cluster', 'L0', () => forgeList((segments) => segments.map((ref, at) => (at === 0 ? { ...ref, segment: `../../other/segments/${ref.segment}` } : ref)))],
    ['a segment that is another cluster\'s', 'L0', () => forgeList((segments) => [...segments, { ...segments[0]!, segment: '20261120T020000Z-0123456789ab' }])],
    ['an artifact outside the cluster', 'L0', () => forge((manifest) => withArtifact({ tree: { ...manifest.artifacts.tree!, name: `lab/backups/${sealed.backupId}/../../../other/secret` } })(manifest))],
    ['a segment in another one\'s place', 'L0', () => forgeList((segments) => segments.map((ref, at, all) => ({ ...ref, index: all[(at + 1) % all.length]!.index })))],
    ['a link tree with a link that leads out', 'L1', async () => {
      const tree = await archive('tree.tar.gz.gpg');
      await forge(withArtifact({ tree }));
    }],
    ['a list of blobs in segments outside the cluster', 'L0', async () => {
      const name = file('blobs.jsonl.gz.gpg');
      await scratch.vault.remove(name);
      const blobs = await writeJsonLines(scratch.vault, name, writeKeys, [{ path: `docker/registry/v2/blobs/sha256/aa/${'a'.repeat(64)}/data`, size: 1, sha256: 'a'.repeat(64), segment: '../../other/segments/x' }]);
      await forge(withArtifact({ blobs: { ...blobs, needed: true } }));
    }],
    ['metadata that hold a link', 'L4', async () => {
      const metadata = await archive('metadata.tar.gz.gpg');
      await forge(withArtifact({ metadata }));
    }],
  ];

  beforeEach(async () => {
    scratch = await scratchVault();
    sealed = await sealBackup({ vault: scratch.vault, cluster: 'lab', tree: makeRegistryTree({ layout: 'sha256', seed: 5, repositories: 2, layerBytes: 30_000 }), keys: writeKeys });
    assert.ok(sealed.segments.length > 1, 'several segments');
    await scratch.vault.put('other/segments/20261120T020000Z-0123456789ab.tar.gpg', 'not yours');
    await scratch.vault.put('other/secret', 'not yours');
  });
  afterEach(() => scratch.remove());

  for (const [what, from, plant] of forgeries) {
    it(`finds ${what} from ${from} on, and changes nothing but its own verdicts`, async () => {
      await plant();
      const unchanged = async (): Promise<string[]> => (await filesBelow(scratch.path)).filter((name) => !name.includes('/lab/verdicts/'));
      const before = await unchanged();
      for (const level of LEVELS) {
        const found = await verify(level).catch((error: unknown) => {
          assert.ok(error instanceof DrydockError && error.kind === 'IntegrityMismatch' && error.remedy !== undefined, `${level}: ${String(error)}`);
          return null;
        });
        if (level >= from) assert.notEqual(found?.result, 'good', level);
        assert.ok(found?.findings.every(({ what: words }) => words !== '') ?? true);
      }
      assert.deepEqual(await unchanged(), before);
    });
  }
});

describe('prune of a vault that someone forged', function () {
  this.timeout(180_000);
  let scene: PruneScene;

  beforeEach(async () => {
    scene = await pruneScene();
  });
  afterEach(() => scene.here.remove());

  it('removes nothing while the list of segments of a backup names what is no segment, and says so', async () => {
    const { id, segment, prune, putSegment, putBackup, names } = scene;
    await putSegment(segment(1));
    await putBackup(1, [segment(1), `../../other/segments/${segment(1)}`, '..', '/etc/passwd']);
    await putBackup(2, []);
    const before = await names('lab/');
    const { removed, marked, notes } = await prune();
    assert.deepEqual([removed.backups, removed.segments, marked.backups, marked.segments], [[], 0, [], 0]);
    assert.match(notes.join(' '), new RegExp(`${id(1)}/segments.jsonl has a line of an unknown form.*nobody knows what it needs`));
    assert.deepEqual(await names('lab/'), before);
  });

  it('removes what its marks give up, and nothing outside its own cluster, whatever ids tombstones name', async () => {
    const { here, id, segment, prune, put, putSegment, putBackup, names, ageMarks } = scene;
    const outside = path.join(here.path, 'outside');
    await mkdir(outside);
    await writeFile(path.join(outside, 'manifest.json'), 'not yours');
    for (const name of [`other/backups/${id(1)}/manifest.json`, `other/segments/${segment(1)}.tar.gpg`, `other/segments/${segment(1)}.index`, `other/verdicts/${id(1)}/20261101T020000Z.json`, 'lab2/backups/x/manifest.json']) await put(name, 'not yours');
    await putSegment(segment(1));
    await putBackup(1, [segment(1)]);
    await putBackup(2, []);
    const mark = (name: string, content: object): Promise<void> => put(`lab/tombstones/${name}.20261101T020000Z.json`, JSON.stringify({ format: 1, kind: 'backup', at: '2026-11-01T02:00:00.000Z', by: 'x', why: 'x', ...content }));
    await mark(id(1), { id: id(1) });
    await mark(segment(1), { id: segment(1), kind: 'segment' });
    await mark(id(2), { id: `../../other/backups/${id(1)}`, forgotten: { by: 'x', approved: true } });
    for (const name of ['other', 'segments', 'backups', id(3)]) await mark(name, { id: `../${name}` });
    await symlink(outside, path.join(here.directory, `lab/backups/${id(1)}/linked`));
    await symlink(outside, path.join(here.directory, `lab/backups/${id(4)}`));
    await symlink(outside, path.join(here.directory, 'lab/tombstones/linked.20261101T020000Z.json'));
    // The worker's own memory of its vault, and what it has read of it, lie under stateDir.
    const others = async (): Promise<string[]> => (await filesBelow(here.path)).filter((name) => !name.includes('/vault/lab/') && !name.endsWith('/vaults/v.json') && !name.includes('/cache/'));
    const before = await others();
    const first = await prune();
    assert.deepEqual([first.removed.backups, first.removed.segments, first.marked.segments], [[id(1)], 0, 1], 'its segment was needed when the run began');
    await ageMarks(8);
    assert.equal((await prune()).removed.segments, 1);
    assert.deepEqual(await others(), before);
    assert.deepEqual(await names(`lab/backups/${id(2)}/`), ['RESTORE.md', 'manifest.json', 'segments.jsonl'], 'a tombstone that is about something else gives nothing up');
    assert.deepEqual((await names('lab/tombstones/')).filter((name) => /^(other|segments|backups)\./.test(name)), [], 'marks of what is not there are cleared away');
  });

  it('takes a hundred tombstones of one backup for all of them, and says that there are more than can be right', async () => {
    const { here, id, putBackup, prune } = scene;
    await putBackup(1, []);
    await putBackup(2, []);
    await mkdir(path.join(here.directory, 'lab/tombstones'), { recursive: true });
    const content = JSON.stringify({ format: 1, id: id(2), kind: 'backup', at: '2026-11-01T02:00:00.000Z', by: 'x', why: 'x' });
    const made = spawnSync('sh', ['-c', `echo '${content}' > first && seq 20260101 20260550 | xargs -I{} cp first ${id(2)}.{}T000000Z.json && rm first`], { cwd: path.join(here.directory, 'lab/tombstones') });
    assert.equal(made.status, 0, made.stderr.toString());
    const result = await prune();
    assert.match(result.notes[0]!, new RegExp(`^${id(2)} has 450 tombstones, more than can be right; its first 100 count`));
    assert.equal(result.lifted, 100);
  });

  it('reads the newest 10,000 verdicts of one backup, and says that there are more than can be right', async () => {
    const { here, id, putBackup } = scene;
    await putBackup(1, []);
    await putBackup(2, []);
    const folder = path.join(here.directory, vaultPaths.verdictsOf('lab', id(1)));
    const made = spawnSync('sh', ['-c', 'seq 20001 30050 | sed "s/.*/2025&T020000Z.json/" | xargs touch'], { cwd: folder });
    assert.equal(made.status, 0, made.stderr.toString());
    const { faults, facts } = await readPicture(here.vault, 'lab');
    assert.match(faults[0]!, new RegExp(`^lab/verdicts/${id(1)}/ has 10051 verdicts, more than can be right; its newest 10000 count`));
    assert.ok(faults.length <= 1001, `${faults.length} sentences`);
    assert.deepEqual(facts.map(({ verified }) => verified), [true, true]);
  });
});

describe('commands on a vault that someone forged', function () {
  this.timeout(180_000);
  let fixture: SealedFixture;

  beforeEach(async () => {
    fixture = await sealedBackup({ layout: 'sha256', forge: ({ tags }) => void tags.push({ ...tags[0]!, repository: 'acme/we\u202eb', name: 'v\u20661' }) });
  });
  afterEach(() => fixture.remove());

  const run = (...args: string[]) => drydock(args, { DRYDOCK_CONFIG: fixture.config });
  const putManifest = async (id: string, content: string): Promise<void> => fixture.vault.put(vaultPaths.manifest('lab', id), content);

  it('key rotate reports on every backup but the broken ones, which it names', async () => {
    await putManifest(OTHER_ID, JSON.stringify(fixture.manifest).slice(0, 200));
    const odd = '20261124T020000Z-bbbbbb';
    await putManifest(odd, JSON.stringify({ ...fixture.manifest, backupId: odd, artifacts: { ...fixture.manifest.artifacts, segments: { ...fixture.manifest.artifacts.segments, name: `../${odd}` } } }));
    const { code, stdout, stderr } = await run('key', 'rotate', 'lab', '--json');
    assert.equal(code, 0, stderr);
    const { backups, unreadable } = JSON.parse(stdout) as { backups: { id: string }[]; unreadable: string[] };
    assert.deepEqual(backups.map(({ id }) => id), [BACKUP_ID]);
    assert.deepEqual(unreadable.sort(), [OTHER_ID, odd]);
    const words = await run('key', 'rotate', 'lab', '--rewrap');
    assert.equal(words.code, 1);
    assert.match(words.stdout, new RegExp(`Manifests that cannot be read: ${odd}, ${OTHER_ID}; see`));
  });

  it('show names and reasons so that they cannot act on a terminal; with --json they are as they stand', async () => {
    const [by, why] = ['\u001b[2J\u001b[8mmallory', 'because\u001b]0;owned\u0007\nBackup x: complete'];
    await fixture.vault.put(vaultPaths.tombstone('lab', BACKUP_ID, '20261125T020000Z'), JSON.stringify({ format: 1, id: BACKUP_ID, kind: 'backup', at: '2026-11-25T02:00:00.000Z', by: 'x', why, forgotten: { by, approved: true } }));
    const [list, json, show, ls, lsJson] = await Promise.all([run('list'), run('list', '--json'), run('show', BACKUP_ID), run('ls', BACKUP_ID), run('ls', BACKUP_ID, '--json')]);
    assert.match(list.stdout, /given up .* by \\x1b\[2J\\x1b\[8mmallory, removable from /);
    assert.match(show.stdout, /mallory, .*: because\\x1b\]0;owned\\x07\\nBackup x: complete\n/);
    assert.match(ls.stdout, /^acme\/we\\u202eb: 1 tag/m);
    assert.match(ls.stdout, /^ {2}v\\u20661 /m);
    const { givenUp } = (JSON.parse(json.stdout) as { backups: { givenUp: { by: string; why: string } }[] }).backups[0]!;
    assert.deepEqual([givenUp.by, givenUp.why], [by, why]);
    assert.ok(lsJson.stdout.includes('acme/we\u202eb'));
    const onTerminal = await startOnTerminal(['show', BACKUP_ID], { DRYDOCK_CONFIG: fixture.config, NO_COLOR: '' }).finished;
    assert.match(onTerminal.stdout, /\u001b\[1mincomplete\u001b\[22m/, 'our own colours stay');
    assert.match(onTerminal.stdout, /\\x1b\[2J\\x1b\[8mmallory/);
    assert.doesNotMatch(onTerminal.stdout, /\u001b(?!\[(1|22)m)|\u0007/);
  });

  it('leave nothing behind where the vault lies', async () => {
    await putManifest(OTHER_ID, '[');
    const before = await filesBelow(fixture.path);
    for (const args of [['list'], ['show', OTHER_ID], ['ls', OTHER_ID], ['vault', 'stats'], ['key', 'rotate', 'lab']]) assert.doesNotMatch((await run(...args)).stderr, /\n\s+at /);
    assert.deepEqual(await filesBelow(fixture.path), before);
  });
});
