import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NumberedIndex } from '../../adapters/vault/numbered-index';
import { eachIndex, readIndexes } from '../../adapters/vault/segment-index';
import { readBlobs, type WantedBlob } from '../../adapters/vault/segment-reader';
import { BUFFERED_BYTES, SegmentWriter, type WrittenSegment } from '../../adapters/vault/segment-writer';
import { CopyList } from '../../domain/copy-list';
import { digestBlobPath, sha256BlobPath, idBlobPath } from '../../domain/layout';
import { vaultPaths, type StoredBlob } from '../../domain/vault-format';
import { collect, gpgDecrypt, isError, readKeys, scratchVault, writeKeys } from '../helpers/vault';

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
const MIB = 1 << 20;

async function* chunks(data: Buffer, step = 100_000): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += step) yield await Promise.resolve(data.subarray(at, at + step));
}

describe('segments', function () {
  this.timeout(60_000);
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  beforeEach(async () => {
    scratch = await scratchVault();
  });
  afterEach(() => scratch.remove());

  const newWriter = (segmentBytes = 64 * MIB) => new SegmentWriter({ vault: scratch.vault, cluster: 'lab', keys: writeKeys, writtenBy: 'test', segmentBytes });

  async function store(blobs: Buffer[], segmentBytes?: number): Promise<{ wanted: WantedBlob[]; segments: WrittenSegment[]; content: Map<string, Buffer> }> {
    const writer = newWriter(segmentBytes);
    const content = new Map<string, Buffer>();
    for (const blob of blobs) {
      const path = sha256BlobPath(sha256(blob));
      content.set(path, blob);
      await writer.add({ path, size: blob.length, sha256: sha256(blob) }, chunks(blob));
    }
    const segments = await writer.finish();
    const wanted: WantedBlob[] = [];
    for await (const { header, blobs: listed } of readIndexes(scratch.vault, 'lab')) for (const blob of listed) wanted.push({ ...blob, segment: header.segment });
    return { wanted, segments, content };
  }

  async function readAll(wanted: WantedBlob[]): Promise<Map<string, Buffer>> {
    const found = new Map<string, Buffer>();
    for await (const blob of readBlobs(scratch.vault, 'lab', wanted, readKeys)) found.set(blob.path, await collect(blob.data));
    return found;
  }

  it('give back every blob, and stay within the size that was asked for', async () => {
    const blobs = Array.from({ length: 40 }, (_, i) => randomBytes(i === 0 ? 0 : 200_000 + i * 1000));
    const { wanted, segments, content } = await store(blobs, 2 * MIB);
    assert.ok(segments.length >= 4, `${segments.length} segments`);
    for (const segment of segments) assert.ok(segment.plainBytes <= 2 * MIB, `${segment.plainBytes}`);
    assert.deepEqual(await readAll(wanted), content);
  });

  it('hold a blob larger than a segment in one of its own', async () => {
    const { wanted, segments, content } = await store([randomBytes(5 * MIB), randomBytes(1000)], 2 * MIB);
    assert.deepEqual(segments.map((segment) => segment.blobs), [1, 1]);
    assert.deepEqual(await readAll(wanted), content);
  });

  it('are opened by gpg and tar alone, each member under its path, at the offset that the index says', async () => {
    const blobs = [randomBytes(10), randomBytes(BUFFERED_BYTES + 1), randomBytes(1024)];
    const { wanted, segments, content } = await store(blobs);
    const tar = await gpgDecrypt(scratch.path, join(scratch.directory, vaultPaths.segment('lab', segments[0]!.segment)));
    await writeFile(join(scratch.path, 's.tar'), tar);
    execFileSync('tar', ['-C', scratch.path, '-xf', 's.tar'], { stdio: ['ignore', 'inherit', 'inherit'], cwd: scratch.path });
    const listing = execFileSync('tar', ['-tf', join(scratch.path, 's.tar')]).toString().trim().split('\n');
    assert.deepEqual(listing, [...content.keys()]);
    const { blobs: listed } = (await readIndexes(scratch.vault, 'lab').next()).value as { blobs: StoredBlob[] };
    for (const [at, { path }] of wanted.entries()) {
      assert.ok((await readFile(join(scratch.path, path))).equals(content.get(path)!));
      const { offset, size } = listed[at]!;
      assert.ok(tar.subarray(offset, offset + size).equals(content.get(path)!));
    }
  });

  it('never hold a small blob whose bytes are not those its name promises', async () => {
    const writer = newWriter();
    const torn = await writer.add({ path: sha256BlobPath(sha256(Buffer.from('whole'))), size: 3, sha256: sha256(Buffer.from('whole')) }, chunks(Buffer.from('who')));
    assert.equal(torn.void, true);
    const short = await writer.add({ path: idBlobPath('abcdef'), size: 10 }, chunks(Buffer.from('who')));
    assert.equal(short.void, true, 'fewer bytes than announced');
    assert.deepEqual(await writer.finish(), [], 'a segment without blobs is not written');
    assert.deepEqual(await readAll([]), new Map());
  });

  it('mark a large blob void when it is torn, cut short or too long, and stay whole around it', async () => {
    const writer = newWriter();
    const size = BUFFERED_BYTES + 1000;
    const good = randomBytes(size);
    const cases = [randomBytes(size), good.subarray(0, size - 700), Buffer.concat([good, Buffer.from('more')])];
    for (const bytes of cases) {
      const stored = await writer.add({ path: sha256BlobPath(sha256(good)), size, sha256: sha256(good) }, chunks(bytes));
      assert.equal(stored.void, true);
    }
    const stored = await writer.add({ path: sha256BlobPath(sha256(good)), size, sha256: sha256(good) }, chunks(good));
    assert.equal(stored.void, undefined);
    const [segment] = await writer.finish();
    const blob = { path: stored.path, size, sha256: stored.sha256, segment: segment!.segment };
    assert.ok((await readAll([blob])).get(stored.path)!.equals(good), 'of four copies under one path the good one comes back');
    await assert.rejects(readAll([{ ...blob, sha256: sha256(cases[0]!) }]), isError('IntegrityMismatch', /its index does not list it/), 'a void copy is never given out');
  });

  it('record what image manifests refer to, by digest only', async () => {
    const digest = (n: number): string => n.toString(16).padStart(64, '0');
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      config: { digest: `sha256:${digest(1)}`, size: 1 },
      layers: [{ digest: `sha256:${digest(2)}` }, { digest: `sha256:${digest(3)}`, urls: ['https://elsewhere.example/x'] }],
      subject: { digest: `sha256:${digest(4)}` },
    };
    const index = { schemaVersion: 2, manifests: [{ digest: `sha256:${digest(5)}` }] };
    await store([manifest, index, { architecture: 'amd64' }, [1]].map((value) => Buffer.from(JSON.stringify(value))));
    const { blobs } = (await readIndexes(scratch.vault, 'lab').next()).value as { blobs: StoredBlob[] };
    assert.deepEqual(blobs.map((blob) => blob.refs), [
      { mediaType: manifest.mediaType, config: digest(1), layers: [digest(2)], foreign: [digest(3)], subject: digest(4) },
      { mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [digest(5)] },
      undefined,
      undefined,
    ]);
  });

  it('record what odd and large manifests refer to', async () => {
    const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
    const manifest = (layers: unknown): string => JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', layers });
    const large = manifest(Array.from({ length: 60_000 }, (_, at) => ({ digest: `sha256:${at.toString(16).padStart(64, '0')}` })));
    assert.ok(large.length > BUFFERED_BYTES);
    const bySha512 = `sha512:${'5'.repeat(128)}`;
    const odd = [`\r\n ${manifest([{ digest: digest('a') }])}`, manifest(null), manifest([{ digest: bySha512 }, { digest: 7 }]), `\n${large}`, `{${'x'.repeat(BUFFERED_BYTES)}`];
    await store(odd.map((text) => Buffer.from(text)));
    const refs: (number | string[] | undefined)[] = [];
    for await (const { blobs } of readIndexes(scratch.vault, 'lab')) for (const blob of blobs) refs.push((blob.refs?.layers?.length ?? 0) > 10 ? blob.refs!.layers!.length : blob.refs?.layers);
    assert.deepEqual(refs, [['a'.repeat(64)], [], [bySha512], 60_000, undefined]);
    // And so does the reader that keeps numbers instead of texts.
    const copies = new CopyList();
    for await (const index of eachIndex(scratch.vault, 'lab', {}, (segment) => NumberedIndex.read(scratch.vault, 'lab', segment, copies))) index.store();
    const numbered = copies.refs.get(copies.numbers.digests.find(sha256(Buffer.from(odd[2]!)))!);
    assert.deepEqual([numbered?.layers, numbered?.unreadable], [[bySha512], 1]);
  });

  it('hold content under a name of another algorithm to that name', async () => {
    const data = Buffer.from('named by SHA-512');
    const name = (content: Buffer): string => digestBlobPath(`sha512:${createHash('sha512').update(content).digest('hex')}`);
    const writer = newWriter();
    await writer.add({ path: name(data), size: data.length }, chunks(data));
    await writer.add({ path: name(Buffer.from('another')), size: data.length }, chunks(data));
    await writer.finish();
    const found: unknown[] = [];
    for await (const { blobs } of readIndexes(scratch.vault, 'lab')) for (const blob of blobs) found.push([blob.path === name(data), blob.sha256 === sha256(data), blob.void]);
    assert.deepEqual(found, [[true, true, undefined]], 'what does not have the digest in its name is not stored');
  });

  it('are read by range when little of them is wanted, and the blob is still proven', async () => {
    const blobs = Array.from({ length: 12 }, () => randomBytes(MIB));
    const { wanted, segments, content } = await store(blobs);
    const one = wanted.find((blob) => content.get(blob.path) === blobs[7])!;
    const file = join(scratch.directory, vaultPaths.segment('lab', segments[0]!.segment));
    const stored = await readFile(file);
    stored[stored.length - 2 * MIB]! ^= 1;
    await writeFile(file, stored);
    assert.ok((await readAll([one])).get(one.path)!.equals(blobs[7]!), 'damage elsewhere does not matter to it');
    const hit = wanted.find((blob) => content.get(blob.path) === blobs[10])!;
    await assert.rejects(readAll([hit]), isError('IntegrityMismatch', /do not have the recorded SHA-256/));
    await assert.rejects(readAll(wanted), isError('IntegrityMismatch', /SHA-256 is not the one recorded/));
  });

  it('without an index are unfinished and do not count', async () => {
    const { segments } = await store([randomBytes(100)]);
    await rm(join(scratch.directory, vaultPaths.segmentIndex('lab', segments[0]!.segment)));
    assert.equal((await readIndexes(scratch.vault, 'lab').next()).done, true);
  });

  it('that are gone, cut short or misdescribed are named', async () => {
    const damage = async (hurt: (segment: string, index: string) => Promise<void>, pattern: RegExp): Promise<void> => {
      const { segments } = await store([randomBytes(100_000)]);
      const id = segments.at(-1)!.segment;
      const index = vaultPaths.segmentIndex('lab', id);
      await hurt(join(scratch.directory, vaultPaths.segment('lab', id)), join(scratch.directory, index));
      const named: string[] = [];
      for await (const _ of readIndexes(scratch.vault, 'lab', { onDamaged: (name, error) => (named.push(name), assert.match(error.message, pattern)) }));
      assert.deepEqual(named, [index]);
      await assert.rejects(readIndexes(scratch.vault, 'lab').next(), isError('IntegrityMismatch', pattern));
      await rm(join(scratch.directory, 'lab'), { recursive: true });
    };
    const edit = (from: string | RegExp, to: string) => async (_: string, index: string) => writeFile(index, (await readFile(index, 'utf8')).replace(from, to));
    await damage((segment) => rm(segment), /is not there/);
    await damage((segment) => truncate(segment, 500), /has 500 bytes, recorded are/);
    await damage((_, index) => truncate(index, 0), /empty/);
    await damage(edit('"blobs":1', '"blobs":2'), /lists 1 blobs, its header says 2/);
    await damage(edit(/"path":"[^"]*"/, '"path":"../../etc/passwd"'), /does not describe a blob/);
    await damage(edit(/"sha256":"[^"]*","offset"/, '"sha256":"xyz","offset"'), /does not describe a blob/);
    await damage(edit('"segment":"2', '"segment":"3'), /it is the index of segment 3/);
    await damage(edit('"format":1', '"format":9'), /not a header of a format/);
  });

  it('that were swapped are found', async () => {
    const first = await store([randomBytes(100_000)]);
    const second = await store([randomBytes(100_000)]);
    const file = (id: string): string => join(scratch.directory, vaultPaths.segment('lab', id));
    await writeFile(file(first.segments[0]!.segment), await readFile(file(second.segments[0]!.segment)));
    await assert.rejects(readAll(first.wanted), isError('IntegrityMismatch', /SHA-256 is not the one recorded/));
    const recorded = new Map([[first.segments[0]!.segment, { bytes: 1, sha256: 'f'.repeat(64) }]]);
    await assert.rejects(collect(readBlobs(scratch.vault, 'lab', first.wanted, readKeys, { recorded }) as unknown as AsyncIterable<Buffer>), isError('IntegrityMismatch', /does not describe the segment/));
  });

  it('are not read by another index than the one that was sealed, however well it describes them', async () => {
    const { wanted, segments } = await store([randomBytes(100_000), randomBytes(100)]);
    const { segment, bytes, sha256: digest, index } = segments[0]!;
    const recorded = new Map([[segment, { bytes, sha256: digest, index }]]);
    const read = async (blobs: typeof wanted): Promise<number> => {
      let count = 0;
      for await (const { data } of readBlobs(scratch.vault, 'lab', blobs, readKeys, { recorded })) count += (await collect(data)).length > 0 ? 1 : 0;
      return count;
    };
    assert.equal(await read(wanted), 2);
    const file = join(scratch.directory, vaultPaths.segmentIndex('lab', segment));
    await chmod(file, 0o600);
    for (const [from, to] of [['"writtenBy":"t', '"writtenBy":"T'], [/\n$/, '\n\n']] as const) {
      const before = await readFile(file, 'utf8');
      await writeFile(file, before.replace(from, to));
      assert.notEqual(await readFile(file, 'utf8'), before);
      for (const some of [wanted, wanted.slice(0, 1)]) await assert.rejects(read(some), isError('IntegrityMismatch', /index .* is not the one that the backup was sealed with/));
      await writeFile(file, before);
    }
  });

  it('leave nothing visible when a writer is aborted or its source breaks', async () => {
    const writer = newWriter();
    await writer.add({ path: idBlobPath('abcdef'), size: 1000 }, chunks(randomBytes(1000)));
    const broken = (async function* () {
      yield await Promise.resolve(randomBytes(MIB));
      throw new Error('connection lost');
    })();
    await assert.rejects(writer.add({ path: idBlobPath('abcdeg'), size: 8 * MIB }, broken), /connection lost/);
    await writer.abort();
    await writer.abort();
    for await (const entry of scratch.vault.list('lab/')) assert.fail(entry.name);
  });
});
