import assert from 'node:assert/strict';
import { formatManifest, withGaps } from '../../activities/backup/manifest';
import { refuseTooLong } from '../../activities/backup/manifest-room';
import { refuseUnknown } from '../../activities/restore/backup';
import { segmentsOf } from '../../adapters/vault/segment-list';
import type { DrydockError } from '../../domain/errors';
import { MANIFEST_MAX_BYTES, manifestSchema, type Manifest } from '../../domain/manifest';
import { parseNote } from '../../domain/notes';
import { manifest } from '../domain/restore-fixtures';
import { CountingVault } from '../helpers/counting-vault';
import { makeMany } from '../helpers/many-segments';
import { isError, writeKeys } from '../helpers/vault';
import { FACTS } from '../workflows/fixtures/activities';

describe('a manifest', () => {
  it('names as many gaps as it has room for, and has 64 KiB at most', () => {
    const gaps = Array.from({ length: 1_000 }, (_, at) => ({ digest: `sha256:${at.toString(16).padStart(64, '0')}`, what: 'a layer that is gone' }));
    const { gaps: named, ...rest } = withGaps({ ...manifest(), status: 'incomplete' }, gaps);
    assert.ok(named.length > 100 && named.length < gaps.length, `${named.length}`);
    const [fitting, more] = [named, gaps.slice(0, named.length + 1)].map((some) => Buffer.byteLength(formatManifest({ ...rest, gaps: some })));
    assert.ok(fitting! <= MANIFEST_MAX_BYTES && more! > MANIFEST_MAX_BYTES - 100, `${fitting} and ${more}`);
    assert.deepEqual(withGaps(manifest(), gaps.slice(0, 3)).gaps, gaps.slice(0, 3));
  });

  it('that is too large even without gaps is refused in a sentence that says what stands in it', () => {
    const { settings } = manifest().product;
    assert.throws(() => withGaps(manifest({ settings: { ...settings, noProxy: 'host,'.repeat(20_000) } }), []), isError('Refused', /the manifest would have \d+ bytes, 65536 are the most/));
  });

  it('that will be too large is refused at the check, by what is known then, with what takes the room', () => {
    const { replicas, settings, crons } = manifest().product;
    const lengthy = { replicas, settings, crons, volume: FACTS.volume, recipients: ['A'.repeat(40)] };
    const many = Array.from({ length: 300 }, (_, at) => at.toString(16).padStart(40, '0'));
    refuseTooLong(lengthy);
    assert.throws(() => refuseTooLong({ ...lengthy, recipients: many }), isError('Refused', /would have \d+ bytes at least, 65536 are the most; recipients of encryption \(300, each of which stands in it 5 times\): \d+; .*replicas \(3\)/));
    const proxied = { ...lengthy, settings: { ...settings, noProxy: 'host,'.repeat(20_000) } };
    assert.throws(() => refuseTooLong(proxied), (error: DrydockError) => error.remedy === 'shorten the settings of DTR, its proxies among them');
  });

  it('that the check lets pass by a little is not always too large, and one that it refuses always is', () => {
    const sealed = manifest();
    const withRecipients = (length: number): string[] => Array.from({ length }, (_, at) => at.toString(16).padStart(40, '0'));
    const isRefused = (work: () => unknown): boolean => {
      try {
        work();
        return false;
      } catch {
        return true;
      }
    };
    for (let length = 150; length <= 300; length += 10) {
      const recipients = withRecipients(length);
      const artifacts = Object.fromEntries(Object.entries(sealed.artifacts).map(([name, artifact]) => [name, 'recipients' in artifact! ? { ...artifact, recipients } : artifact])) as Manifest['artifacts'];
      const { replicas, settings, crons } = sealed.product;
      if (isRefused(() => refuseTooLong({ replicas, settings, crons, volume: null, recipients }))) assert.ok(isRefused(() => withGaps({ ...sealed, artifacts }, [])), `${length} recipients`);
    }
  });

  it('says complete only where there is no gap that nobody accepted', () => {
    const counted = (change: Partial<Manifest['counts']>) => manifestSchema.safeParse({ ...sound(), counts: { ...sound().counts, ...change } }).success;
    assert.deepEqual([counted({}), counted({ acceptedGaps: 3, warnings: 2 }), counted({ gaps: 1 })], [true, true, false]);
  });

  it('may name artifacts of kinds that this version does not know; a restore refuses those that it would need', () => {
    const other = { name: 'o', bytes: 1, sha256: 'a'.repeat(64), needed: false, colour: 'blue' };
    const parsed = manifestSchema.parse({ ...sound(), artifacts: { ...sound().artifacts, scans: other } });
    refuseUnknown(parsed);
    const asked = manifestSchema.parse({ ...sound(), artifacts: { ...sound().artifacts, accounts: { ...other, needed: true } } });
    assert.throws(() => refuseUnknown(asked), isError('VersionMismatch', /holds accounts, which a restore needs and this version of Drydock does not know/));
    assert.equal(manifestSchema.safeParse({ ...sound(), colour: 'blue' }).success, false, 'all else is strict');
    assert.equal(manifestSchema.safeParse({ ...sound(), artifacts: { ...sound().artifacts, '\u001b[2J': other } }).success, false, 'a kind is a plain word');
  });

  it('is read with notes of kinds that a later version adds', () => {
    assert.deepEqual(parseNote({ kind: 'warning', text: 'a' }), { kind: 'warning', text: 'a' });
    assert.deepEqual([parseNote({ kind: 'scan', at: 1 }), parseNote({ kind: 'owner' }), parseNote('x')], [null, undefined, undefined]);
  });

  it('names a list of segments that is missing, cut, longer or changed in one sentence', async () => {
    const vault = new CountingVault();
    const [sealed] = await makeMany({ vault, cluster: 'lab', keys: writeKeys, segments: 3, backups: 1 });
    const { name } = sealed!.artifacts.segments;
    const content = vault.files.get(name)!;
    assert.equal((await segmentsOf(vault, sealed!)).length, 3);
    const changed = Buffer.from(content);
    changed[20]! ^= 1;
    for (const [wrong, what] of [[content.subarray(1), /has \d+ bytes, recorded are/], [Buffer.concat([content, content]), /has more than the \d+ bytes/], [changed, /its SHA-256 is not the one recorded/]] as const) {
      vault.files.set(name, wrong);
      await assert.rejects(segmentsOf(vault, sealed!), isError('IntegrityMismatch', what));
    }
    vault.files.delete(name);
    await assert.rejects(segmentsOf(vault, sealed!), isError('NotFound', /the list of segments lab\/backups\/.*\/segments\.jsonl is not in a vault in memory/));
  });
});

/** In the form in which it stands in a vault. */
function sound(): Manifest {
  return manifest();
}
