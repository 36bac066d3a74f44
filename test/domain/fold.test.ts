import assert from 'node:assert/strict';
import { fold } from '../../domain/fold';

describe('a line that is wider than the terminal', () => {
  it('is folded between words, and what follows stands two columns further in', () => {
    assert.equal(fold('  one two three four', 12), '  one two\n    three\n    four');
    assert.equal(fold('one two', 7), 'one two');
  });

  it('stands below its text where a label is in front', () => {
    assert.equal(fold('  made     2026 by cron and more', 20), '  made     2026 by\n           cron and\n           more');
  });

  it('keeps its columns apart as far as they fit', () => {
    assert.equal(fold('lab  20261129T020000Z-b00002  complete  not verified', 42), 'lab  20261129T020000Z-b00002  complete\n     not verified');
  });

  it('is left whole where a person would copy it, and where one word is wider', () => {
    const command = '  drydock approve restore/lab/1 --gate plan --by NAME';
    assert.equal(fold(command, 20), command);
    assert.equal(fold(`sha256:${'a'.repeat(64)} is it`, 20), `sha256:${'a'.repeat(64)}\n  is it`);
  });

  it('keeps a command between back quotes in one piece, and is none the wiser of a quote that never ends', () => {
    assert.equal(fold('come back with `drydock watch backup/lab/1`, later', 30), 'come back with\n  `drydock watch backup/lab/1`,\n  later');
    assert.equal(fold('one `two three four', 12), 'one `two\n  three four');
  });

  it('is measured without its colours', () => {
    assert.equal(fold('\u001b[1mone\u001b[22m two', 7), '\u001b[1mone\u001b[22m two');
  });
});
