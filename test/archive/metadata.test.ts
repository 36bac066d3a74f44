import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { MetadataReader, readMetadataArchive, type MetadataOptions, type MetadataSummary } from '../../adapters/archive/metadata';
import { END_OF_ARCHIVE, makeHeader, paddingOf } from '../../adapters/archive/tar-header';
import { readArtifact, writeArtifact } from '../../adapters/vault/artifacts';
import { collect, isError, readKeys, scratchVault, writeKeys } from '../helpers/vault';

const ROOT = 'dtr-backup-v2.9.4-online';
const folder = (name: string): Buffer => makeHeader({ name, type: 'directory', mode: 0o700 });
const file = (name: string, content: string | Buffer): Buffer => {
  const data = Buffer.from(content);
  return Buffer.concat([makeHeader({ name, type: 'file', size: data.length, mode: 0o600 }), data, Buffer.alloc(paddingOf(data.length))]);
};

function archive(root = ROOT, extra: Buffer[] = []): Buffer {
  return Buffer.concat([
    folder(root),
    folder(`${root}/rethink`),
    folder(`${root}/rethink/tags`),
    file(`${root}/rethink/tags/0`, '{"pk":"a/b:1"}'),
    file(`${root}/rethink/tags/1`, '{"pk":"a/b:2"}'),
    folder(`${root}/rethink/webhooks`),
    folder(`${root}/rethink/properties`),
    file(`${root}/rethink/properties/0`, '{"key":"ü"}'),
    ...extra,
    END_OF_ARCHIVE,
  ]);
}

function* pieces(data: Buffer, step: number): Generator<Buffer> {
  for (let at = 0; at < data.length; at += step) yield data.subarray(at, at + step);
}

async function read(data: Buffer, options: MetadataOptions = {}, step = 700): Promise<{ summary: MetadataSummary; rows: string[] }> {
  const rows: string[] = [];
  const summary = await readMetadataArchive(Readable.from(pieces(data, step)), (table, row) => void rows.push(`${table} ${JSON.stringify(row)}`), options);
  return { summary, rows };
}

describe('the metadata archive', () => {
  it('yields each row, counts tables with and without rows, and tells version and kind', async () => {
    for (const step of [1, 700, 1_000_000]) {
      const { summary, rows } = await read(archive(), { expectedVersion: '2.9.4' }, step);
      assert.deepEqual(summary, { root: ROOT, version: '2.9.4', online: true, parsed: true, tables: { properties: 1, tags: 2, webhooks: 0 }, documents: 3, bytes: archive().length });
      assert.deepEqual(rows, ['tags {"pk":"a/b:1"}', 'tags {"pk":"a/b:2"}', 'properties {"key":"ü"}']);
    }
  });

  it('of older versions without the suffix and with an etcd folder is read, too', async () => {
    const root = 'dtr-backup-v2.5.3';
    const { summary } = await read(archive(root, [folder(`${root}/etcd`), file(`${root}/etcd/0`, 'not json'), folder(`${root}/rethink/unknown_table`)]));
    assert.deepEqual([summary.version, summary.online, summary.parsed, summary.tables['unknown_table']], ['2.5.3', false, true, 0]);
  });

  it('made offline is checked at its root and its end only', async () => {
    const root = 'dtr-backup-v2.9.4-offline';
    const opaque = Buffer.concat([folder(root), file(`${root}/data/table`, 'anything'), END_OF_ARCHIVE]);
    const { summary } = await read(opaque);
    assert.deepEqual([summary.parsed, summary.online, summary.documents], [false, false, 0]);
    await assert.rejects(read(opaque.subarray(0, -1024)), isError('IntegrityMismatch', /cut short/));
  });

  it('is refused wherever it is cut, also where GNU tar sees nothing wrong', async () => {
    const whole = archive();
    for (let cut = 0; cut < whole.length; cut += 128) await assert.rejects(read(whole.subarray(0, cut)), isError('IntegrityMismatch', /empty|cut short/), `cut at ${cut}`);
  });

  it('is refused when a document is not JSON, without quoting it', async () => {
    const secret = 'private-key-material';
    await assert.rejects(read(archive(ROOT, [file(`${ROOT}/rethink/private_keys/0`, `{"key":"${secret}`)])), (error: Error) => {
      assert.ok(!error.message.includes(secret));
      return isError('IntegrityMismatch', /rethink\/private_keys\/0 \(\d+ bytes\) is not JSON/)(error);
    });
    await assert.rejects(read(archive(ROOT, [file(`${ROOT}/rethink/tags/9`, Buffer.from([0x22, 0xff, 0x22]))])), isError('IntegrityMismatch', /not UTF-8/));
  });

  it('is refused when something is wrong with its form', async () => {
    const cases: [Buffer, RegExp][] = [
      [Buffer.concat([file('readme', 'x'), END_OF_ARCHIVE]), /starts with "readme"/],
      [Buffer.concat([folder('ucp-backup-v3.1.0'), END_OF_ARCHIVE]), /not with the folder dtr-backup/],
      [END_OF_ARCHIVE, /holds nothing/],
      [Buffer.concat([folder(ROOT), END_OF_ARCHIVE]), /no folder .*rethink/],
      [Buffer.concat([folder(ROOT), folder(`${ROOT}/rethink`), folder(`${ROOT}/rethink/properties`), END_OF_ARCHIVE]), /"properties" has no row/],
      [archive(ROOT, [file('/etc/passwd', '{}')]), /outside the folder/],
      [archive(ROOT, [file(`${ROOT}/rethink/../../x`, '{}')]), /outside the folder/],
      [archive(ROOT, [file(`${ROOT}/rethink/loose`, '{}')]), /where a table's folder should be/],
      [archive(ROOT, [makeHeader({ name: `${ROOT}/rethink/tags/7`, type: 'file', size: 65 * 1024 * 1024 })]), /a document has at most/],
    ];
    for (const [data, pattern] of cases) await assert.rejects(read(data), isError('IntegrityMismatch', pattern));
  });

  it('of another version than the registry is refused', async () => {
    await assert.rejects(read(archive(), { expectedVersion: '2.9.5' }), isError('VersionMismatch', /is of version 2\.9\.4, the registry of version 2\.9\.5/));
  });

  it('waits for a reader of rows that is slow', async () => {
    let active = 0;
    await readMetadataArchive(Readable.from([archive()]), async () => {
      active += 1;
      assert.equal(active, 1, 'one row at a time');
      await new Promise((resolve) => setTimeout(resolve, 5));
      active -= 1;
    });
  });

  it('is stored byte for byte while it is checked, and not stored when it is cut short', async () => {
    const scratch = await scratchVault();
    try {
      const store = (name: string, data: Buffer) => {
        const reader = new MetadataReader(() => undefined);
        return { reader, record: writeArtifact(scratch.vault, name, writeKeys, Readable.from(pieces(data, 999)), { gzip: true, through: reader }) };
      };
      const good = store('lab/backups/a/metadata.tar.gz.gpg', archive());
      const record = await good.record;
      assert.equal(good.reader.summary().documents, 3);
      assert.equal(record.plainSha256, createHash('sha256').update(archive()).digest('hex'));
      assert.ok((await collect(await readArtifact(scratch.vault, record, readKeys, { gunzip: true }))).equals(archive()));
      await assert.rejects(store('lab/backups/b/metadata.tar.gz.gpg', archive().subarray(0, -512)).record, isError('IntegrityMismatch', /cut short/));
      assert.equal(await scratch.vault.stat('lab/backups/b/metadata.tar.gz.gpg'), null);
    } finally {
      await scratch.remove();
    }
  });
});
