import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { drydock, start, type Finished } from '../client/fixtures/drydock';
import { BACKUP_ID, sealedBackup, type SealedFixture } from '../helpers/sealed-images';

interface Listed {
  backupId: string;
  repositories: { repository: string; bytes: number; exclusiveBytes: number; sharedBytes: number; tags: { name: string; digest: string; state: string; bytes: number; platforms: string[] | null }[] }[];
}

describe('drydock ls', function () {
  this.timeout(60_000);
  let fixture: SealedFixture;
  before(async () => {
    fixture = await sealedBackup({ layout: 'id', segmentBytes: 1 << 16 });
  });
  after(() => fixture?.remove());

  const run = (...args: string[]): Promise<Finished> => drydock(['ls', BACKUP_ID, ...args], { DRYDOCK_CONFIG: fixture.config });

  it('prints one object with every repository and tag, sizes told apart into exclusive and shared', async () => {
    const { code, stdout, stderr } = await run('--json');
    assert.equal(code, 0, stderr);
    const { backupId, repositories } = JSON.parse(stdout) as Listed;
    assert.equal(backupId, BACKUP_ID);
    assert.deepEqual(repositories.map(({ repository, tags }) => [repository, tags.map(({ name }) => name)]), [['acme/web', ['latest', 'multi', 'v1']], ['infra/base', ['1.0', 'broken']], ['infra/windows', ['ltsc']]]);
    const [web, base, windows] = repositories;
    // The layer `base` is all that two repositories have in common.
    const shared = base!.sharedBytes;
    assert.equal(web!.sharedBytes, shared);
    assert.ok([...fixture.content.values()].some(({ length }) => length === shared), 'just one blob is shared');
    for (const each of repositories) assert.equal(each.bytes, each.exclusiveBytes + each.sharedBytes);
    assert.equal(windows!.sharedBytes, 0);
    const total = repositories.reduce((sum, { exclusiveBytes }) => sum + exclusiveBytes, 0) + shared;
    assert.equal(total, [...fixture.content.values()].reduce((sum, { length }) => sum + length, 0), 'every blob is counted once');
    const [latest, multi] = web!.tags;
    assert.deepEqual([latest!.platforms, multi!.platforms], [['linux/amd64'], ['linux/amd64', 'linux/arm64/v8']]);
    assert.equal(base!.tags[1]!.state, 'gap');
  });

  it('puts each repository on a line of its own, so that the object can be read as it comes', async () => {
    const lines = (await run('--json')).stdout.trim().split('\n');
    assert.equal(lines.length, 5);
    for (const line of lines.slice(1, -1)) assert.ok('repository' in (JSON.parse(line.replace(/,$/, '')) as object));
  });

  it('shows one repository or one tag for people, and names what comes close to a mistyped one', async () => {
    const { code, stdout } = await run('--repo', 'acme/web:multi');
    assert.equal(code, 0);
    assert.match(stdout, /^acme\/web: 1 tag, .* only here, .* shared\), public\n {2}multi {2}sha256:[0-9a-f]{64} {2}.* {2}linux\/amd64 linux\/arm64\/v8\n$/);
    const wrong = await run('--repo', 'infra/bse');
    assert.equal(wrong.code, 10);
    assert.match(wrong.stderr, /did you mean "infra\/base"/);
  });

  it('says the warnings of the run that made the backup, beside the list and in the object; where they cannot be read it says that, and lists all the same', async () => {
    const warned = await sealedBackup({ layout: 'sha256', notes: [{ kind: 'warning', text: 'Not every replica is healthy:\u001b[2J node-3.' }, { kind: 'owner', id: '1', name: 'acme' }] });
    try {
      const ls = (...args: string[]): Promise<Finished> => drydock(['ls', BACKUP_ID, ...args], { DRYDOCK_CONFIG: warned.config });
      const text = await ls('--repo', 'acme/web');
      assert.equal(text.stderr, 'warning of the run that made this backup: Not every replica is healthy:\\x1b[2J node-3.\n');
      assert.match(text.stdout, /^acme\/web: 3 tags.*\n {2}latest .*\n {2}multi .*\n {2}v1 .*\n$/);
      const object = JSON.parse((await ls('--json')).stdout) as { warnings: string[] };
      assert.deepEqual(object.warnings, ['Not every replica is healthy:\u001b[2J node-3.']);
      assert.deepEqual((JSON.parse((await run('--json')).stdout) as { warnings: string[] }).warnings, []);
      await rm(path.join(warned.directory, warned.manifest.artifacts.notes.name));
      const { code, stdout, stderr } = await ls('--json');
      assert.match(stderr, /^The run that made this backup had 1 warning, which cannot be read: cannot read .*notes\.jsonl\.gz\.gpg.*not there\.\n$/);
      assert.deepEqual([code, (JSON.parse(stdout) as { warnings: null }).warnings], [0, null]);
    } finally {
      await warned.remove();
    }
  });

  it('is no failure for a reader who leaves early, as `head` does', async () => {
    const { child, finished } = start(['ls', BACKUP_ID], { DRYDOCK_CONFIG: fixture.config });
    child.stdout!.destroy();
    const { code, stderr } = await finished;
    assert.deepEqual([code, stderr], [0, '']);
  });
});
