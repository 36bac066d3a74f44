/** Object lock on a real server, with locks of seconds, so that a test sees their end. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteObjectCommand, GetObjectRetentionCommand, ListObjectVersionsCommand, PutObjectCommand, PutObjectLockConfigurationCommand } from '@aws-sdk/client-s3';
import { openS3Vault } from '../../adapters/vault/s3';
import type { Vault } from '../../adapters/vault/vault';
import type { S3Config } from '../../domain/config';
import { vaultPaths } from '../../domain/vault-format';
import type { Manifest, SegmentRef } from '../../domain/manifest';
import { lockUsed } from '../../activities/backup/lock-used';
import { activityEnvironment } from '../helpers/backup-run';
import { startS3Proxy } from '../helpers/s3-proxy';
import { isError } from '../helpers/vault';
import { startVersitygw, type TestS3 } from '../helpers/versitygw';
import { names } from './conformance';

const DAY_S = 86_400;
const SEGMENT = vaultPaths.segmentIndex('lab', '20261123T020000Z-0123456789ab');

for (const mode of ['compliance', 'governance'] as const) {
  describe(`a vault in a bucket with object lock, ${mode}`, function () {
    this.timeout(180_000);
    let s3: TestS3;
    let vault: Vault;
    const bucket = 'locked';
    const settings = (seconds: number): S3Config => ({ ...s3.settings(bucket), objectLock: { mode, days: seconds / DAY_S } });
    beforeEach(async () => {
      s3 = await startVersitygw();
      await s3.makeBucket(bucket, { lock: true });
      vault = openS3Vault(settings(3));
      await vault.check();
      assert.equal(await vault.removeExpired(), 1, 'the probe of the check, which nothing locks');
    });
    afterEach(async () => {
      await vault.close();
      await s3.stop();
    });

    async function versions(prefix = ''): Promise<{ key: string; id: string }[]> {
      const { Versions = [], DeleteMarkers = [] } = await s3.client.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix }));
      return [...Versions, ...DeleteMarkers].map(({ Key, VersionId }) => ({ key: Key!, id: VersionId! }));
    }

    it('locks what is written, small or in parts, and nobody can delete it', async () => {
      const long = openS3Vault(settings(600));
      await long.put('lab/manifest.json', 'x');
      const upload = await long.upload('lab/a.tar.gpg');
      await new Promise<void>((resolve, reject) => upload.stream.write(Buffer.alloc(20 << 20), (error) => (error ? reject(error) : resolve())));
      await upload.commit();
      for (const name of ['lab/manifest.json', 'lab/a.tar.gpg']) {
        const { Retention } = await s3.client.send(new GetObjectRetentionCommand({ Bucket: bucket, Key: name }));
        assert.equal(Retention?.Mode, mode.toUpperCase());
        const [version] = await versions(name);
        await assert.rejects(s3.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: name, VersionId: version!.id })), /AccessDenied|locked|denied|protected/i);
      }
    });

    it('removes a name at once, and its bytes when the lock has ended', async () => {
      await vault.put(SEGMENT, 'first');
      await vault.remove(SEGMENT);
      assert.deepEqual([await names(vault, 'lab/'), await vault.stat(SEGMENT)], [[], null]);
      assert.equal(await vault.removeExpired(), 0, 'it is locked still');
      assert.equal((await versions(SEGMENT)).length, 2);
      await vault.put(SEGMENT, 'second');
      await sleep(3_100);
      assert.ok((await vault.removeExpired()) >= 1);
      assert.equal((await versions(SEGMENT)).length, 1, 'only what is there now');
      assert.equal((await vault.readAll(SEGMENT, 100)).toString(), 'second');
      await vault.remove(SEGMENT);
      await vault.removeExpired();
      assert.deepEqual(await versions(SEGMENT), []);
    });

    it('leaves alone what somebody else has overwritten', async () => {
      await vault.put(SEGMENT, 'good');
      await s3.client.send(new PutObjectCommand({ Bucket: bucket, Key: SEGMENT, Body: 'bad' }));
      await sleep(3_100);
      await vault.removeExpired();
      assert.equal((await versions(SEGMENT)).length, 2);
    });

    it('leaves alone what other programs keep and remove in the same bucket', async () => {
      const theirs = ['photos/cat.jpg', 'notes.txt', 'app/operations/today.json', 'app/segments/000123.index', 'lab/backups/other.gpg', 'probe-42'];
      const ours = [vaultPaths.manifest('lab', '20261123T020000Z-1a2b3c'), vaultPaths.operation('lab', 'freeze-0123456789abcdef.1.json'), vaultPaths.badSegments('lab', '20261123T020000Z-1a2b3c', '2026-11-23T03:00:00.000Z'), SEGMENT];
      for (const name of [...theirs, ...ours]) {
        await vault.put(name, 'x');
        await vault.remove(name);
      }
      await sleep(3_100);
      assert.equal(await vault.removeExpired(), ours.length);
      assert.deepEqual([...new Set((await versions()).map(({ key }) => key))].filter((key) => key !== 'vault.json').sort(), theirs.sort());
    });

    it('makes a lock longer, and never shorter', async () => {
      await vault.put(SEGMENT, 'x');
      const later = new Date(Math.floor(Date.now() / 1000) * 1000 + 6_000);
      assert.equal((await vault.extendRetention(SEGMENT, later))?.getTime(), later.getTime());
      assert.equal((await vault.extendRetention(SEGMENT, new Date(Date.now() + 1_000)))?.getTime(), later.getTime());
      await assert.rejects(vault.extendRetention('lab/none', later), isError('NotFound', /none/));
      await vault.remove(SEGMENT);
      await sleep(3_100);
      assert.equal(await vault.removeExpired(), 0, 'the longer lock holds');
    });

    it('leaves a lock in compliance mode one, whatever the vault is set to now', async () => {
      const strict = openS3Vault({ ...settings(3), objectLock: { mode: 'compliance', days: 3 / DAY_S } });
      await strict.put(SEGMENT, 'x');
      const later = new Date(Math.floor(Date.now() / 1000) * 1000 + 6_000);
      assert.equal((await vault.extendRetention(SEGMENT, later))?.getTime(), later.getTime());
      const { Retention } = await s3.client.send(new GetObjectRetentionCommand({ Bucket: bucket, Key: SEGMENT }));
      assert.deepEqual([Retention?.Mode, Retention?.RetainUntilDate?.getTime()], ['COMPLIANCE', later.getTime()]);
      await strict.close();
    });

    if (mode === 'compliance') it('is renewed with one call for each object that a backup names, not by asking first', async () => {
      const objects = 1000;
      const patient = openS3Vault(settings(60));
      const segments = Array.from({ length: objects / 2 }, (_, at) => ({ segment: `20261123T020000Z-${at.toString(16).padStart(12, '0')}` }));
      const all = segments.flatMap(({ segment }) => [vaultPaths.segment('lab', segment), vaultPaths.segmentIndex('lab', segment)]);
      for (let at = 0; at < all.length; at += 50) await Promise.all(all.slice(at, at + 50).map((name) => patient.put(name, 'x')));
      const proxy = await startS3Proxy(Number(new URL(s3.settings(bucket).endpoint!).port), {});
      const counted = openS3Vault({ ...settings(600), endpoint: proxy.url });
      try {
        const manifest = { artifacts: {} } as unknown as Manifest;
        await activityEnvironment().run(() => lockUsed({ vault: counted, name: 'lab' }, manifest, segments as SegmentRef[], new AbortController().signal));
        const calls = proxy.calls.filter((call) => call.includes('retention'));
        assert.deepEqual([calls.filter((call) => call.startsWith('PUT')).length, calls.filter((call) => call.startsWith('GET')).length], [objects, 0]);
        for (const name of [all[0]!, all.at(-1)!]) {
          const { Retention } = await s3.client.send(new GetObjectRetentionCommand({ Bucket: bucket, Key: name }));
          assert.ok(Retention!.RetainUntilDate!.getTime() > Date.now() + 500_000, name);
        }
      } finally {
        await counted.close();
        await proxy.stop();
      }
    });

    it('keeps probes, tombstones and records of operations out of the lock, whatever the bucket does by default', async () => {
      await s3.client.send(new PutObjectLockConfigurationCommand({ Bucket: bucket, ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 300 } } } }));
      const other = openS3Vault(settings(3));
      await other.check();
      await other.put('lab/operations/x.json', '{}');
      await other.put('lab/segments/x.index', 'x');
      const soon = Date.now() + 120_000;
      for (const { key, id } of await versions()) {
        const { Retention } = await s3.client.send(new GetObjectRetentionCommand({ Bucket: bucket, Key: key, VersionId: id })).catch(() => ({ Retention: undefined }));
        assert.ok((Retention?.RetainUntilDate?.getTime() ?? 0) < soon, `${key} is locked until ${Retention?.RetainUntilDate?.toISOString()}`);
      }
      await other.close();
    });

    it('is refused where the bucket has no object lock', async () => {
      await s3.makeBucket('open');
      await assert.rejects(openS3Vault({ ...settings(3), bucket: 'open' }).check(), isError('InvalidInput', /has no object lock/));
    });
  });
}
