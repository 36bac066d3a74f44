import assert from 'node:assert/strict';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { givenUpText, verifiedText } from '../../client/verified';
import { clusterOfForgotten, latestComplete, listBackups, newVaultNote, readManifest } from '../../client/vaults';
import type { LoadedConfig } from '../../client/session';
import { vaultPaths } from '../../domain/vault-format';
import { mkdir, utimes } from 'node:fs/promises';
import path from 'node:path';
import { loadConfig } from '../../worker/config';
import { place, type Place } from './fixtures/drydock';

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
