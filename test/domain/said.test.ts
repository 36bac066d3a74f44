import assert from 'node:assert/strict';
import { backupInput, decideInput } from '../../domain/contract';

describe('what people say at a door', () => {
  it('becomes one line, so that it fits into every table and record', () => {
    assert.deepEqual(backupInput.parse({ cluster: 'c', startedBy: ' Jo\tDoe ', reason: 'first line\r\nsecond\u2028third' }), { cluster: 'c', startedBy: 'Jo Doe', reason: 'first line second third' });
  });

  it('is refused with the field when it could command a terminal', () => {
    for (const field of ['startedBy', 'reason']) {
      const parsed = backupInput.safeParse({ cluster: 'c', [field]: '\u001b[2Jgone' });
      assert.deepEqual(parsed.error?.issues.map(({ path, message }) => [path.join('.'), message]), [[field, 'holds control characters']]);
    }
  });

  it('is the same at a gate', () => {
    assert.deepEqual(decideInput.parse({ gate: 'plan', decision: 'reject', by: 'second\n', reason: 'no\nway', planDigest: 'd' }), { gate: 'plan', decision: 'reject', by: 'second', reason: 'no way', planDigest: 'd' });
  });
});
