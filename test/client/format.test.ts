import assert from 'node:assert/strict';
import { visible } from '../../client/format';

describe('text out of a vault', () => {
  it('is shown with all that would act on a terminal made visible, and else as it is', () => {
    assert.equal(visible('acme/web:1.2 (größer), 日本'), 'acme/web:1.2 (größer), 日本');
    assert.equal(visible('a\u001b[2Jb\u001b]0;owned\u0007\n\r\t\u0000\u007f\u009b31m'), 'a\\x1b[2Jb\\x1b]0;owned\\x07\\n\\r\\t\\x00\\x7f\\x9b31m');
    assert.equal(visible('1\u202e2\u20663\u200f4\u20285'), '1\\u202e2\\u20663\\u200f4\\u20285');
  });
});
