import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import type { Engine } from '../../adapters/docker/engine';
import { cleanUp } from '../../activities/backup/clean-up';
import type { Cluster } from '../../activities/cluster';
import { vaultPaths } from '../../domain/vault-format';
import { scratchVault } from '../helpers/vault';

const STEP = { cluster: 'lab', operation: 'backup_1', backupId: '20261124T000000Z-1a2b3c' };

describe('cleaning up after a backup', () => {
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  beforeEach(async () => {
    scratch = await scratchVault();
  });
  afterEach(() => scratch.remove());

  const cluster = (): Cluster => ({
    name: 'lab', vault: scratch.vault, workDir: () => Promise.resolve(`${scratch.path}/work`), engine: () => Promise.resolve({ containers: () => Promise.resolve([]) } as unknown as Engine),
  }) as unknown as Cluster;
  const names = async (): Promise<string[]> => {
    const found = [];
    for await (const { name } of scratch.vault.list('')) found.push(name);
    return found;
  };

  it('removes what a backup without a seal stored under its id, and nothing else', async () => {
    const other = vaultPaths.artifact('lab', '20261123T000000Z-1a2b3c', 'SHA256SUMS');
    await scratch.vault.put(vaultPaths.artifact('lab', STEP.backupId, 'SHA256SUMS'), 'x');
    await scratch.vault.put(other, 'x');
    await cleanUp(cluster(), STEP, true);
    assert.deepEqual(await names(), [other, 'vault.json']);
  });

  it('leaves a sealed backup alone, whoever calls it abandoned', async () => {
    await scratch.vault.put(vaultPaths.manifest('lab', STEP.backupId), '{}');
    await cleanUp(cluster(), STEP, true);
    assert.deepEqual(await names(), [vaultPaths.manifest('lab', STEP.backupId), 'vault.json']);
  });

  it('has nothing to do in a vault that is not there yet', async () => {
    await rm(scratch.directory, { recursive: true });
    await cleanUp(cluster(), STEP, true);
  });
});
