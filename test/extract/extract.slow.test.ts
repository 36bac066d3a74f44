import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { END_OF_ARCHIVE, makeHeader } from '../../adapters/archive/tar-header';
import { vaultPaths } from '../../domain/vault-format';
import { BACKUP_ID, sealedBackup, type FixtureOptions, type SealedFixture } from '../helpers/sealed-images';
import { drydock, type Finished } from '../client/fixtures/drydock';

interface Extracted {
  directory: string;
  repository: string;
  tags: { name: string; digest: string; mediaType: string; bytes: number; platforms: string[] }[];
  leftOut: { name: string; why: string }[];
  blobs: number;
  bytes: number;
}

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

for (const [layout, segmentBytes] of [['sha256', 64 << 20], ['id', 1 << 16]] as const) {
  describe(`drydock extract, blobs by ${layout}`, function () {
    this.timeout(180_000);
    let fixture: SealedFixture;
    before(async () => {
      fixture = await sealedBackup({ layout, segmentBytes });
    });
    after(() => fixture?.remove());

    const out = (name: string): string => path.join(fixture.path, 'out', name);
    const run = (...args: string[]): Promise<Finished> => drydock(['extract', BACKUP_ID, ...args], { DRYDOCK_CONFIG: fixture.config });
    const digestOf = (repository: string, name: string): string => fixture.tags.find((tag) => tag.repository === repository && tag.name === name)!.digest;

    it('writes an OCI image layout of a repository, from which skopeo copies every tag with its digest', async () => {
      const { code, stdout, stderr } = await run('--repo', 'acme/web', '-o', out('web'), '--json');
      assert.equal(code, 0, stderr);
      const said = JSON.parse(stdout) as Extracted;
      assert.deepEqual(said.tags.map(({ name, platforms }) => [name, platforms]).sort(), [['latest', ['linux/amd64']], ['multi', ['linux/amd64', 'linux/arm64/v8']], ['v1', ['linux/amd64']]]);
      assert.deepEqual((await readdir(out('web'))).sort(), ['blobs', 'index.json', 'oci-layout']);
      for (const name of await readdir(path.join(out('web'), 'blobs', 'sha256'))) assert.equal(sha256(await readFile(path.join(out('web'), 'blobs', 'sha256', name))), name);
      for (const tag of ['v1', 'latest']) {
        const copied = spawnSync('skopeo', ['copy', '-q', `oci:${out('web')}:${tag}`, `dir:${out(`copied-${tag}`)}`]);
        assert.equal(copied.status, 0, copied.stderr.toString());
        const manifest = await readFile(path.join(out(`copied-${tag}`), 'manifest.json'));
        assert.equal(`sha256:${sha256(manifest)}`, digestOf('acme/web', tag), 'the manifest keeps its bytes');
      }
      const all = spawnSync('skopeo', ['copy', '-q', '--all', `oci:${out('web')}:multi`, `dir:${out('copied-multi')}`]);
      assert.equal(all.status, 0, all.stderr.toString());
      const children = (await readdir(out('copied-multi'))).filter((name) => name.endsWith('.manifest.json')).map((name) => name.slice(0, 64)).sort();
      const index = JSON.parse(fixture.content.get(digestOf('acme/web', 'multi').slice(-64))!.toString()) as { manifests: { digest: string }[] };
      assert.deepEqual(children, index.manifests.map(({ digest }) => digest.slice(-64)).sort(), 'both platforms come with their digests');
    });

    it('takes nothing by an index that was forged since the backup was sealed', async () => {
      const file = path.join(fixture.directory, vaultPaths.segmentIndex('lab', fixture.manifest.segments[0]!.segment));
      const sealed = await readFile(file, 'utf8');
      await writeFile(file, sealed.replace('"writtenBy":"', '"writtenBy":"x'));
      for (const args of [['--repo', 'acme/web'], ['--blobs']]) {
        const { code, stderr } = await run(...args, '-o', out('forged'));
        assert.match(stderr, /index .* is not the one that the backup was sealed with/);
        assert.equal(code, 1);
      }
      assert.ok(!(await readdir(path.join(fixture.path, 'out'))).includes('forged'));
      await writeFile(file, sealed);
    });

    it('keeps media types as they are, in content and in the first entry of each tag', async () => {
      const { manifests } = JSON.parse(await readFile(path.join(out('web'), 'index.json'), 'utf8')) as { manifests: { mediaType: string; digest: string; annotations: Record<string, string> }[] };
      const first = manifests.find(({ annotations }) => annotations['org.opencontainers.image.ref.name'] === 'v1')!;
      assert.equal(first.mediaType, 'application/vnd.docker.distribution.manifest.v2+json');
      assert.equal(first.digest, digestOf('acme/web', 'v1'));
    });

    it('writes one tag alone when one is named, OCI media types included', async () => {
      const { code, stdout } = await run('--repo', 'infra/base:1.0', '-o', out('base'), '--json');
      assert.equal(code, 0);
      assert.deepEqual((JSON.parse(stdout) as Extracted).tags.map(({ name, mediaType }) => [name, mediaType]), [['1.0', 'application/vnd.oci.image.manifest.v1+json']]);
      const copied = spawnSync('skopeo', ['copy', '-q', `oci:${out('base')}:1.0`, `dir:${out('copied-base')}`]);
      assert.equal(copied.status, 0, copied.stderr.toString());
    });

    it('leaves out a tag that is not whole, names it, and ends with 3', async () => {
      const { code, stdout, stderr } = await run('--repo', 'infra/base', '-o', out('partly'), '--json');
      assert.equal(code, 3, stderr);
      const said = JSON.parse(stdout) as Extracted;
      assert.deepEqual(said.tags.map(({ name }) => name), ['1.0']);
      assert.match(said.leftOut[0]!.why, /sha256:[0-9a-f]{64} is not in this backup/);
      const alone = await run('--repo', 'infra/base:broken', '-o', out('broken'));
      assert.equal(alone.code, 10);
      assert.match(alone.stderr, /is not in this backup/);
      assert.equal(await stat(out('broken')).catch(() => null), null);
    });

    it('takes an image whose foreign layer lies elsewhere, and says so', async () => {
      const { code, stderr } = await run('--repo', 'infra/windows', '-o', out('windows'));
      assert.equal(code, 0, stderr);
      assert.match(stderr, /fetched from elsewhere.*ltsc/);
    });

    it('writes the metadata, and with --blobs the volume as it lies in the registry', async () => {
      const { code, stderr } = await run('--blobs', '-o', out('all'));
      assert.equal(code, 0, stderr);
      assert.equal(sha256(await readFile(path.join(out('all'), 'metadata.tar'))), fixture.manifest.artifacts.metadata.plainSha256);
      for (const { path: name, sha256: digest } of fixture.blobs) assert.equal(sha256(await readFile(path.join(out('all'), 'volume', name))), digest);
      assert.match(await readFile(path.join(out('all'), 'volume/docker/registry/v2/repositories/acme/web/_layers/link'), 'utf8'), /^sha256:/);
      assert.equal((await stat(path.join(out('all'), 'metadata.tar'))).mode & 0o777, 0o600);
    });

    it('refuses a directory that exists, an unknown repository and a wrong vault, each in a sentence', async () => {
      await mkdir(out('there'));
      await writeFile(path.join(out('there'), 'mine'), 'mine');
      const there = await run('-o', out('there'));
      assert.equal(there.code, 2);
      assert.match(there.stderr, /exists already/);
      assert.equal(await readFile(path.join(out('there'), 'mine'), 'utf8'), 'mine');
      const unknown = await run('--repo', 'acme/wbe', '-o', out('unknown'));
      assert.equal(unknown.code, 10);
      assert.match(unknown.stderr, /did you mean "acme\/web"/);
      assert.equal((await run('--vault', 'copy', '-o', out('copy'))).code, 10);
      assert.equal((await run('--vault', 'nowhere', '-o', out('copy'))).code, 2);
      assert.deepEqual((await readdir(path.join(fixture.path, 'out'))).filter((name) => name.startsWith('.')), [], 'nothing is left aside');
    });
  });
}

describe('drydock extract from a hostile vault', function () {
  this.timeout(180_000);

  async function refused(options: Partial<FixtureOptions>, ...args: string[]): Promise<string> {
    const fixture = await sealedBackup({ layout: 'id', ...options });
    try {
      const before = await everything(fixture.path);
      const { code, stderr } = await drydock(['extract', BACKUP_ID, '-o', path.join(fixture.path, 'out/deep'), ...args], { DRYDOCK_CONFIG: fixture.config });
      assert.equal(code, 1, stderr);
      assert.deepEqual(await everything(fixture.path), before, 'something was written');
      return stderr;
    } finally {
      await fixture.remove();
    }
  }

  async function everything(folder: string): Promise<string[]> {
    return (await readdir(folder, { recursive: true })).sort();
  }

  it('writes nothing where a path of a blob leads out of the volume', async () => {
    const forge: FixtureOptions['forge'] = ({ blobs }) => {
      blobs[0]!.path = 'docker/registry/v2/blobs/id/../../data';
    };
    assert.match(await refused({ forge }, '--blobs'), /unknown form/);
  });

  it('writes nothing where the tree holds a name that leads elsewhere, or anything but files and folders', async () => {
    const climbing = Buffer.concat([makeHeader({ name: '../../escaped', type: 'file', size: 0 }), END_OF_ARCHIVE]);
    assert.match(await refused({ tree: climbing }, '--blobs'), /leads elsewhere/);
    const absolute = Buffer.concat([makeHeader({ name: '/tmp/escaped', type: 'file', size: 0 }), END_OF_ARCHIVE]);
    assert.match(await refused({ tree: absolute }, '--blobs'), /leads elsewhere/);
    // A symbolic link: the type stands at offset 156, and the checksum at 148 counts it.
    const link = makeHeader({ name: 'docker', type: 'file', size: 0 });
    link[156] = '2'.charCodeAt(0);
    link.fill(' ', 148, 156);
    link.write(`${link.reduce((sum, octet) => sum + octet, 0).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    assert.match(await refused({ tree: Buffer.concat([link, END_OF_ARCHIVE]) }, '--blobs'), /neither a file nor a folder/);
  });

  it('gives nothing out where a segment holds other bytes than its blob should have', async () => {
    const forge: FixtureOptions['forge'] = ({ blobs }) => {
      const [one, two] = blobs;
      [one!.sha256, two!.sha256] = [two!.sha256, one!.sha256];
    };
    assert.match(await refused({ forge }, '--repo', 'acme/web'), /does not hold|not in this backup/);
  });
});
