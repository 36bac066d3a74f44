import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { MetadataReader } from '../../adapters/archive/metadata';
import { readTar } from '../../adapters/archive/tar-entries';
import { END_OF_ARCHIVE, makeHeader, paddingOf, TAR_BLOCK } from '../../adapters/archive/tar-header';
import { localHost } from '../../adapters/host/local';
import { restoreTree } from '../../adapters/images/tree';
import { readArtifact, writeArtifact } from '../../adapters/vault/artifacts';
import { proveWhole } from '../../adapters/vault/segment-check';
import { formatIndex } from '../../adapters/vault/segment-index';
import { readBlobs } from '../../adapters/vault/segment-reader';
import { sha256BlobPath } from '../../domain/layout';
import { FORMAT_VERSION, vaultPaths, type StoredBlob } from '../../domain/vault-format';
import { drydock } from '../client/fixtures/drydock';
import { BACKUP_ID, sealedBackup } from '../helpers/sealed-images';
import { collect, isError, readKeys, scratchVault, writeKeys } from '../helpers/vault';

const hex = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');
const member = (name: string, data: Buffer | string = ''): Buffer => {
  const content = Buffer.from(data);
  return Buffer.concat([makeHeader({ name, type: 'file', size: content.length }), content, Buffer.alloc(paddingOf(content.length))]);
};

/** A header that says what we never write; its checksum is right. */
function odd(name: string, flag: string, more: { linkName?: string; size?: string } = {}): Buffer {
  const block = makeHeader({ name: 'x', type: 'file' }).subarray(0, TAR_BLOCK);
  block.fill(0, 0, 100);
  block.write(name, 0, 100, 'latin1');
  block.write(flag, 156, 'latin1');
  block.write(more.linkName ?? '', 157, 100, 'latin1');
  if (more.size !== undefined) block.write(more.size, 124, 12, 'latin1');
  block.write(' '.repeat(8), 148, 'latin1');
  const sum = block.reduce((all, octet) => all + octet, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** Each leads out of a folder, or is no file. */
function hostileMembers(outside: string): [string, Buffer][] {
  return [
    ['a symbolic link and a file through it', Buffer.concat([odd('docker', '2', { linkName: outside }), member('docker/owned', 'x')])],
    ['a hard link', odd('docker', '1', { linkName: '/etc/passwd' })],
    ['a character device', odd('docker', '3')],
    ['a block device', odd('docker', '4')],
    ['a pipe', odd('docker', '6')],
    ['a sparse file', odd('docker', 'S')],
    ['a name with ..', member('docker/../../owned', 'x')],
    ['an absolute name', member(`${outside}/owned`, 'x')],
    ['a name with a newline and a link', Buffer.concat([odd('a\nb', '2', { linkName: outside })])],
  ];
}

describe('archives in a vault that someone forged who has the passphrase', function () {
  this.timeout(180_000);
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  let outside: string;

  beforeEach(async () => {
    scratch = await scratchVault();
    outside = path.join(scratch.path, 'outside');
    await mkdir(outside);
  });
  afterEach(() => scratch.remove());

  it('the link tree: a restore refuses what is neither file nor folder, and writes nothing outside the volume', async () => {
    for (const [what, evil] of hostileMembers(outside)) {
      const root = path.join(scratch.path, 'volume');
      await rm(root, { recursive: true, force: true });
      await mkdir(root);
      const source = Readable.from([Buffer.concat([evil, END_OF_ARCHIVE])]);
      await assert.rejects(restoreTree({ host: localHost(), root, source }), isError('IntegrityMismatch', /neither a file nor a folder|leads out|lies outside|elsewhere|name/), what);
      assert.deepEqual(await readdir(outside), [], what);
      assert.deepEqual((await readdir(scratch.path)).sort(), ['outside', 'vault', 'volume'], what);
    }
  });

  it('the link tree: a link that already lies in the volume does not lead a restore out of it', async () => {
    const root = path.join(scratch.path, 'volume');
    await mkdir(root);
    await symlink(outside, path.join(root, 'docker'));
    const source = Readable.from([Buffer.concat([makeHeader({ name: 'docker', type: 'directory' }), member('docker/registry', 'x'), END_OF_ARCHIVE])]);
    await restoreTree({ host: localHost(), root, source }).catch(() => undefined);
    assert.deepEqual(await readdir(outside), []);
  });

  it('the link tree: extract refuses it and leaves nothing behind', async () => {
    const fixture = await sealedBackup({ layout: 'sha256', tree: Buffer.concat([odd('docker', '2', { linkName: '/tmp' }), member('docker/owned', 'x'), END_OF_ARCHIVE]) });
    try {
      const { code, stderr } = await drydock(['extract', BACKUP_ID, '--blobs', '-o', path.join(fixture.path, 'out', 'all')], { DRYDOCK_CONFIG: fixture.config });
      assert.notEqual(code, 0);
      assert.match(stderr, /neither a file nor a folder/);
      assert.deepEqual(await readdir(path.join(fixture.path, 'out')), []);
      assert.equal(await stat('/tmp/owned').catch(() => null), null);
    } finally {
      await fixture.remove();
    }
  });

  it('a segment whose members are not those of its index is found by reading and by verification, member by member', async () => {
    const data = Buffer.from('the content of a blob');
    const name = sha256BlobPath(hex(data));
    const segment = '20261123T020000Z-1a2b3c4d5e6f';
    const store = async (tar: Buffer, blob: StoredBlob): Promise<void> => {
      for (const file of [vaultPaths.segment('lab', segment), vaultPaths.segmentIndex('lab', segment)]) await scratch.vault.remove(file);
      const { bytes, sha256 } = await writeArtifact(scratch.vault, vaultPaths.segment('lab', segment), writeKeys, Readable.from([tar]));
      const header = { format: FORMAT_VERSION, segment, writtenBy: 'x', bytes, sha256, recipients: ['passphrase'], blobs: 1, plainBytes: tar.length };
      await scratch.vault.put(vaultPaths.segmentIndex('lab', segment), formatIndex({ header, blobs: [blob] }));
    };
    const blob: StoredBlob = { path: name, size: data.length, sha256: hex(data), offset: TAR_BLOCK };
    const forged: [string, Buffer, StoredBlob][] = [
      ['a symbolic link', Buffer.concat([odd(name.slice(0, 99), '2', { linkName: '/etc/passwd' }), END_OF_ARCHIVE]), blob],
      ['another name', Buffer.concat([member('../../etc/owned', data), END_OF_ARCHIVE]), blob],
      ['other bytes', Buffer.concat([member(name, Buffer.from(data.map((octet) => octet ^ 1))), END_OF_ARCHIVE]), blob],
      ['a size beyond the end', Buffer.concat([member(name, data), END_OF_ARCHIVE]), { ...blob, size: 2 ** 40 }],
      ['an offset beyond the end', Buffer.concat([member(name, data), END_OF_ARCHIVE]), { ...blob, offset: 2 ** 40 }],
      ['an impossible size', Buffer.concat([odd('x', '0', { size: '\u00ff'.repeat(12) }), END_OF_ARCHIVE]), blob],
      ['no digits for a size', Buffer.concat([odd('x', 'x', { size: 'zzzzzzzzzzz' }), END_OF_ARCHIVE]), blob],
      ['an extended header of 1 GiB', Buffer.concat([odd('x', 'x', { size: '10000000000\0' }), Buffer.alloc(1 << 20)]), blob],
    ];
    for (const [what, tar, listed] of forged) {
      await store(tar, listed);
      const wanted = [{ path: listed.path, size: listed.size, sha256: listed.sha256, segment }];
      const read = async (): Promise<void> => {
        for await (const each of readBlobs(scratch.vault, 'lab', wanted, readKeys)) await collect(each.data);
      };
      await assert.rejects(read(), isError('IntegrityMismatch', /./), what);
      const { bad } = await proveWhole(scratch.vault, vaultPaths.segment('lab', segment), [listed], readKeys);
      assert.ok(bad === null || bad.length === 1, what);
    }
    // More than the index lists is of no harm: it is never used.
    await store(Buffer.concat([member(name, data), odd('evil', '2', { linkName: '/etc' }), member('../../owned', 'x'), END_OF_ARCHIVE]), blob);
    for await (const each of readBlobs(scratch.vault, 'lab', [{ path: name, size: data.length, sha256: hex(data), segment }], readKeys)) assert.ok((await collect(each.data)).equals(data));
    assert.deepEqual((await proveWhole(scratch.vault, vaultPaths.segment('lab', segment), [blob], readKeys)).bad, []);
  });

  it('a compressed archive that swells is stopped at the size that was sealed', async () => {
    const name = 'lab/backups/x/metadata.tar.gz.gpg';
    const record = await writeArtifact(scratch.vault, name, writeKeys, Readable.from(zeros(256)), { gzip: true });
    assert.ok(record.bytes < 1 << 20, 'a small file');
    let seen = 0;
    const reading = async (): Promise<void> => {
      for await (const chunk of (await readArtifact(scratch.vault, { ...record, plainBytes: 1 << 20 }, readKeys, { gunzip: true })) as AsyncIterable<Buffer>) seen += chunk.length;
    };
    await assert.rejects(reading(), isError('IntegrityMismatch', /not what was backed up/));
    assert.ok(seen <= 2 << 20, `${seen} bytes came through`);
  });

  it('an archive of many small or endless extended headers does not fill the memory', async () => {
    const pax = (text: string): Buffer => Buffer.concat([odd('x', 'x', { size: `${text.length.toString(8).padStart(11, '0')}\0` }), Buffer.from(text), Buffer.alloc(paddingOf(text.length))]);
    const endless = function* (): Generator<Buffer> {
      for (let at = 0; at < 100_000; at += 1) {
        const value = `k${at}=${'v'.repeat(900)}\n`;
        yield pax(`${value.length + 4} ${value}`);
      }
    };
    const drain = async (source: AsyncIterable<Buffer>): Promise<void> => {
      for await (const entry of readTar(source)) assert.fail(entry.name);
    };
    await assert.rejects(drain(Readable.from(endless())), isError('IntegrityMismatch', /extended header is too long/));
  });

  it('metadata with links, devices or names outside its folder is refused', async () => {
    const root = makeHeader({ name: 'dtr-backup-v2.9.4-online', type: 'directory' });
    for (const [what, evil] of hostileMembers(outside)) {
      const reader = new MetadataReader(() => undefined, {});
      const reading = async (): Promise<void> => {
        for await (const chunk of Readable.from([Buffer.concat([root, evil, END_OF_ARCHIVE])]).pipe(reader)) assert.ok(chunk);
      };
      await assert.rejects(reading(), isError('IntegrityMismatch', /the metadata archive is damaged/), what);
    }
  });
});

function* zeros(mib: number): Generator<Buffer> {
  for (let at = 0; at < mib; at += 1) yield Buffer.alloc(1 << 20);
}

describe('a vault with 300,000 tombstones', function () {
  this.timeout(180_000);
  const COUNT = 300_000;
  let scratch: Awaited<ReturnType<typeof scratchVault>>;

  before(async () => {
    scratch = await scratchVault();
    const folder = path.join(scratch.directory, 'lab/tombstones');
    await mkdir(folder, { recursive: true });
    const made = spawnSync('sh', ['-c', `seq 1 ${COUNT} | sed 's/.*/20261123T020000Z-1a2b3c4d5e6f&.20261124T020000Z.json/' | xargs touch`], { cwd: folder });
    assert.equal(made.status, 0, made.stderr.toString());
  });
  after(() => scratch?.remove());

  it('is looked at in less than 256 MiB, and 10,000 of those that stand for nothing are taken up at once', async () => {
    const script = path.join(scratch.path, 'look.ts');
    await writeFile(script, `
      import { openDirectoryVault } from ${JSON.stringify(path.resolve('adapters/vault/directory'))};
      import { markedSegments } from ${JSON.stringify(path.resolve('adapters/vault/marks'))};
      import { readPicture } from ${JSON.stringify(path.resolve('adapters/vault/picture'))};
      async function main() {
        const idle = process.memoryUsage.rss();
        const vault = openDirectoryVault(${JSON.stringify(scratch.directory)});
        const { marks, faults } = await readPicture(vault, 'lab');
        const marked = await markedSegments(vault, 'lab');
        console.log(JSON.stringify({ marks: marks.length, faults, marked: marked.size, mib: Math.round(process.resourceUsage().maxRSS / 1024 - idle / 1048576) }));
      }
      void main();`);
    const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', script], { encoding: 'utf8' });
    assert.ok(stdout !== '', stderr);
    const found = JSON.parse(stdout) as { marks: number; faults: string[]; marked: number; mib: number };
    assert.deepEqual([found.marks, found.marked], [10_000, 0], 'no segment is there that could be marked');
    assert.deepEqual(found.faults, [`lab/tombstones/ has ${COUNT} tombstones of what is not there, more than can be right; one run clears 10000 away. Find out who writes into the vault.`]);
    assert.ok(found.mib < 256, `${found.mib} MiB`);
  });
});
