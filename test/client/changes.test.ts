import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { unfinishedRestores } from '../../client/changes';
import type { LoadedConfig } from '../../client/session';
import { leaveRecord, restoreRecord, stopRecord } from '../helpers/changes';

describe('unfinished restores as commands see them', () => {
  let here: string;
  let local: LoadedConfig;
  const vault = (name: string) => openDirectoryVault(join(here, name));

  beforeEach(async () => {
    here = await mkdtemp(join(tmpdir(), 'drydock-test-'));
    for (const name of ['main', 'mirror']) await vault(name).check();
    const vaults = { main: { directory: join(here, 'main') }, mirror: { directory: join(here, 'mirror') } };
    local = { path: 'drydock.yaml', config: { stateDir: join(here, 'state'), vaults, clusters: { lab: { vault: 'main', copies: ['mirror'] } } } } as unknown as LoadedConfig;
  });
  afterEach(() => rm(here, { recursive: true, force: true }));

  const operations = async (): Promise<string[]> => (await unfinishedRestores(local, 'lab')).map(({ operation }) => operation);

  it('are those that have destroyed something, in whichever vault that is recorded', async () => {
    await leaveRecord(vault('mirror'), restoreRecord({ operation: 'behind' }));
    await leaveRecord(vault('main'), restoreRecord({ operation: 'before', state: 'planned' }));
    await leaveRecord(vault('main'), stopRecord());
    assert.deepEqual(await operations(), ['behind']);
    await rm(join(here, 'main'), { recursive: true });
    assert.deepEqual(await operations(), ['behind']);
  });

  it('are none once a vault says that it has ended, though another could not be told', async () => {
    const behind = restoreRecord();
    await leaveRecord(vault('main'), behind);
    await leaveRecord(vault('mirror'), { ...behind, revision: 2, state: 'ended', notEndedIn: ['vault main'] });
    assert.deepEqual(await operations(), []);
  });
});
