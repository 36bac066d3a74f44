import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { writeArtifact } from '../../adapters/vault/artifacts';
import { readJsonLines, writeJsonLines } from '../../adapters/vault/json-lines';
import { isError, readKeys, scratchVault, writeKeys } from '../helpers/vault';

const NAME = 'lab/backups/a/tags.jsonl.gz.gpg';

describe('lists in artifacts', () => {
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  beforeEach(async () => {
    scratch = await scratchVault();
  });
  afterEach(() => scratch.remove());

  for (const count of [0, 1, 500, 20_001]) {
    it(`of ${count} rows come back in order`, async () => {
      const rows = Array.from({ length: count }, (_, n) => ({ n, name: `répo/${n}\n` }));
      const record = await writeJsonLines(scratch.vault, NAME, writeKeys, rows);
      const found: unknown[] = [];
      for await (const row of readJsonLines(scratch.vault, record, readKeys)) found.push(row);
      assert.deepEqual(found, rows);
    });
  }

  it('that are not whole lines of JSON are refused', async () => {
    for (const [i, text] of ['{"a":1}\n{"b"', '{"a":1}\nx\n'].entries()) {
      const record = await writeArtifact(scratch.vault, `lab/backups/${i}/x`, writeKeys, Readable.from([Buffer.from(text)]), { gzip: true });
      await assert.rejects(async () => {
        for await (const _ of readJsonLines(scratch.vault, record, readKeys));
      }, isError('IntegrityMismatch', /not complete|not JSON/));
    }
  });
});
