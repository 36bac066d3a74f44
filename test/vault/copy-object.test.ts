import assert from 'node:assert/strict';
import type { Readable } from 'node:stream';
import { copyObject } from '../../adapters/vault/copy-object';
import type { Vault } from '../../adapters/vault/vault';
import { scratchVault } from '../helpers/vault';

describe('an object on its way to another vault', () => {
  it('is not held open in the first one when the other takes nothing', async () => {
    const here = await scratchVault();
    try {
      await here.vault.put('lab/object', 'bytes');
      let source: Readable | undefined;
      const from = Object.assign(Object.create(here.vault) as Vault, { read: async (name: string) => (source = await here.vault.read(name)) });
      const full = new Error('no room');
      const there = { upload: () => Promise.reject(full) } as unknown as Vault;
      await assert.rejects(copyObject(from, there, { name: 'lab/object' }), full);
      assert.equal(source?.destroyed, true);
    } finally {
      await here.remove();
    }
  });
});
