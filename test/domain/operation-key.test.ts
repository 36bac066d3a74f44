import assert from 'node:assert/strict';
import { operationKey } from '../../domain/operation-key';

/** What names of files, labels, staging folders and records may be; the strictest of them. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

const IDS = [
  '(INC-4711) restore lab', '/restore/prod', 'Ärger-2026', '-rf', '.', '..', '', ' ', 'a/b', 'a_b', 'a b', 'a\nb', 'a\u0000b', '\u001b[31mred', '日本語', '日本', '😀', '😁', 'x'.repeat(1000), 'x'.repeat(1001), `${'x'.repeat(1000)}y`,
  'backup/prod/2026-11-30', 'backup_prod_2026-11-30', '--option=1', '$(reboot)', '`id`', "it's", '"', '*', '~root', 'CON', 'é', 'e\u0301',
];

describe('the name of an operation in files, labels and records', () => {
  it('is the workflow id itself where that can be a name', () => {
    for (const id of ['by-hand-1', 'backup-prod-20261130T020000Z', 'a', '9.b_c']) assert.equal(operationKey(id), id);
  });

  it('can be a name whatever the id is', () => {
    for (const id of IDS) assert.match(operationKey(id), NAME);
  });

  it('is never that of another id, not even of one that is typed as a name made for another', () => {
    const all = [...IDS, ...IDS.map(operationKey)];
    assert.equal(new Set(all.map(operationKey)).size, new Set(all).size);
    const many = Array.from({ length: 20_000 }, (_, at) => `restore/${at}`);
    assert.equal(new Set(many.map(operationKey)).size, many.length);
  });

  it('begins with what can be read of the id', () => {
    assert.match(operationKey('(INC-4711) restore lab'), /^INC-4711_restore_lab\.x[0-9a-f]{28}$/);
  });
});
