import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, chown, link, lstat, mkdir, readdir, readFile, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { readTar } from '../../adapters/archive/tar-entries';
import { localHost } from '../../adapters/host/local';
import { copyBlobs } from '../../adapters/images/copy';
import { hashFiles } from '../../adapters/images/hash';
import { listBlobs } from '../../adapters/images/listing';
import { restoreBlobs, type RestoreResult } from '../../adapters/images/restore';
import { streamBlobs } from '../../adapters/images/stream';
import { restoreTree, streamTree } from '../../adapters/images/tree';
import { readIndexes } from '../../adapters/vault/segment-index';
import type { WantedBlob } from '../../adapters/vault/segment-reader';
import type { SegmentWriterOptions } from '../../adapters/vault/segment-writer';
import { digestBlobPath, isUpload, sha256BlobPath, type BlobLayout } from '../../domain/layout';
import { vaultPaths } from '../../domain/vault-format';
import { makeRegistryTree, randomLike, writeRegistryTree, type RegistryTree } from '../helpers/registry-tree';
import { collect, isError, readKeys, scratchVault, writeKeys } from '../helpers/vault';

const host = localHost('here');
const MIB = 1 << 20;

describe('images of a registry volume', function () {
  this.timeout(60_000);
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  let root: string;
  let target: string;
  beforeEach(async () => {
    scratch = await scratchVault();
    root = join(scratch.path, 'a volume', '_data');
    target = join(scratch.path, 'target', '_data');
    await mkdir(root, { recursive: true });
    await mkdir(target, { recursive: true });
  });
  afterEach(() => scratch.remove());

  async function populate(layout: BlobLayout = 'sha256', layerBytes?: number): Promise<RegistryTree> {
    const tree = makeRegistryTree({ layout, seed: 7, layerBytes });
    await writeRegistryTree(root, tree);
    return tree;
  }

  const newWriter = (segmentBytes = 64 * MIB): Omit<SegmentWriterOptions, 'onBlob'> => ({ vault: scratch.vault, cluster: 'lab', keys: writeKeys, writtenBy: 'test', segmentBytes });

  async function stored(): Promise<WantedBlob[]> {
    const blobs: WantedBlob[] = [];
    for await (const { header, blobs: listed } of readIndexes(scratch.vault, 'lab')) for (const blob of listed) if (!blob.void) blobs.push({ ...blob, segment: header.segment });
    return blobs;
  }

  async function backUp(tree: RegistryTree, segmentBytes?: number): Promise<WantedBlob[]> {
    const writer = newWriter(segmentBytes);
    await copyBlobs({ host, root, wanted: tree.blobs, writer });
    return stored();
  }

  const restore = (wanted: WantedBlob[], more: Partial<Parameters<typeof restoreBlobs>[0]> = {}): Promise<RestoreResult> =>
    restoreBlobs({ host, root: target, operation: 'op-1', vault: scratch.vault, cluster: 'lab', keys: readKeys, wanted, ...more });

  async function assertHolds(directory: string, tree: RegistryTree): Promise<void> {
    for (const [path, data] of tree.content) assert.ok((await readFile(join(directory, path))).equals(data), path);
  }

  for (const layout of ['sha256', 'id'] as const) {
    it(`in the layout blobs/${layout} are listed, copied and brought back byte for byte`, async () => {
      const tree = await populate(layout);
      const listed = [];
      for await (const blob of listBlobs(host, root)) listed.push(blob);
      const byPath = (a: { path: string }, b: { path: string }): number => (a.path < b.path ? -1 : 1);
      assert.deepEqual(listed.map(({ path, size }) => ({ path, size })).sort(byPath), tree.blobs.map(({ path, size }) => ({ path, size })).sort(byPath));
      for (const { mtimeMs } of listed) assert.ok(Math.abs(Date.now() - mtimeMs) < 60_000);

      const writer = newWriter();
      const seen: number[] = [];
      const { segments, ...result } = await copyBlobs({ host, root, wanted: listed, writer, streams: 2, onProgress: ({ bytes }) => seen.push(bytes) });
      assert.equal(segments.reduce((sum, { blobs }) => sum + blobs, 0), tree.blobs.length);
      const bytes = tree.blobs.reduce((sum, blob) => sum + blob.size, 0);
      assert.deepEqual(result, { stored: { blobs: tree.blobs.length, bytes }, void: [], vanished: [] });
      assert.equal(seen.at(-1), bytes);
      assert.deepEqual(seen, [...seen].sort((a, b) => a - b));

      const wanted = await stored();
      assert.deepEqual(wanted.map(({ path, size, sha256 }) => ({ path, size, sha256 })).sort(byPath), [...tree.blobs].sort(byPath));
      assert.deepEqual(await restore(wanted), { kept: { blobs: 0, bytes: 0 }, written: { blobs: tree.blobs.length, bytes } });
      await assertHolds(target, tree);
      assert.deepEqual(await readdir(target), ['docker'], 'nothing is left aside');
    });
  }

  it('are none in a fresh volume, and a missing volume is named', async () => {
    for await (const blob of listBlobs(host, root)) assert.fail(blob.path);
    await assert.rejects(listBlobs(host, join(root, 'absent')).next(), isError('NotFound', /absent does not exist/));
    await assert.rejects(listBlobs(host, 'relative/path').next(), isError('InvalidInput', /cannot be the root/));
    await assert.rejects(listBlobs(host, '/a/../etc').next(), isError('InvalidInput', /cannot be the root/));
    await assert.rejects(listBlobs(host, '/').next(), isError('InvalidInput', /cannot be the root/));
  });

  it('that vanish between listing and reading are reported and hold nothing up', async () => {
    const tree = await populate();
    const gone = tree.blobs[2]!.path;
    await rm(join(root, gone));
    const writer = newWriter();
    const result = await copyBlobs({ host, root, wanted: tree.blobs, writer });
    assert.deepEqual([result.vanished, result.void, result.stored.blobs], [[gone], [], tree.blobs.length - 1]);
  });

  it('that do not equal their name are void, and a later pass stores them', async () => {
    const tree = await populate();
    const torn = tree.blobs.find((blob) => blob.size < 5000)!;
    await truncate(join(root, torn.path), torn.size - 10);
    const writer = newWriter();
    const first = await copyBlobs({ host, root, wanted: tree.blobs, writer });
    assert.deepEqual(first.void, [torn.path]);
    await writeFile(join(root, torn.path), tree.content.get(torn.path)!);
    const second = await copyBlobs({ host, root, wanted: [torn], writer });
    assert.deepEqual([second.void, second.stored.blobs], [[], 1]);
    assert.equal((await stored()).length, tree.blobs.length);
  });

  it('in blobs/id that do not equal their row are void', async () => {
    const tree = await populate('id');
    const writer = newWriter();
    const result = await copyBlobs({ host, root, wanted: [{ ...tree.blobs[0]!, sha256: 'f'.repeat(64) }, tree.blobs[1]!], writer });
    assert.deepEqual([result.void, result.stored.blobs], [[tree.blobs[0]!.path], 1]);
  });

  it('that are named by another algorithm are listed, copied and brought back like others, and are no part of the tree', async () => {
    const data = randomLike(3, 5_000);
    const paths = [digestBlobPath(`sha512:${createHash('sha512').update(data).digest('hex')}`), 'docker/registry/v2/blobs/odd/xy/a name/data'];
    const beside = 'docker/registry/v2/blobs/sha512/deeper/than/that/data';
    for (const path of [...paths, beside]) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), data);
    }
    const listed: string[] = [];
    for await (const { path } of listBlobs(host, root)) listed.push(path);
    assert.deepEqual(listed.sort(), [...paths].sort());
    const inTree: string[] = [];
    for await (const entry of readTar(streamTree(host, root))) if (entry.type === 'file') inTree.push(entry.name);
    assert.deepEqual(inTree, [beside], 'what is listed as no blob stays in the tree');
    await copyBlobs({ host, root, wanted: paths.map((path) => ({ path, size: data.length })), writer: newWriter() });
    assert.deepEqual((await restore(await stored())).written, { blobs: 2, bytes: 10_000 });
    for (const path of paths) assert.ok((await readFile(join(target, path))).equals(data));
    assert.deepEqual((await restore(await stored())).kept, { blobs: 2, bytes: 10_000 }, 'found again where they lie');
  });

  it('that share an inode are both copied', async () => {
    const tree = await populate('id');
    const [one, two] = [tree.blobs[0]!, tree.blobs[1]!];
    await rm(join(root, two.path));
    await link(join(root, one.path), join(root, two.path));
    const found: string[] = [];
    for await (const blob of streamBlobs(host, root, [one.path, two.path])) {
      assert.ok((await collect(blob.data)).equals(tree.content.get(one.path)!));
      found.push(blob.path);
    }
    assert.deepEqual(found, [one.path, two.path]);
  });

  it('stop with what tar says when it fails for another reason than vanished files', async () => {
    await populate();
    await assert.rejects(async () => {
      for await (const _ of streamBlobs(host, join(root, 'docker'), [sha256BlobPath('a'.repeat(64))]));
    }, /No such file or directory/);
  });

  describe('of which tar has much to say', () => {
    const vanished = Array.from({ length: 3000 }, (_, n) => `tar: sha256/ab/${String(n).padStart(64, '0')}/data: File removed before we read it`);

    it('end with the one real error, however much came after it', async () => {
      const tree = await populate();
      const lines = ['tar: sha256: Cannot open: Permission denied', ...vanished];
      await withTarThatSays(lines, async () => {
        await assert.rejects(copyBlobs({ host, root, wanted: tree.blobs, writer: newWriter() }), isError('NotPermitted', /Permission denied/));
        await assert.rejects(collect(streamTree(host, root)), isError('NotPermitted', /Permission denied/));
      });
    });

    it('are void where the first of many lines says that they changed', async () => {
      const tree = await populate();
      const torn = tree.blobs[0]!.path;
      await withTarThatSays([`tar: ${torn.slice('docker/registry/v2/blobs/'.length)}: file changed as we read it`, ...vanished], async () => {
        const found: string[] = [];
        for await (const { data } of streamBlobs(host, root, tree.blobs.map(({ path }) => path), { onTorn: (path) => found.push(path) })) await collect(data);
        assert.deepEqual(found, [torn]);
      });
    });
  });

  /** For a while, tar does its work and says these lines besides. */
  async function withTarThatSays(lines: string[], work: () => Promise<unknown>): Promise<void> {
    const bin = join(scratch.path, 'bin');
    await mkdir(bin);
    await writeFile(join(scratch.path, 'said'), lines.map((line) => `${line}\n`).join(''));
    await writeFile(join(bin, 'tar'), `#!/bin/sh\ncat '${join(scratch.path, 'said')}' >&2\n/usr/bin/env -i PATH='${process.env.PATH}' tar "$@"\nexit 2\n`, { mode: 0o755 });
    const before = process.env.PATH;
    process.env.PATH = `${bin}:${before}`;
    try {
      await work();
    } finally {
      process.env.PATH = before;
    }
  }

  it('end the remote command when the reader is cancelled', async () => {
    const path = sha256BlobPath('a'.repeat(64));
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), '');
    await truncate(join(root, path), 4 * 1024 * MIB);
    const cancel = new AbortController();
    const writer = newWriter();
    const marker = `${root}/docker/registry/v2/blobs`;
    const running = (): boolean => execFileSync('ps', ['-eo', 'args']).toString().split('\n').some((line) => line.startsWith('tar ') && line.includes(marker));
    let wasRunning = false;
    const copying = copyBlobs({ host, root, wanted: [{ path, size: 0 }], writer, signal: cancel.signal, onProgress: () => {
      wasRunning ||= running();
      cancel.abort();
    } });
    await assert.rejects(copying, { name: 'AbortError' });
    assert.deepEqual([wasRunning, running()], [true, false]);
    assert.deepEqual(await stored(), []);
  });

  describe('a restore over what is there', () => {
    it('writes only what is missing or wrong, and leaves strangers alone', async () => {
      const tree = await populate('sha256', 200_000);
      const wanted = await backUp(tree, MIB);
      await restore(wanted);
      const [missing, rotten, short] = wanted.filter((blob) => blob.size > 100_000);
      await rm(join(target, missing!.path));
      const data = await readFile(join(target, rotten!.path));
      data[5]! ^= 1;
      await writeFile(join(target, rotten!.path), data);
      await truncate(join(target, short!.path), 10);
      const stranger = sha256BlobPath('e'.repeat(64));
      await mkdir(dirname(join(target, stranger)), { recursive: true });
      await writeFile(join(target, stranger), 'pushed later');
      const kept = await stat(join(target, wanted.find((blob) => ![missing, rotten, short].includes(blob))!.path));
      const result = await restore(wanted);
      assert.deepEqual([result.written.blobs, result.kept.blobs], [3, wanted.length - 3]);
      assert.equal((await stat(join(target, wanted.find((blob) => ![missing, rotten, short].includes(blob))!.path))).ino, kept.ino);
      await assertHolds(target, tree);
      assert.equal(await readFile(join(target, stranger), 'utf8'), 'pushed later');
      assert.deepEqual((await restore(wanted)).written, { blobs: 0, bytes: 0 });
    });

    it('never changes a file that is open elsewhere in place', async () => {
      const tree = await populate();
      const wanted = await backUp(tree);
      await writeRegistryTree(target, { ...tree, content: new Map([[wanted[0]!.path, Buffer.from('rotten')]]) });
      await link(join(target, wanted[0]!.path), join(scratch.path, 'elsewhere'));
      await restore(wanted);
      assert.equal(await readFile(join(scratch.path, 'elsewhere'), 'utf8'), 'rotten');
      await assertHolds(target, tree);
    });

    it('gives files and folders the owner and mode that it is told', async () => {
      const tree = await populate();
      const wanted = await backUp(tree);
      await restore(wanted, { owner: { uid: 65534, gid: 1234 }, fileMode: 0o640, directoryMode: 0o750 });
      const file = await stat(join(target, wanted[0]!.path));
      const folder = await stat(dirname(join(target, wanted[0]!.path)));
      assert.deepEqual([file.uid, file.gid, file.mode & 0o777, file.nlink], [65534, 1234, 0o640, 1]);
      assert.deepEqual([folder.uid, folder.gid, folder.mode & 0o777], [65534, 1234, 0o750]);
    });

    it('refuses a damaged segment, writes nothing of it, and clears up', async () => {
      const tree = await populate();
      const wanted = await backUp(tree);
      const file = join(scratch.directory, vaultPaths.segment('lab', wanted[0]!.segment));
      const data = await readFile(file);
      data[data.length - 3000]! ^= 1;
      await writeFile(file, data);
      await assert.rejects(restore(wanted), isError('IntegrityMismatch', /SHA-256 is not the one recorded/));
      assert.deepEqual(await readdir(target), []);
    });

    it('clears away what an earlier run that died left aside, and can be run again', async () => {
      const tree = await populate();
      const wanted = await backUp(tree);
      await mkdir(join(target, '.drydock-restore-op-0', 'docker'), { recursive: true });
      await writeFile(join(target, '.drydock-restore-op-0', 'docker', 'x'), 'x');
      await restore(wanted);
      assert.deepEqual(await readdir(target), ['docker']);
    });

    it('names the disk when it is full', async function () {
      const tree = await populate('sha256', 3 * MIB);
      const wanted = await backUp(tree);
      const disk = join(scratch.path, 'disk');
      await mkdir(disk);
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk], { stdio: 'ignore' });
      } catch {
        // Mounting needs root with its full rights.
        this.skip();
      }
      try {
        await assert.rejects(restore(wanted, { root: disk }), isError('NoSpace', /No space left on device/));
        assert.deepEqual((await readdir(disk)).filter((name) => name.startsWith('.')), []);
      } finally {
        execFileSync('umount', [disk]);
      }
    });

    it('refuses an operation name that would lead elsewhere', async () => {
      await assert.rejects(restore([], { operation: '../x' }), isError('InvalidInput', /cannot name a folder/));
    });
  });

  it('are hashed where they lie; missing files are left out and odd names are understood', async () => {
    await writeFile(join(root, 'a'), 'a');
    await writeFile(join(root, 'b\\n'), 'b');
    const found = [];
    for await (const entry of hashFiles(host, root, ['a', 'absent', 'b\\n'])) found.push(entry);
    const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
    assert.deepEqual(found.sort((a, b) => (a.path < b.path ? -1 : 1)), [{ path: 'a', sha256: hash('a') }, { path: 'b\\n', sha256: hash('b') }]);
  });

  describe('the tree around them', () => {
    it('holds everything but blobs and uploads, reports each link, and comes back with owners and modes', async () => {
      const tree = await populate();
      const extra = join(root, 'docker/registry/v2/repositories/org0/app0/_manifests');
      await chmod(extra, 0o711);
      await chown(extra, 65534, 1234);
      await mkdir(join(root, '.drydock-restore-x'));
      const links = new Map<string, string>();
      await restoreTree({ host, root: target, source: streamTree(host, root, { onLink: (path, content) => links.set(path, content) }) });
      const expected = [...tree.others].filter(([path]) => !isUpload(path));
      assert.ok(expected.length > 20);
      assert.deepEqual([...links].sort(), expected.map(([path, data]): [string, string] => [path, data.toString()]).sort());
      for (const [path, data] of expected) assert.ok((await readFile(join(target, path))).equals(data));
      const found = await stat(join(target, 'docker/registry/v2/repositories/org0/app0/_manifests'));
      assert.deepEqual([found.mode & 0o777, found.uid, found.gid], [0o711, 65534, 1234]);
      const all = execFileSync('find', [target]).toString();
      assert.doesNotMatch(all, /_uploads|\.drydock|\/data$/m);
      assert.match(all, /v2\/blobs\/sha256$/m, 'the folder that blobs go into is there');
    });

    it('comes in large pieces, however small its files are: each piece costs a compressor the same', async () => {
      await populate();
      const folder = join(root, 'docker/registry/v2/repositories/org0/app0/_layers');
      await mkdir(folder, { recursive: true });
      for (let n = 0; n < 500; n += 1) await writeFile(join(folder, `link-${n}`), 'sha256:...');
      const sizes: number[] = [];
      await new Promise((resolve, reject) => streamTree(host, root).on('data', (piece: Buffer) => sizes.push(piece.length)).on('end', resolve).on('error', reject));
      assert.ok(sizes.length < 60, `${sizes.length} pieces`);
    });

    it('leaves out links and pipes and says so', async () => {
      await populate();
      await symlink('/etc/passwd', join(root, 'docker', 'odd'));
      execFileSync('mkfifo', [join(root, 'docker', 'pipe')]);
      const skipped: string[] = [];
      await restoreTree({ host, root: target, source: streamTree(host, root, { onSkipped: (path) => skipped.push(path) }) });
      assert.deepEqual(skipped.sort(), ['./docker/odd', './docker/pipe']);
      await assert.rejects(lstat(join(target, 'docker/odd')), { code: 'ENOENT' });
    });

    it('is refused when the archive would lead out of the volume', async () => {
      await writeFile(join(scratch.path, 'x'), 'x');
      await symlink('/', join(root, 'link'));
      const archives = [
        execFileSync('tar', ['-C', root, '-P', '-cf', '-', '--transform=s,^x$,../../x,', '-C', scratch.path, 'x']),
        execFileSync('tar', ['-C', root, '-cf', '-', 'link']),
        execFileSync('tar', ['-P', '-cf', '-', join(scratch.path, 'x')]),
      ];
      for (const archive of archives) await assert.rejects(restoreTree({ host, root: target, source: Readable.from([archive]) }), isError('IntegrityMismatch', /neither a file nor a folder/));
      assert.deepEqual(await readdir(target), []);
    });

    it('ends with an error where a file cannot be read, for tar puts zeros in its place', async () => {
      await populate();
      await withTarThatSays(['tar: ./docker/registry/v2/repositories/org0/app0/_manifests/tags/v1/current/link: Read error at byte 0, while reading 71 bytes: Input/output error'], () =>
        assert.rejects(collect(streamTree(host, root)), isError('CommandFailed', /_data\/docker\/registry\/v2\/repositories\/org0\/app0\/_manifests\/tags\/v1\/current\/link \(input\/output error\)/)));
    });

    it('ends with an error when the volume is not there', async () => {
      await assert.rejects(collect(streamTree(host, join(root, 'absent'))), isError('NotFound', /absent does not exist/));
    });
  });

  it('survive a whole story: a large blob replaced while it is read, two passes, a lost volume', async () => {
    const tree = await populate('sha256', 6 * MIB);
    const victim = tree.blobs.find((blob) => blob.size > 5 * MIB)!;
    await writeFile(join(root, `${victim.path}.new`), randomLike(99, victim.size));
    await rename(join(root, `${victim.path}.new`), join(root, victim.path));
    const writer = newWriter(16 * MIB);
    const first = await copyBlobs({ host, root, wanted: tree.blobs, writer });
    assert.deepEqual(first.void, [victim.path]);
    await writeFile(join(root, victim.path), tree.content.get(victim.path)!);
    assert.deepEqual((await copyBlobs({ host, root, wanted: [victim], writer })).void, []);
    await rm(root, { recursive: true });
    await restore(await stored());
    await assertHolds(target, tree);
  });
});
