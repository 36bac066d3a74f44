import assert from 'node:assert/strict';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { refuseOther } from '../../adapters/vault/known-vaults';
import { EXIT } from '../../domain/exit-codes';
import { givenUpText, verifiedText } from '../../client/verified';
import { clusterOfBackup, clusterOfForgotten, latestComplete, listBackups, newVaultNote, readManifest } from '../../client/vaults';
import type { LoadedConfig } from '../../client/session';
import type { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import { mkdir, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { loadConfig } from '../../worker/config';
import { drydock, place, type Place } from './fixtures/drydock';

const OLD = '20261121T020000Z-aaaaaa';
const COMPLETE = '20261122T020000Z-bbbbbb';
const INCOMPLETE = '20261123T020000Z-cccccc';
const UNSEALED = '20261124T020000Z-dddddd';

describe('a vault that no backup has made yet', () => {
  it('holds no backups, which is said without an error, as is where it will come to lie', async () => {
    const here = await place({ address: '127.0.0.1:1' });
    try {
      const local = { path: here.config, config: await loadConfig(here.config) };
      assert.deepEqual(await listBackups(local, 'lab'), []);
      await assert.rejects(readManifest(local, COMPLETE), { kind: 'NotFound', message: /there is no backup/ });
      assert.ok((await newVaultNote(local, 'lab'))?.includes(`${here.vault}) does not exist yet`));
      await mkdir(here.vault);
      await openDirectoryVault(here.vault).check();
      assert.equal(await newVaultNote(local, 'lab'), null);
    } finally {
      await here.remove();
    }
  });
});

describe('a vault whose disk is not mounted', () => {
  it('is named as that, and no backup of it is said not to exist', async () => {
    const here = await place({ address: '127.0.0.1:1' });
    try {
      const local = { path: here.config, config: await loadConfig(here.config) };
      await mkdir(here.vault);
      const vault = openDirectoryVault(here.vault);
      await vault.check();
      await refuseOther({ vault, name: 'main', stateDir: here.stateDir });
      await assert.rejects(readManifest(local, COMPLETE), { kind: 'NotFound', message: /there is no backup/ });
      for (const seen of [() => mkdir(here.vault), () => Promise.resolve()]) {
        await rm(here.vault, { recursive: true });
        await seen();
        await assert.rejects(readManifest(local, COMPLETE), { kind: 'Refused', message: /is not there: it has no vault\.json/ });
        const { code, stderr } = await drydock(['ls', 'latest', '--config', here.config]);
        assert.equal(code, EXIT.notFound);
        assert.match(stderr, /no complete backup of lab\n {2}the vault "main" .* is not there: .*mount it/);
      }
    } finally {
      await here.remove();
    }
  });
});

describe('a vault that a newer Drydock wrote', () => {
  it('is refused by all that reads it, and one whose vault.json is damaged is read all the same', async () => {
    const here = await place({ address: '127.0.0.1:1' });
    try {
      const local = { path: here.config, config: await loadConfig(here.config) };
      await mkdir(here.vault);
      await openDirectoryVault(here.vault).put(vaultPaths.manifest('lab', COMPLETE), JSON.stringify({ backupId: COMPLETE, status: 'complete', sealedAt: '2026-11-23T02:10:00.000Z' }));
      await writeFile(path.join(here.vault, 'vault.json'), '{"kind":"drydock-vault","format":2}');
      await assert.rejects(listBackups(local, 'lab'), { kind: 'VersionMismatch', message: /has format 2/ });
      await assert.rejects(clusterOfBackup(local, COMPLETE), { kind: 'VersionMismatch' });
      await writeFile(path.join(here.vault, 'vault.json'), '{"kind":"dry');
      assert.equal(await clusterOfBackup(local, COMPLETE), 'lab');
    } finally {
      await here.remove();
    }
  });
});

describe('a look at all vaults of drydock.yaml', function () {
  this.timeout(30_000);

  it('says of which one it cannot be taken, and looks at the others all the same', async () => {
    const here = await place({ address: '127.0.0.1:1' });
    try {
      await writeFile(here.config, (await readFile(here.config, 'utf8')).replace('vaults: {', 'vaults: {absent: {directory: nowhere}, '));
      await mkdir(here.vault);
      await openDirectoryVault(here.vault).check();
      await writeFile(path.join(here.vault, 'foreign.txt'), 'x');
      const { code, stdout, stderr } = await drydock(['vault', 'check', '--json'], { DRYDOCK_CONFIG: here.config });
      const { vaults } = JSON.parse(stdout) as { vaults: { vault: string; error?: string; remedy?: string; findings?: { name: string }[] }[] };
      assert.deepEqual(vaults.map(({ vault }) => vault), ['absent', 'main']);
      assert.match(vaults[0]!.error!, /is no vault/);
      assert.match(vaults[0]!.remedy!, /vault init absent/);
      assert.deepEqual(vaults[1]!.findings!.map(({ name }) => name), ['foreign.txt']);
      assert.equal(code, EXIT.findings, 'the highest of both');
      assert.match(stderr, /is no vault/);
      assert.equal((await drydock(['vault', 'check', 'absent'], { DRYDOCK_CONFIG: here.config })).code, EXIT.unreachable);
    } finally {
      await here.remove();
    }
  });
});

describe('several clusters, the vault of the first of which cannot be reached', function () {
  this.timeout(30_000);

  it('hides no backup of the others: it is found by its id, and `list` shows it and says what is amiss', async () => {
    const here = await place({ address: '127.0.0.1:1' });
    try {
      const yaml = await readFile(here.config, 'utf8');
      const cluster = yaml.slice(yaml.indexOf('  lab:\n'));
      await writeFile(here.config, yaml.replace('vaults: {', 'vaults: {lost: {sftp: {address: 127.0.0.1, port: 1, user: a, key: "file:none", knownHosts: none, path: /srv}}, ').replace('clusters:\n', `clusters:\n${cluster.replace('  lab:', '  far:').replace('vault: main', 'vault: lost')}`));
      await mkdir(here.vault);
      await openDirectoryVault(here.vault).put(vaultPaths.manifest('lab', COMPLETE), JSON.stringify({ backupId: COMPLETE, status: 'complete', sealedAt: '2026-11-23T02:10:00.000Z' }));
      const local = { path: here.config, config: await loadConfig(here.config) };
      assert.equal((await readManifest(local, COMPLETE)).cluster, 'lab');
      assert.equal(await clusterOfBackup(local, COMPLETE), 'lab');
      await assert.rejects(clusterOfBackup(local, OLD), (error: DrydockError) => error.kind !== 'NotFound', 'it may lie where nobody can look');
      const { code, stdout, stderr } = await drydock(['list', '--json'], { DRYDOCK_CONFIG: here.config });
      const listed = JSON.parse(stdout) as { backups: { id: string }[]; vaultErrors: { cluster: string }[] };
      assert.deepEqual([listed.backups.map(({ id }) => id), listed.vaultErrors.map((each) => each.cluster)], [[COMPLETE], ['far']]);
      assert.ok(code !== 0 && code !== null);
      assert.match(stderr, /^drydock: far: /);
    } finally {
      await here.remove();
    }
  });
});

describe('backups read from the vault', () => {
  let here: Place;
  let local: LoadedConfig;

  before(async () => {
    here = await place({ address: '127.0.0.1:1' });
    await mkdir(here.vault);
    local = { path: here.config, config: await loadConfig(here.config) };
    const vault = openDirectoryVault(here.vault);
    for (const [id, status] of [[OLD, 'complete'], [COMPLETE, 'complete'], [INCOMPLETE, 'incomplete']] as const) {
      await vault.put(vaultPaths.manifest('lab', id), JSON.stringify({ backupId: id, status, sealedAt: '2026-11-23T02:10:00.000Z' }));
    }
    await vault.put(vaultPaths.artifact('lab', UNSEALED, 'tree.tar.gz.gpg'), 'bytes');
  });
  after(() => here.remove());

  it('are those with a manifest, newest first', async () => {
    assert.deepEqual((await listBackups(local, 'lab')).map((entry) => [entry.id, entry.status]), [[INCOMPLETE, 'incomplete'], [COMPLETE, 'complete'], [OLD, 'complete']]);
  });

  it('name the newest complete one as the latest, never an incomplete one', async () => {
    assert.equal(latestComplete(await listBackups(local, 'lab'))?.id, COMPLETE);
  });

  it('show a manifest by its id, and know no backup without one', async () => {
    assert.equal((await readManifest(local, OLD)).cluster, 'lab');
    await assert.rejects(readManifest(local, UNSEALED), { kind: 'NotFound' });
  });

  it('are found in a copy as well, to take back what was forgotten and has gone from the first vault', async () => {
    const copy = path.join(path.dirname(here.vault), 'copy');
    const gone = '20261120T020000Z-eeeeee';
    const { config } = local;
    const both = { ...local, config: { ...config, vaults: { ...config.vaults, copy: { directory: copy } }, clusters: { lab: { ...config.clusters.lab!, copies: ['copy'] } } } };
    await mkdir(copy);
    await openDirectoryVault(copy).put(vaultPaths.manifest('lab', gone), '{}');
    assert.equal(await clusterOfForgotten(both, gone, undefined), 'lab');
    assert.equal(await clusterOfForgotten(both, OLD, 'copy'), 'lab');
    await assert.rejects(clusterOfForgotten(both, UNSEALED, 'copy'), { kind: 'NotFound', message: /there is no backup/ });
  });

  it('show what verification found last: the best good verdict and a newer bad one before it', async () => {
    const vault = openDirectoryVault(here.vault);
    const verdict = (level: string, at: string, result: 'good' | 'bad') => ({
      format: 1, backupId: COMPLETE, level, startedAt: at, at, by: 'nightly', tool: { name: 'drydock', version: '0.1.0' }, withKeys: true, result,
      checked: { segments: 1, blobs: 2, bytes: 3, tags: 4 }, findings: result === 'bad' ? 2 : 0,
    });
    const put = async (level: string, at: string, result: 'good' | 'bad') => vault.put(vaultPaths.verdict('lab', COMPLETE, at), JSON.stringify(verdict(level, at, result)));
    const entry = async () => (await listBackups(local, 'lab')).find(({ id }) => id === COMPLETE)!;
    const now = Date.parse('2026-11-27T03:00:00Z');
    assert.equal(verifiedText(await entry(), now), 'not verified');
    await put('L3', '2026-11-23T03:00:00.000Z', 'good');
    await put('L1', '2026-11-25T03:00:00.000Z', 'good');
    assert.equal(verifiedText(await entry(), now), 'verified 4 d ago (L3)');
    await put('L2', '2026-11-27T01:00:00.000Z', 'bad');
    assert.equal(verifiedText(await entry(), now), 'FOUND BAD 2 h ago (L2, 2 findings); verified 4 d ago (L3)');
    assert.deepEqual((await entry()).verified, { level: 'L3', at: '2026-11-23T03:00:00.000Z', by: 'nightly' });
    assert.equal(verifiedText({ verified: { level: 'L3', at: '2026-11-26T03:00:00.000Z', by: 'nightly', withoutKeys: true }, failed: null }, now), 'verified 1 d ago (L3, without keys)');
  });

  it('show which are given up, by whom, and from when a prune may remove them; a person\'s word stands before that of retention', async () => {
    const vault = openDirectoryVault(here.vault);
    const mark = async (at: string, more: object): Promise<void> => {
      const name = vaultPaths.tombstone('lab', OLD, at.replace(/[-:]|\.\d+/g, ''));
      await vault.put(name, JSON.stringify({ format: 1, id: OLD, kind: 'backup', at, by: 'prune_lab_1', why: 'Given up: no rule of `keep` holds it.', ...more }));
      await utimes(path.join(here.vault, name), new Date(at), new Date(at));
    };
    const entry = async (id: string) => (await listBackups(local, 'lab')).find((each) => each.id === id)!;
    assert.equal((await entry(OLD)).givenUp, null);
    await mark('2026-11-23T02:00:00.000Z', {});
    assert.deepEqual((await entry(OLD)).givenUp, { at: '2026-11-23T02:00:00.000Z', by: 'prune_lab_1', why: 'Given up: no rule of `keep` holds it.', removableFrom: '2026-11-30T02:00:00.000Z' });
    await mark('2026-11-24T02:00:00.000Z', { by: 'forget_lab_2', why: 'INC-4711', forgotten: { by: 'anna', approved: false } });
    assert.deepEqual((await readManifest(local, OLD)).entry.givenUp, { at: '2026-11-23T02:00:00.000Z', by: 'anna', why: 'INC-4711', removableFrom: '2026-11-30T02:00:00.000Z' });
    assert.equal(givenUpText(await entry(OLD), Date.parse('2026-11-25T03:00:00Z')), 'given up 2 d ago by anna, removable from 2026-11-30 02:00:00Z');
    assert.equal(givenUpText(await entry(COMPLETE)), '');
  });
});

describe('a vault that was used, and is not mounted now', function () {
  this.timeout(60_000);

  it('is made anew only when a person says so; what only reads says it', async () => {
    const here = await place({ address: '127.0.0.1:1' });
    const env = { DRYDOCK_CONFIG: here.config };
    try {
      assert.equal((await drydock(['vault', 'init'], env)).code, 0);
      await rename(here.vault, `${here.vault}-unmounted`);
      await mkdir(here.vault);
      const [init, check, list, all] = await Promise.all([drydock(['vault', 'init', 'main'], env), drydock(['vault', 'check', 'main'], env), drydock(['list'], env), drydock(['vault', 'init', '--new'], env)]);
      assert.deepEqual([init.code, check.code, list.code, all.code], [1, 1, 0, 2]);
      for (const { stderr } of [init, check, list]) assert.match(stderr, /the vault "main" \(.*\) is not there: it has no vault\.json[^]*drydock vault init main --new/);
      assert.match(all.stderr, /it is not said which vault is a new one/);
      assert.deepEqual(await readdir(here.vault), [], 'nothing was written');
      const taken = await drydock(['vault', 'init', 'main', '--new'], env);
      assert.equal(taken.code, 0, taken.stderr);
      assert.match(taken.stdout, /is a vault now[^]*takes the place of the vault with the id/);
      const nope = await drydock(['list', 'nope'], env);
      assert.match(nope.stderr, /^drydock: there is no cluster "nope" in .*, expected one of lab\n/);
      const again = await drydock(['vault', 'init', 'main'], env);
      assert.equal(again.code, 0, again.stderr);
    } finally {
      await here.remove();
    }
  });
});
