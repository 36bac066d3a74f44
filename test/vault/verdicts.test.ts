import assert from 'node:assert/strict';
import { MAX_VERDICTS, verdictNames } from '../../adapters/vault/verdicts';
import type { Vault, VaultEntry } from '../../adapters/vault/vault';
import { vaultPaths } from '../../domain/vault-format';

const ID = '20261101T000000Z-1a2b3c';

/** A vault that lists these names, in order. */
function listing(names: string[]): Vault {
  return {
    async *list(): AsyncGenerator<VaultEntry> {
      for (const name of [...names].sort()) yield await Promise.resolve({ name, size: 1, modified: new Date(0) });
    },
  } as unknown as Vault;
}

describe('the verdicts that are read of a backup', () => {
  it('include each of those with findings, however many good ones came later', async () => {
    const at = (n: number): string => new Date(Date.parse('2026-11-01T00:00:00.000Z') + n * 1000).toISOString();
    const bad = vaultPaths.verdict('lab', ID, at(0));
    const good = Array.from({ length: MAX_VERDICTS + 50 }, (_, n) => vaultPaths.verdict('lab', ID, at(n + 1)));
    for await (const { id, names, passedBy } of verdictNames(listing([bad, vaultPaths.findings('lab', ID, at(0)), vaultPaths.badSegments('lab', ID, at(0)), ...good]), 'lab')) {
      assert.deepEqual([id, names.length, names[0], names[1], passedBy], [ID, MAX_VERDICTS + 1, bad, good[50], 50]);
    }
  });
});
