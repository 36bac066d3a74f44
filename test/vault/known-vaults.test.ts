import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { findOther, knownId, refuseOther, type NamedVault } from '../../adapters/vault/known-vaults';
import { isError, scratchVault } from '../helpers/vault';

describe('the memory of the vaults that were used', () => {
  let here: Awaited<ReturnType<typeof scratchVault>>;
  let named: NamedVault;
  beforeEach(async () => {
    here = await scratchVault();
    await chmod(here.path, 0o700);
    named = { vault: here.vault, name: 'main', stateDir: join(here.path, 'state') };
  });
  afterEach(() => here.remove());

  it('takes a vault on its first use, keeps its id, and takes it again wherever it lies now', async () => {
    await refuseOther(named);
    await rename(here.directory, `${here.directory}-moved`);
    await refuseOther({ ...named, vault: openDirectoryVault(`${here.directory}-moved`) });
    assert.match((await knownId(named))!, /^[0-9a-f-]{36}$/);
    assert.deepEqual(await readdir(join(named.stateDir, 'vaults')), ['main.json'], 'nothing is left aside');
  });

  it('lets a vault that is not there yet go on, and keeps nothing of it', async () => {
    await rm(here.directory, { recursive: true });
    await refuseOther(named);
    await mkdir(here.directory);
    await refuseOther(named);
    assert.equal(await knownId(named), null);
  });

  it('refuses an empty mountpoint, a folder that is gone and another vault where one was used, and says how to go on', async () => {
    await refuseOther(named);
    await rename(here.directory, `${here.directory}-moved`);
    const gone = isError('Refused', /^the vault "main" \(directory .*vault\) is not there: it has no vault\.json, and the one that was used here before has the id /);
    await assert.rejects(refuseOther(named), gone);
    await mkdir(here.directory);
    await assert.rejects(refuseOther(named), (error) => gone(error) && /mount it, .*drydock vault init main --new/.test((error as { remedy: string }).remedy));
    assert.deepEqual(await readdir(here.directory), []);
    await here.vault.check();
    await assert.rejects(refuseOther(named), isError('Refused', /is another vault \(id /));
    assert.match((await findOther(named))!.message, /is another vault/);
  });

  it('is of one stateDir and one name: another worker, and another name, know nothing of it', async () => {
    await refuseOther(named);
    await rm(here.directory, { recursive: true });
    await here.vault.check();
    await refuseOther({ ...named, name: 'mirror' });
    await refuseOther({ ...named, stateDir: join(here.path, 'other') });
  });

  it('does not pass for no memory when it is damaged', async () => {
    await refuseOther(named);
    await writeFile(join(named.stateDir, 'vaults', 'main.json'), '{');
    await assert.rejects(refuseOther(named), isError('Refused', /main\.json, which says what vault was last used as "main", cannot be read/));
    assert.equal(await findOther(named), null, 'whoever only reads is not held up');
  });

  it('keeps no id of a damaged vault.json, which is for the steps to judge', async () => {
    await writeFile(join(here.directory, 'vault.json'), '{"kind":"dry');
    await refuseOther(named);
    assert.equal(await knownId(named), null);
  });
});
