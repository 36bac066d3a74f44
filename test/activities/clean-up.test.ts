import assert from 'node:assert/strict';
import { mkdir, rename, rm } from 'node:fs/promises';
import type { Engine } from '../../adapters/docker/engine';
import { refuseOther } from '../../adapters/vault/known-vaults';
import { newVaultFile } from '../../adapters/vault/vault-file';
import { cleanUp } from '../../activities/backup/clean-up';
import type { Cluster } from '../../activities/cluster';
import { vaultPaths } from '../../domain/vault-format';
import { isError, scratchVault } from '../helpers/vault';

const STEP = { cluster: 'lab', operation: 'backup_1', backupId: '20261124T000000Z-1a2b3c' };
const LEFT = vaultPaths.artifact('lab', STEP.backupId, 'SHA256SUMS');

describe('cleaning up after a backup', () => {
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  let containers: string[];
  beforeEach(async () => {
    scratch = await scratchVault();
    containers = ['helper'];
  });
  afterEach(() => scratch.remove());

  const refuseOtherVault = (): Promise<void> => refuseOther({ vault: scratch.vault, name: 'main', stateDir: scratch.path });
  const cluster = (): Cluster => ({
    name: 'lab', vault: scratch.vault, config: { images: 'docker' }, workDir: () => Promise.resolve(`${scratch.path}/work`), refuseOtherVault,
    engine: () => Promise.resolve({ containers: () => Promise.resolve(containers.map((id) => ({ id }))), removeContainer: () => Promise.resolve(void (containers = [])) } as unknown as Engine),
  }) as unknown as Cluster;
  const names = async (): Promise<string[]> => {
    const found = [];
    for await (const { name } of scratch.vault.list('')) found.push(name);
    return found;
  };
  /** As it is seen while its disk is not mounted: an empty folder. */
  const unmounted = async (work: () => Promise<void>): Promise<void> => {
    await rename(scratch.directory, `${scratch.directory}-disk`);
    await mkdir(scratch.directory);
    await work();
    await rm(scratch.directory, { recursive: true });
    await rename(`${scratch.directory}-disk`, scratch.directory);
  };

  it('removes what a backup without a seal stored under its id, and nothing else', async () => {
    const other = vaultPaths.artifact('lab', '20261123T000000Z-1a2b3c', 'SHA256SUMS');
    await scratch.vault.put(LEFT, 'x');
    await scratch.vault.put(other, 'x');
    await cleanUp(cluster(), STEP, { abandoned: true });
    assert.deepEqual(await names(), [other, 'vault.json']);
  });

  it('leaves a sealed backup alone, whoever calls it abandoned', async () => {
    await scratch.vault.put(LEFT, 'x');
    await scratch.vault.put(vaultPaths.manifest('lab', STEP.backupId), '{}');
    await cleanUp(cluster(), STEP, { abandoned: true });
    assert.deepEqual(await names(), [LEFT, vaultPaths.manifest('lab', STEP.backupId), 'vault.json']);
  });

  it('takes a manifest away that comes when the first of its files has gone', async () => {
    await scratch.vault.put(LEFT, 'x');
    const { vault } = scratch;
    const beside = Object.create(vault, { remove: { value: async (name: string) => {
      await vault.remove(name);
      if (name === LEFT) await vault.put(vaultPaths.manifest('lab', STEP.backupId), '{}');
    } } }) as typeof vault;
    await cleanUp({ ...cluster(), vault: beside }, STEP, { abandoned: true });
    assert.deepEqual(await names(), ['vault.json']);
  });

  it('has nothing to do where the check refused the backup, and the vault is not there yet', async () => {
    await rm(scratch.directory, { recursive: true });
    await cleanUp(cluster(), STEP, { abandoned: true, nothingStored: true });
    assert.deepEqual(containers, []);
  });

  it('has nothing left to remove of a sealed backup that was forgotten and pruned meanwhile', async () => {
    await cleanUp(cluster(), STEP, { abandoned: false });
    assert.deepEqual(containers, []);
  });

  for (const abandoned of [true, false]) {
    it(`does not take ${abandoned ? 'an abandoned' : 'a sealed'} backup for gone while the vault's disk is not mounted, known to this worker or not; its containers go all the same`, async () => {
      await scratch.vault.put(LEFT, 'x');
      await unmounted(() => assert.rejects(cleanUp(cluster(), STEP, { abandoned }), isError('NotFound', /no vault: it has no vault\.json/)));
      assert.deepEqual(containers, []);
      await refuseOtherVault();
      await unmounted(() => assert.rejects(cleanUp(cluster(), STEP, { abandoned }), isError('Refused', /is not there: it has no vault\.json, and the one that was used here before/)));
      await unmounted(async () => {
        await scratch.vault.put(vaultPaths.vaultFile, newVaultFile());
        await assert.rejects(cleanUp(cluster(), STEP, { abandoned }), isError('Refused', /is another vault/));
      });
      assert.ok((await names()).includes(LEFT));
    });
  }
});
