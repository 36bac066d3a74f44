import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, renameSync } from 'node:fs';
import { chmod, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import type { ApplicationFailure, Client } from '@temporalio/client';
import { createActivities } from '../../activities';
import { loadDecryptionKeys, loadEncryptionKeys } from '../../adapters/openpgp/keyring';
import { readBadSegments } from '../../adapters/vault/bad-segments';
import { readPicture } from '../../adapters/vault/picture';
import { readIndexes } from '../../adapters/vault/segment-index';
import { readVerdicts } from '../../adapters/vault/verdicts';
import { readJsonLines } from '../../adapters/vault/json-lines';
import type { Config, EncryptionConfig } from '../../domain/config';
import { encryptionSchema } from '../../domain/config';
import { standingOf } from '../../domain/verdict';
import type { VerifyLevel } from '../../domain/verify-level';
import type { VerifyPart, VerifyResult } from '../../domain/verify';
import { vaultPaths } from '../../domain/vault-format';
import { makeKey, type TestKey } from '../helpers/openpgp-keys';
import { makeRegistryTree, type RegistryTree } from '../helpers/registry-tree';
import { sealBackup, type SealOptions } from '../helpers/sealed-backup';
import { scratchVault } from '../helpers/vault';
import { forgeSegments, type SealedManifest } from '../helpers/segment-list';

const CLUSTER = 'lab';

/** What a verification finds, in a backup with blobs of one layout. */
export function verifications(layout: 'sha256' | 'id'): void {
  describe(`verification of a backup with blobs by ${layout}`, function () {
    this.timeout(60_000);
    let scratch: Awaited<ReturnType<typeof scratchVault>>;
    let key: TestKey;
    let encryption: EncryptionConfig;
    let tree: RegistryTree;
    let manifest: SealedManifest;

    const seal = async (more: Partial<SealOptions> = {}): Promise<SealedManifest> =>
      sealBackup({ vault: scratch.vault, cluster: CLUSTER, tree, keys: await loadEncryptionKeys(encryption), ...more });
    const file = (name: string): string => join(scratch.directory, name);
    const segmentFile = (at: number): string => file(vaultPaths.segment(CLUSTER, manifest.segments[at]!.segment));
    /** Flips a bit in the middle of a blob; returns its segment. */
    const spoil = async (sha256: string): Promise<string> => {
      for await (const { header, blobs } of readIndexes(scratch.vault, CLUSTER)) {
        const blob = blobs.find((each) => each.sha256 === sha256);
        if (!blob) continue;
        const path = file(vaultPaths.segment(CLUSTER, header.segment));
        // Session key packets and tar headers in front are far smaller than half of the blob.
        await flip(path, blob.offset + blob.size / 2);
        return header.segment;
      }
      throw new Error('no such blob');
    };
    const flip = async (path: string, at: number): Promise<void> => {
      const content = await readFile(path);
      content[at < 0 ? content.length + at : at]! ^= 1;
      await writeFile(path, content);
    };

    async function verify(level: VerifyLevel, more: { backup?: string; part?: VerifyPart; withoutKeys?: boolean; encryption?: EncryptionConfig; heartbeat?: unknown; copy?: string; onBeat?: () => void } = {}): Promise<VerifyResult> {
      const { heartbeat, encryption: other = encryption, copy, onBeat, ...request } = more;
      const config = { stateDir: scratch.path, vaults: { main: { directory: scratch.directory }, ...(copy === undefined ? {} : { offsite: { directory: copy } }) }, clusters: { [CLUSTER]: { vault: 'main', copies: copy === undefined ? [] : ['offsite'], encryption: encryptionSchema.parse(other) } } } as unknown as Config;
      const { verifyBackup } = createActivities({ config, configPath: 'drydock.yaml', namespace: 'default', client: {} as Client });
      const environment = new MockActivityEnvironment({ heartbeatDetails: heartbeat }, { logger: new DefaultLogger('ERROR') });
      if (onBeat) environment.on('heartbeat', onBeat);
      return environment.run(verifyBackup, { cluster: CLUSTER, operation: 'verify', backup: manifest.backupId, level, withoutKeys: false, by: 'a test', ...request });
    }

    beforeEach(async () => {
      scratch = await scratchVault();
      await chmod(scratch.path, 0o700);
      key = await makeKey(scratch.path, 'officer');
      encryption = { recipients: [key.publicFile], privateKeys: [`file:${key.privateFile}`] };
      tree = makeRegistryTree({ layout, seed: 7, repositories: 3, layerBytes: 20_000 });
      manifest = await seal();
      assert.ok(manifest.segments.length > 3, 'several segments');
    });
    afterEach(() => scratch.remove());

    for (const level of ['L0', 'L1', 'L2', 'L3', 'L4'] as const) {
      it(`finds nothing at ${level} where nothing is wrong, and keeps the verdict`, async () => {
        const found = await verify(level);
        assert.deepEqual(found.findings, []);
        assert.equal(found.result, 'good');
        assert.equal(found.withKeys, true);
        const [verdict] = (await readVerdicts(scratch.vault, CLUSTER, manifest.backupId)).get(manifest.backupId)!;
        assert.deepEqual([verdict!.level, verdict!.result, verdict!.by, verdict!.at], [level, 'good', 'a test', found.at]);
        if (level === 'L3') assert.equal(found.checked.blobs, tree.blobs.length);
      });
    }

    it('names each image that a flipped bit hits, with digest, segment and no backup that could help', async () => {
      const shared = tree.blobs[0]!;
      const spoiled = await spoil(shared.sha256);
      const found = await verify('L3');
      assert.equal(found.result, 'bad');
      const hit = found.findings.filter(({ digest }) => digest === `sha256:${shared.sha256}`);
      assert.deepEqual(hit.map(({ image }) => image).sort(), tree.tags.map(({ repository, tag }) => `${repository}:${tag}`).sort());
      for (const { segment, lastBackup, what } of hit) assert.deepEqual([segment, lastBackup, what], [spoiled, null, 'its bytes in the segment do not have its digest']);
      assert.ok(found.findings.some(({ file: name, what }) => name === vaultPaths.segment(CLUSTER, spoiled) && /SHA-256/.test(what)));
      assert.equal((await verify('L2')).result, 'good', 'sizes and names do not show it');
      const verdicts = (await readVerdicts(scratch.vault, CLUSTER)).get(manifest.backupId)!;
      const listed = vaultPaths.findings(CLUSTER, manifest.backupId, verdicts[0]!.at);
      assert.ok((await scratch.vault.stat(listed)) !== null && verdicts[0]!.findings === found.findingCount, 'the findings are kept beside the verdict, encrypted');
    });

    it('finds a flipped bit anywhere in segments, indexes and artifacts, with keys and without', async () => {
      const names = [
        ...manifest.segments.flatMap(({ segment }) => [vaultPaths.segment(CLUSTER, segment), vaultPaths.segmentIndex(CLUSTER, segment)]),
        ...Object.values(manifest.artifacts).flatMap((artifact) => (artifact ? [artifact.name] : [])),
      ];
      for (const [at, name] of names.entries()) {
        const { length } = await readFile(file(name));
        const place = Math.floor(((at * 7919) % 1000) / 1000 * length);
        await flip(file(name), place);
        assert.equal((await verify('L3', { withoutKeys: at % 2 === 0 })).result, 'bad', `${name}, byte ${place}`);
        await flip(file(name), place);
      }
      assert.equal((await verify('L3')).result, 'good', 'all was put back');
    });

    it('finds a guide and checksums that were changed together, so that they still agree', async () => {
      const [sums, guide] = ['SHA256SUMS', 'RESTORE.md'].map((name) => vaultPaths.artifact(CLUSTER, manifest.backupId, name)) as [string, string];
      const digest = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex');
      const changed = 'run this as root\n';
      await writeFile(file(sums), (await readFile(file(sums), 'utf8')).replace(digest(await readFile(file(guide))), digest(changed)));
      await writeFile(file(guide), changed);
      const found = await verify('L0', { withoutKeys: true });
      assert.deepEqual(found.findings.map((each) => [each.file, each.what]), [[guide, 'it is not the one that the manifest records: do not follow it'], [sums, 'it is not the one that the manifest records']]);
      await rm(file(sums));
      assert.deepEqual((await verify('L0', { withoutKeys: true })).findings.map((each) => each.what), ['it is not the one that the manifest records: do not follow it', 'the file is gone']);
    });

    it('finds a damaged manifest, by the backup\'s id and as the latest one, and says which copy has it', async () => {
      const name = vaultPaths.manifest(CLUSTER, manifest.backupId);
      const content = await readFile(file(name));
      const copied = join(scratch.path, 'copy', name);
      await mkdir(dirname(copied), { recursive: true });
      await writeFile(copied, content);
      for (const [spoilt, backup] of [[content.subarray(0, -200), manifest.backupId], [Buffer.from(content.toString().replace('"segments"', '"segmentz"')), 'latest']] as const) {
        await writeFile(file(name), spoilt);
        const found = await verify('L2', { backup, copy: join(scratch.path, 'copy') });
        assert.deepEqual([found.result, found.backupId, found.findingCount], ['bad', manifest.backupId, 1]);
        assert.deepEqual(found.findings.map((each) => [each.file, each.intactIn]), [[name, 'offsite']]);
        assert.match(found.findings[0]!.what, new RegExp(`the manifest of backup ${manifest.backupId} (is not JSON|has a form)`));
        const verdicts = (await readVerdicts(scratch.vault, CLUSTER)).get(manifest.backupId)!;
        assert.deepEqual([verdicts.at(-1)!.at, verdicts.at(-1)!.result], [found.at, 'bad'], 'the verdict is kept');
      }
      await assert.rejects(verify('L2', { backup: manifest.backupId.replace('2026', '2025') }), (failure: ApplicationFailure) => failure.type === 'NotFound');
      await rename(file(name), file('aside'));
      await symlink(file('aside'), file(name));
      assert.match((await verify('L0')).findings[0]!.what, /symbolic link/);
    });

    it('calls no backup damaged, or removed, whose vault is not mounted or goes while it is looked at', async () => {
      const [disk, place] = [`${scratch.directory}-disk`, scratch.directory];
      const unmount = (): void => {
        renameSync(place, disk);
        mkdirSync(place);
      };
      const isAway = ({ type, details }: ApplicationFailure): boolean => type === 'NotFound' && (details?.[0] as { sought?: string }).sought === 'vault';
      let beats = 0;
      await assert.rejects(verify('L2', { onBeat: () => (beats++ === 0 ? unmount() : undefined) }), isAway);
      await assert.rejects(verify('L2'), isAway);
      await rm(place, { recursive: true });
      await assert.rejects(verify('L2'), isAway);
      await rename(disk, place);
      assert.equal((await readVerdicts(scratch.vault, CLUSTER)).size, 0, 'nothing is kept against it');
    });

    it('finds segments that are cut, gone or swapped, and names the images that need them', async () => {
      await truncate(segmentFile(1), 1000);
      const cut = await verify('L0');
      assert.ok(cut.findings.some(({ what }) => /has 1000 bytes instead of/.test(what)));
      assert.ok(cut.findings.some(({ image, what }) => image !== null && what === 'its segment is gone or cut short'));
      await rm(segmentFile(1));
      assert.ok((await verify('L0')).findings.some(({ what }) => what === 'the segment is gone'));
    });

    it('finds a segment and an index that became symbolic links, and looks at all else', async () => {
      for (const [at, name] of [segmentFile(0), file(vaultPaths.segmentIndex(CLUSTER, manifest.segments[1]!.segment))].entries()) {
        await rename(name, file(`aside-${at}`));
        await symlink(file(`aside-${at}`), name);
      }
      await flip(segmentFile(2), -30);
      const { findings, result } = await verify('L3');
      assert.equal(result, 'bad');
      for (const at of [0, 1]) assert.ok(findings.some(({ segment, what }) => segment === manifest.segments[at]!.segment && /is a symbolic link/.test(what)), `segment ${at}`);
      assert.ok(findings.some(({ image, what }) => image !== null && what === 'its segment is gone or cut short'));
      assert.ok(findings.some(({ segment, what }) => segment === manifest.segments[2]!.segment && /SHA-256/.test(what)));
    });

    it('finds two segments that were swapped', async () => {
      await rename(segmentFile(0), file('aside'));
      await rename(segmentFile(1), segmentFile(0));
      await rename(file('aside'), segmentFile(1));
      for (const withoutKeys of [true, false]) assert.equal((await verify('L3', { withoutKeys })).result, 'bad');
    });

    it('finds a segment of another cluster in the place of its own', async () => {
      await sealBackup({ vault: scratch.vault, cluster: 'other', tree: makeRegistryTree({ layout, seed: 8, repositories: 3, layerBytes: 20_000 }), keys: await loadEncryptionKeys(encryption) });
      const foreign: string[] = [];
      for await (const { name } of scratch.vault.list('other/segments/')) foreign.push(name);
      for (const end of ['.tar.gpg', '.index']) await writeFile(segmentFile(0).replace('.tar.gpg', end), await readFile(file(foreign.find((name) => name.endsWith(end))!)));
      for (const level of ['L0', 'L3'] as const) assert.equal((await verify(level)).result, 'bad', level);
    });

    it('proves only that nothing changed when no key is at hand, says so, and refuses L4', async () => {
      const publicOnly: EncryptionConfig = { recipients: [key.publicFile] };
      const found = await verify('L3', { encryption: publicOnly });
      assert.deepEqual([found.result, found.withKeys, found.checked.tags, found.checked.segments], ['good', false, 0, manifest.segments.length]);
      assert.match(found.notes.join(' '), new RegExp(`not what it holds.*opens with ${key.fingerprint}`));
      await flip(segmentFile(2), -30);
      const bad = await verify('L3', { encryption: publicOnly });
      assert.deepEqual(bad.findings.map(({ segment }) => segment), [manifest.segments[2]!.segment]);
      await assert.rejects(verify('L4', { encryption: publicOnly }), (failure: ApplicationFailure) => failure.type === 'Refused' && /no key at hand/.test(failure.message));
    });

    it('reads every segment exactly once in t parts', async () => {
      const t = 3;
      let segments = 0;
      let bytes = 0;
      for (let n = 1; n <= t; n += 1) {
        const found = await verify('L3', { part: { n, t } });
        assert.equal(found.result, 'good');
        segments += found.checked.segments;
        bytes += found.checked.bytes;
      }
      assert.deepEqual([segments, bytes], [manifest.segments.length, manifest.segments.reduce((sum, each) => sum + each.bytes, 0)]);
    });

    it('goes on behind the last segment that an earlier attempt had read', async () => {
      const sorted = manifest.segments.map(({ segment }) => segment).sort();
      await flip(file(vaultPaths.segment(CLUSTER, sorted[0]!)), 500);
      const content = await readFile(file(vaultPaths.manifest(CLUSTER, manifest.backupId)));
      const began = '2026-11-23T02:30:00.000Z';
      const cursor = { startedAt: began, manifestSha256: createHash('sha256').update(content).digest('hex'), withKeys: true, last: sorted[0], blobs: 3, bytes: 10, segments: 1, damages: [] };
      const found = await verify('L3', { heartbeat: { phase: 'reading segments', bytesDone: 0, cursor } });
      assert.deepEqual([found.result, found.startedAt], ['good', began], 'the damaged one counts as read, at the time when it was');
      const stale = await verify('L3', { heartbeat: { phase: 'reading segments', bytesDone: 0, cursor: { ...cursor, manifestSha256: 'f'.repeat(64) } } });
      assert.equal(stale.result, 'bad', 'another manifest was begun');
      const keyless = await verify('L3', { heartbeat: { phase: 'reading segments', bytesDone: 0, cursor: { ...cursor, withKeys: false } } });
      assert.deepEqual([keyless.result, keyless.startedAt > began], ['bad', true], 'a worker without keys had begun');
    });

    it('stays bad, and its segments unused, when a look without keys finds nothing of what keys had shown', async () => {
      const missing = tree.tags[1]!;
      manifest = await seal({ tree: { ...tree, blobs: tree.blobs.filter(({ sha256 }) => sha256 !== missing.digest) }, startedAt: '2026-11-25T02:00:00.000Z' });
      const { segment } = manifest.segments[0]!;
      const bad = await verify('L3');
      await scratch.vault.put(vaultPaths.badSegments(CLUSTER, manifest.backupId, bad.at), `${JSON.stringify({ segment })}\n`);
      const keyless = await verify('L3', { withoutKeys: true });
      assert.deepEqual([bad.result, keyless.result, keyless.withKeys], ['bad', 'good', false]);
      const standing = standingOf((await readVerdicts(scratch.vault, CLUSTER)).get(manifest.backupId)!);
      assert.deepEqual([standing.verified, standing.bad?.at], [false, bad.at]);
      assert.deepEqual([...(await readBadSegments(scratch.vault, CLUSTER)).keys()], [segment], 'the next backup must not build on it');
      const { facts } = await readPicture(scratch.vault, CLUSTER);
      assert.deepEqual(facts.filter(({ id }) => id === manifest.backupId).map(({ verified, bad: isBad }) => [verified, isBad]), [[false, true]], 'retention must not let it push others out');
    });

    it('tells which other backup still holds the content', async () => {
      // A second copy comes about when the first segment could not be used: here because its index was away.
      const shared = tree.blobs[0]!;
      const index = file(vaultPaths.segmentIndex(CLUSTER, await spoil(shared.sha256)));
      await rename(index, file('aside'));
      const newer = await seal({ startedAt: '2026-11-24T02:00:00.000Z' });
      await rename(file('aside'), index);
      const found = await verify('L3');
      const hit = found.findings.filter(({ digest }) => digest === `sha256:${shared.sha256}`);
      assert.ok(hit.length > 0);
      assert.deepEqual([...new Set(hit.map(({ lastBackup }) => lastBackup))], [newer.backupId]);
    });

    it('tolerates tags in flight and known gaps, orphans and foreign layers, and says so', async () => {
      const [first, second] = tree.tags;
      const lost = tree.blobs.find(({ sha256 }) => sha256 === first!.digest)!;
      const reduced = { ...tree, blobs: tree.blobs.filter((blob) => blob !== lost) };
      manifest = await seal({
        tree: reduced, startedAt: '2026-11-25T02:00:00.000Z',
        tags: (line) => (line.digest === `sha256:${first!.digest}` ? { ...line, state: 'gap' } : line.digest === `sha256:${second!.digest}` ? { ...line, state: 'inFlight' } : line),
      });
      const found = await verify('L3');
      assert.deepEqual(found.findings, []);
      assert.match(found.notes.join(' '), /Tolerated: 1 tags were being pushed.*Tolerated: 1 tags were incomplete in the registry already.*blobs belong to no tag/);
    });

    it('finds a tag that lacks content although the backup calls it whole', async () => {
      const tag = tree.tags[1]!;
      const reduced = { ...tree, blobs: tree.blobs.filter(({ sha256 }) => sha256 !== tag.digest) };
      manifest = await seal({ tree: reduced, startedAt: '2026-11-25T02:00:00.000Z' });
      const found = await verify('L2');
      assert.deepEqual(found.findings.map(({ image, digest, what }) => [image, digest, what]), [[`${tag.repository}:${tag.tag}`, `sha256:${tag.digest}`, 'the manifest is not in the backup']]);
      assert.equal(found.findings[0]!.lastBackup, [...(await ids())].filter((id) => id !== manifest.backupId)[0], 'the older backup has it');
    });

    async function ids(): Promise<string[]> {
      const found: string[] = [];
      for await (const { name } of scratch.vault.list(vaultPaths.backups(CLUSTER))) if (name.endsWith('/manifest.json')) found.push(name.split('/')[2]!);
      return found;
    }

    it('finds a backup that was put under another\'s name or changed on purpose, digests and all, where manifests are signed', async () => {
      const signer = await makeKey(scratch.path, 'signer');
      encryption = { ...encryption, signedBy: [signer.publicFile] };
      manifest = await seal({ signer: signer.privateKey, startedAt: '2026-11-25T02:00:00.000Z' });
      const good = await verify('L3');
      assert.deepEqual([good.result, good.notes.some((note) => note.includes(`signed by ${signer.fingerprint}`))], ['good', true]);
      // Two segments change places, and whoever did it writes new digests everywhere.
      const [a, b] = manifest.segments;
      const forged = await forgeSegments(scratch.vault, manifest, (segments) => [{ ...a!, sha256: b!.sha256, bytes: b!.bytes }, ...segments.slice(1)]);
      await writeFile(segmentFile(0), await readFile(segmentFile(1)));
      const name = file(vaultPaths.manifest(CLUSTER, manifest.backupId));
      await writeFile(name, JSON.stringify(forged));
      assert.ok((await verify('L0')).findings.some(({ what }) => /not a signature of these bytes/.test(what)));
      // A replay: the older, unsigned backup stands for the newer one.
      await rm(`${name}.asc`);
      assert.ok((await verify('L0')).findings.some(({ what }) => /is not signed/.test(what)));
    });

    // By id the metadata says what a tag is, and left-over links decide nothing.
    if (layout === 'sha256') {
      it('names a bad link of a tag, or its lost revision, where the registry goes by links', async () => {
        const [tag] = tree.tags;
        const path = `docker/registry/v2/repositories/${tag!.repository}/_manifests/tags/${tag!.tag}/current/link`;
        const others = new Map(tree.others);
        others.set(path, Buffer.alloc(0));
        manifest = await seal({ tree: { ...tree, others }, startedAt: '2026-11-25T02:00:00.000Z' });
        const found = await verify('L1');
        assert.deepEqual(found.findings.map(({ image, what }) => [image, what]), [[`${tag!.repository}:${tag!.tag}`, 'the link of the tag is missing or cannot be read']]);
      });
    }

    it('keeps the names of findings encrypted, for the recipients of the backup', async () => {
      await spoil(tree.blobs[0]!.sha256);
      const found = await verify('L3');
      const name = vaultPaths.findings(CLUSTER, manifest.backupId, found.at);
      const stored = await readFile(file(name));
      const record = { name, bytes: stored.length, sha256: createHash('sha256').update(stored).digest('hex') };
      assert.equal(stored.includes(tree.tags[0]!.repository), false);
      const rows: unknown[] = [];
      const plain = { plainBytes: 0, plainSha256: '', recipients: [] };
      const reading = readJsonLines(scratch.vault, { ...record, ...plain, plainBytes: Number.MAX_SAFE_INTEGER }, await loadDecryptionKeys(encryption));
      await assert.rejects(async () => { for await (const row of reading) rows.push(row); }, /not what was backed up/, 'the test does not know the plain digest');
      assert.deepEqual(rows, found.findings);
    });
  });
}
